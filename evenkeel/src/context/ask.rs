//! Questions to the person who caused the event.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::time::Duration;

use super::Context;
use super::wait::{Unanswered, Verdict, until};
use crate::error::{Error, Result};
use crate::event::{Event, Message};
use crate::reply::{IntoReply, Reply};
use crate::text::{Case, fold, trim};

/// How long a question waits, unless told.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is asked again after what is no answer; what else is none is then handled as ever.
const AGAIN: u32 = 3;
/// What the person reads who has ended a question.
const ALL_RIGHT: &str = "All right.";

impl Context {
    /// Asks the person who caused the event, and waits up to ten minutes for the next message of theirs in this
    /// conversation: its text, without mentions of the bot at its beginning, with a name where each other mention is.
    ///
    /// While it waits, the conversation goes on: what others write, and what is no message, is handled as ever. So is a command
    /// of the person's, and the question goes on beside it. A command is whatever goes to an exact text, to a command or something behind
    /// `nest`, or to a pattern that begins with fixed words (`^!prime (\\d+)$`, but not `\\d+`); a fallback is none. A message without
    /// text, a picture for example, is no answer: the question is asked again. [`Ask`] says otherwise where that is wanted.
    ///
    /// When the process ends meanwhile, the next one runs the handler again: what was sent is not sent again, what was answered is
    /// answered at once, and it waits on.
    ///
    /// ```
    /// use evenkeel::{Context, Result, Router, testing};
    ///
    /// async fn weather(cx: Context) -> Result<String> {
    ///     let city = cx.ask("which city?").await?;
    ///     let when = cx.ask("when?").choices(["today", "tomorrow"]).cancel_on("stop").await?;
    ///     Ok(format!("sunny in {city} {when}"))
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// let mut chat = testing::chat(Router::new().command("!weather", weather));
    /// assert_eq!(chat.say("!weather").await, ["which city?"]);
    /// assert_eq!(chat.say("Oslo").await, ["when?\n1. today\n2. tomorrow"]);
    /// assert_eq!(chat.say("2").await, ["sunny in Oslo tomorrow"]);
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the question could not be sent; when it has no answer, of which a person who wrote is told
    /// ([`Unanswered`] says why); when the bot stops.
    ///
    /// # Cancel safety
    ///
    /// The question is sent as soon as this is polled. A handler that drops the future goes on beside its conversation:
    /// give the time with [`Ask::within`] instead.
    #[track_caller]
    pub fn ask(&self, question: impl IntoReply) -> Ask<'_> {
        Ask {
            cx: self,
            question: question.into_reply(),
            within: PATIENCE,
            rules: Rules::default(),
            line: Location::caller(),
            answer: PhantomData,
        }
    }
}

/// A question, see [`Context::ask`]. Awaited, it is sent, and gives the answer: its text, or the whole message after
/// [`message`](Self::message).
#[must_use = "a question is asked when it is awaited"]
pub struct Ask<'a, A = String> {
    cx: &'a Context,
    question: Reply,
    within: Duration,
    rules: Rules,
    line: &'static Location<'static>,
    answer: PhantomData<fn() -> A>,
}

impl<'a, A> Ask<'a, A> {
    /// Waits this long; ten minutes unless told.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Takes one of these for an answer, in upper or lower case, or by its number. A network that has buttons shows one for each; elsewhere
    /// they are listed below the question, by number. The answer is the choice as it is written here. Anything else but a command
    /// is no answer: the question is asked again.
    ///
    /// ```
    /// use evenkeel::{Context, Result, Router, testing};
    ///
    /// async fn reset(cx: Context) -> Result<&'static str> {
    ///     let sure = cx.ask("are you sure?").choices(["yes", "no"]).await?;
    ///     Ok(if sure == "yes" { "gone" } else { "all is as it was" })
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// let mut chat = testing::chat(Router::new().command("!reset", reset));
    /// assert_eq!(chat.say("!reset").await, ["are you sure?\n1. yes\n2. no"]);
    /// assert_eq!(chat.say("maybe").await, ["are you sure?\n1. yes\n2. no"]);
    /// assert_eq!(chat.say("Yes").await, ["gone"]);
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    pub fn choices(mut self, choices: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.rules.choices = Some(choices.into_iter().map(Into::into).collect());
        self
    }

    /// Takes any text for an answer, though it be a command.
    pub fn any_text(mut self) -> Self {
        self.rules.on_command = OnCommand::Answers;
        self
    }

    /// Ends the question when the person says this word, or these words, and nothing else: the handler gets an error that is no failure
    /// ([`Unanswered::Cancelled`]), and the person reads `All right.`, unless the handler says something else. It may be called again for
    /// another word.
    pub fn cancel_on(mut self, word: impl Into<String>) -> Self {
        self.rules.cancel_words.push(word.into());
        self
    }

    /// Ends the question when the person gives a command. The command is handled; then the handler gets an error that is no failure
    /// ([`Unanswered::Command`]), of which the person reads nothing.
    pub fn cancel_on_command(mut self) -> Self {
        self.rules.on_command = OnCommand::Cancels;
        self
    }

    /// Takes a message without text for an answer as well, if files came with it, and gives the whole message.
    ///
    /// ```
    /// use evenkeel::{Context, Result};
    ///
    /// async fn avatar(cx: Context) -> Result<String> {
    ///     let picture = cx.ask("send me a picture").message().await?;
    ///     let Some(file) = picture.attachments.first() else { return Ok("words are no picture".into()) };
    ///     Ok(format!("{} bytes", cx.download(file).await?.len()))
    /// }
    /// ```
    pub fn message(self) -> Ask<'a, Message> {
        let Self { cx, question, within, rules, line, .. } = self;
        let rules = Rules { takes_files: true, ..rules };
        Ask { cx, question, within, rules, line, answer: PhantomData }
    }

    /// The event that is the answer, and which of the choices it is.
    async fn answered(self) -> Result<(Event, Option<String>)> {
        let Self { cx, question, within, mut rules, line, .. } = self;
        let answered = rules.ask(cx, question, within).await;
        let event = answered.map_err(|error| error.at(line))?;
        let choice = rules.choice(event.said().unwrap_or_default());
        let choice = choice.and_then(|at| Some(rules.choices.as_mut()?.swap_remove(at)));
        Ok((event, choice))
    }
}

impl<'a> IntoFuture for Ask<'a, String> {
    type Output = Result<String>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            let (event, choice) = self.answered().await?;
            Ok(choice.unwrap_or_else(|| event.said_with_names()))
        })
    }
}

impl<'a> IntoFuture for Ask<'a, Message> {
    type Output = Result<Message>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            let (event, _) = self.answered().await?;
            event.message().cloned().ok_or_else(|| Error::new("what was kept as an answer is no message"))
        })
    }
}

impl<A> fmt::Debug for Ask<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("command", &self.cx.command()).finish_non_exhaustive()
    }
}

/// What is an answer to a question.
#[derive(Default)]
struct Rules {
    choices: Option<Vec<String>>,
    cancel_words: Vec<String>,
    on_command: OnCommand,
    takes_files: bool,
}

/// What becomes of a command while a question waits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum OnCommand {
    /// It is handled, and the question goes on.
    #[default]
    Runs,
    /// It is handled, and the question ends.
    Cancels,
    /// It is an answer.
    Answers,
}

/// What an event is to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Somebody else's, or no message, or a command.
    SomethingElse,
    /// A command that ends it.
    Command,
    /// A word that ends it.
    Cancel,
    /// Theirs, and no answer.
    Unclear,
    Answer,
}

impl Rules {
    async fn ask(&self, cx: &Context, question: Reply, within: Duration) -> Result<Event> {
        let question = match &self.choices {
            Some(choices) if choices.is_empty() => return Err(no_choices()),
            Some(choices) => question.with_choices(choices, cx.capabilities().has_buttons),
            None => question,
        };
        let (actions, failure) = cx.resolve(question, cx.capabilities())?;
        if let Some(error) = failure {
            return Err(error);
        }
        cx.deliver(actions.clone()).await?;
        let until = until(within);
        let mut asked_again = 0;
        loop {
            let verdict = |event: &Event| match self.judge(cx, event) {
                Said::SomethingElse => Verdict::Pass,
                Said::Unclear if asked_again == AGAIN => Verdict::Pass,
                Said::Command => Verdict::Leave,
                Said::Unclear | Said::Cancel | Said::Answer => Verdict::Take,
            };
            let Some(event) = cx.waited_for(verdict, until).await? else {
                return Err(Unanswered::Command.into_error(""));
            };
            // By the event alone, so that the next attempt takes it for the same.
            match self.judge(cx, &event) {
                Said::Cancel => return Err(Unanswered::Cancelled.into_error(ALL_RIGHT)),
                Said::Unclear => {
                    asked_again += 1;
                    cx.deliver(actions.clone()).await?;
                }
                // It was an answer when it came, whatever it would be by now.
                Said::Answer | Said::SomethingElse | Said::Command => return Ok(event),
            }
        }
    }

    fn judge(&self, cx: &Context, event: &Event) -> Said {
        let is_theirs = event.sender().is(cx.event.sender().id());
        let Some(message) = event.message().filter(|_| is_theirs) else { return Said::SomethingElse };
        let said = event.said().unwrap_or_default();
        if self.is_cancel_word(said) {
            return Said::Cancel;
        }
        if self.choice(said).is_some() {
            return Said::Answer;
        }
        if self.on_command != OnCommand::Answers && cx.is_command(event) {
            return if self.on_command == OnCommand::Cancels { Said::Command } else { Said::SomethingElse };
        }
        let has_files = self.takes_files && !message.attachments.is_empty();
        let is_blank = trim(said).is_empty() && !has_files;
        if self.choices.is_some() || is_blank { Said::Unclear } else { Said::Answer }
    }

    fn is_cancel_word(&self, said: &str) -> bool {
        self.cancel_words.iter().any(|word| is_same(word, said))
    }

    /// Which of the choices this names: by its words, or by its number in the list.
    fn choice(&self, said: &str) -> Option<usize> {
        let choices = self.choices.as_ref()?;
        let by_words = choices.iter().position(|choice| is_same(choice, said));
        by_words.or_else(|| {
            let number = fold(said, Case::Lower);
            let number: usize = number.trim_end_matches(['.', ')']).parse().ok()?;
            number.checked_sub(1).filter(|at| *at < choices.len())
        })
    }
}

/// Whether two texts differ in nothing but how they are typed.
fn is_same(one: &str, other: &str) -> bool {
    fold(trim(one), Case::Lower) == fold(trim(other), Case::Lower)
}

fn no_choices() -> Error {
    Error::new("a question without a choice has no answer")
        .with_hint("give `choices(..)` at least one, or leave it out for any text")
}
