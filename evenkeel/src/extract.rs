//! The arguments of a handler, each taken from the event by its type.

mod words;
mod captures;

use std::future::{Future, ready};
use std::ops::Deref;

use serde::de::DeserializeOwned;

use crate::command::{Parameters, TriggerKind};
use crate::context::Context;
use crate::error::Error;
use crate::event::{
    Conversation, Deletion, Edit, Event, Message, Other, PollVote, Reaction, Receipt, Sender, Typing,
};
use crate::reply::{IntoReply, Reply};
use crate::text::Clean;
use crate::trigger::{Kind, Trigger};

/// An argument of a handler. One of the three traits that a user may implement.
///
/// Extractors only borrow the event, so they may stand in any order. `S` is the bot's state.
///
/// ```
/// use evenkeel::{Context, FromEvent, Rejection};
///
/// struct Loud(bool);
///
/// impl<S: Sync> FromEvent<S> for Loud {
///     async fn from_event(cx: &Context, _state: &S) -> Result<Self, Rejection> {
///         let text = cx.event().text().ok_or_else(|| Rejection::silent("not a message"))?;
///         Ok(Loud(text.ends_with('!')))
///     }
/// }
///
/// async fn calm(Loud(is_loud): Loud) -> Option<&'static str> {
///     is_loud.then_some("no need to shout")
/// }
/// # evenkeel::Router::new().command("!x", calm).with_state(());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor",
    label = "a handler cannot take `{Self}` as an argument",
    note = "extractors are `Text`, `Rest`, `Captures<T>`, `Args<T>`, `Sender`, `Conversation`, `Message`, `Event`, `Context`, `State<T>`, an `Option` of these, or a type for which you implement `FromEvent`"
)]
pub trait FromEvent<S>: Sized {
    /// Takes the argument from the event.
    ///
    /// # Errors
    ///
    /// A [`Rejection`]: the handler does not run, and the person reads the rejection's reply, if it has one.
    fn from_event(cx: &Context, state: &S) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// Says at start-up why this argument can never fit a handler of this trigger.
    ///
    /// # Errors
    ///
    /// The reason, which becomes the message of a panic with the author's line.
    fn fits(trigger: Option<&Trigger>) -> Result<(), String> {
        let _ = trigger;
        Ok(())
    }

    /// Says at start-up what this argument takes from what people write, for networks, help and pages; nothing, unless told.
    ///
    /// One that looks for something by itself adds a [`Parameter`](crate::command::Parameter); one that is made of another
    /// extractor has that one describe itself.
    ///
    /// ```
    /// use evenkeel::command::Parameters;
    /// use evenkeel::{Args, Context, FromEvent, Rejection, Router};
    ///
    /// struct Dice(u8);
    ///
    /// impl<S: Sync> FromEvent<S> for Dice {
    ///     async fn from_event(cx: &Context, state: &S) -> Result<Self, Rejection> {
    ///         let Args(sides) = Args::<u8>::from_event(cx, state).await?;
    ///         if sides > 1 { Ok(Dice(sides)) } else { Err(Rejection::usage(cx, "two sides at least")) }
    ///     }
    ///
    ///     fn describe(parameters: &mut Parameters) {
    ///         <Args<u8> as FromEvent<S>>::describe(parameters);
    ///     }
    /// }
    ///
    /// async fn roll(Dice(sides): Dice) -> String { format!("1 of {sides}") }
    ///
    /// let app = Router::new().command("!roll", roll).with_state(());
    /// assert_eq!(app.specs()[0].usage.as_deref(), Some("!roll <number>"));
    /// ```
    fn describe(parameters: &mut Parameters) {
        let _ = parameters;
    }
}

/// Why an argument could not be taken from an event.
#[derive(Debug)]
pub struct Rejection {
    reply: Reply,
    reason: String,
}

impl Rejection {
    /// The person reads `text`.
    pub fn reply(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { reply: Reply::text(text), reason: "the arguments do not fit".into() }
    }

    /// The handler fails with this error.
    pub(crate) fn failed(error: Error) -> Self {
        let reason = error.to_string();
        Self { reply: Reply::failed(error), reason }
    }

    /// Nobody reads anything; `reason` goes to the debug log.
    pub fn silent(reason: impl Into<String>) -> Self {
        Self { reply: Reply::none(), reason: reason.into() }
    }

    /// The arguments do not fit: the person reads how the command wants to be written.
    pub fn usage(cx: &Context, problem: impl std::fmt::Display) -> Self {
        Self::reply(cx.with_usage(problem))
    }

    /// What a person who wrote reads. Of what nobody wrote only a failure is left, which is nobody's to read.
    pub(crate) fn reply_in(self, cx: &Context) -> Reply {
        let is_answer = cx.event().message().is_some() || self.reply.failure().is_some();
        if is_answer { self.reply } else { Reply::none() }
    }

    /// For the debug log.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl IntoReply for Rejection {
    fn into_reply(self) -> Reply {
        self.reply
    }
}

/// The whole text of a message, as it was written. [`Message::text_with_names`] has the people's names in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

/// The text of a message after the words of the command that matched, as it was written, without space around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest(pub String);

/// Whether the bot was spoken to, see [`Event::is_addressed`]: what the fallback of a bot in a group asks.
///
/// ```
/// use evenkeel::{Addressed, Text};
///
/// async fn chat(Addressed(is_addressed): Addressed, Text(text): Text) -> Option<String> {
///     is_addressed.then(|| format!("you said: {text}"))
/// }
/// # evenkeel::Router::new().fallback(chat).with_state(());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressed(pub bool);

/// What the groups of a pattern caught.
///
/// *Shape*: named groups fill the fields of a struct; numbered ones fill a tuple, from the first group on; a
/// pattern with one group fills a single value. A group that took no part is `None` for an `Option`. The shape is
/// checked when the route is added, with the author's line.
///
/// ```
/// use evenkeel::{Captures, Router};
///
/// #[derive(serde::Deserialize)]
/// struct City { city: String, days: Option<u8> }
///
/// async fn weather(Captures(City { city, days }): Captures<City>) -> String {
///     format!("{city} for {} days", days.unwrap_or(1))
/// }
/// async fn sum(Captures((a, b)): Captures<(i64, i64)>) -> String { (a + b).to_string() }
///
/// let app = Router::new()
///     .regex(r"^!weather (?P<city>\w+)( (?P<days>\d+))?$", weather)
///     .regex(r"^!add (-?\d{1,9}) (-?\d{1,9})$", sum)
///     .with_state(());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captures<T>(pub T);

/// The words after a command. Quotes around words hold them together, typographic ones, too; other quotes and apostrophes
/// are text.
///
/// *Shape*: `"a 'b c' 3"` -> `Args<Vec<String>>` (the default) of three words, or `Args<(String, String, u8)>`.
/// More words than a tuple or struct has places are all the last one's, as they were written, line breaks and quotes
/// included: `"10 tea  with \"milk\""` -> `Args<(u32, String)>`. A [`Duration`](std::time::Duration) is written `10s`,
/// `2h30m` or `1d`. Words that do not fit get the usage as a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args<T = Vec<String>>(pub T);

/// The bot's state, or a part of it, see [`FromRef`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// How a part of the state is had from all of it. Every `Clone` type is a part of itself, and
/// [`state_parts!`](crate::state_parts) makes parts of the fields of a struct.
#[diagnostic::on_unimplemented(
    message = "this bot has no state of type `{Self}`",
    label = "the state is `{S}`, which has no `{Self}` in it",
    note = "call `.with_state(..)` with a `{Self}`, or implement `FromRef<{S}>` for `{Self}`: `state_parts!` does it for the field of a struct"
)]
pub trait FromRef<S> {
    /// Clones the part.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}

/// Makes parts of the state of the fields of a struct: `State<Db>` is then an argument of handlers and layers.
///
/// *Shape*: the struct, then fields with their types, each type once. What is not named stays reachable by the whole state.
///
/// ```
/// use evenkeel::{Router, State};
///
/// #[derive(Clone)]
/// struct Db;
/// #[derive(Clone)]
/// struct Shop { db: Db, currency: &'static str }
/// evenkeel::state_parts!(Shop { db: Db });
///
/// async fn buy(State(_db): State<Db>, State(shop): State<Shop>) -> String {
///     format!("that makes 3 {}", shop.currency)
/// }
/// let app = Router::new().command("!buy", buy).with_state(Shop { db: Db, currency: "EUR" });
/// ```
#[macro_export]
macro_rules! state_parts {
    ($state:ty { $($field:ident: $part:ty),+ $(,)? }) => {$(
        impl $crate::FromRef<$state> for $part {
            fn from_ref(state: &$state) -> Self {
                ::core::clone::Clone::clone(&state.$field)
            }
        }
    )+};
}

impl<S: Sync, T: FromRef<S> + Send> FromEvent<S> for State<T> {
    fn from_event(_: &Context, state: &S) -> impl Future<Output = Result<Self, Rejection>> + Send {
        ready(Ok(Self(T::from_ref(state))))
    }
}

impl<S: Sync, T: FromEvent<S> + Send> FromEvent<S> for Option<T> {
    async fn from_event(cx: &Context, state: &S) -> Result<Self, Rejection> {
        Ok(T::from_event(cx, state).await.ok())
    }

    fn fits(trigger: Option<&Trigger>) -> Result<(), String> {
        // What other events have may be missing from this one; what fits no event at all is a mistake.
        if is_job(trigger) || T::fits(None).is_ok() { Ok(()) } else { T::fits(trigger) }
    }

    fn describe(parameters: &mut Parameters) {
        parameters.optionally(T::describe);
    }
}

fn is_job(trigger: Option<&Trigger>) -> bool {
    trigger.is_some_and(|trigger| matches!(trigger.kind, Kind::Job { .. }))
}

impl<S: Sync> FromEvent<S> for Rest {
    fn from_event(cx: &Context, _: &S) -> impl Future<Output = Result<Self, Rejection>> + Send {
        ready(Ok(Self(cx.rest().to_owned())))
    }

    fn describe(parameters: &mut Parameters) {
        parameters.take_rest();
    }
}

impl<S: Sync, T: DeserializeOwned + Send> FromEvent<S> for Args<T> {
    fn from_event(cx: &Context, _: &S) -> impl Future<Output = Result<Self, Rejection>> + Send {
        let (event, rest) = (cx.event(), cx.rest());
        let mut words = words::split(rest);
        if let Some(message) = event.message().filter(|message| !message.mentions.is_empty()) {
            words = words::joined(words, rest, &message.text, &message.mentions);
        }
        let takes = cx.facts().typed.as_ref().and_then(|typed| typed.takes::<T>());
        let plan = takes.map(|takes| captures::Plan { takes, event });
        let taken = captures::from_words(cx.command(), words, event, plan);
        ready(taken.map(Self).map_err(|problem| Rejection::usage(cx, problem)))
    }

    fn fits(trigger: Option<&Trigger>) -> Result<(), String> {
        match trigger.map(|trigger| &trigger.kind) {
            Some(Kind::Command(_)) => captures::check_words::<T>(),
            _ => Err("`Args` needs a command: use `.command(..)`, or `Captures` with a pattern".into()),
        }
    }

    fn describe(parameters: &mut Parameters) {
        if parameters.trigger() == Some(TriggerKind::Command) {
            parameters.take_words::<T>(captures::describe_words::<T>());
        }
    }
}

impl<S: Sync, T: DeserializeOwned + Send> FromEvent<S> for Captures<T> {
    fn from_event(cx: &Context, _: &S) -> impl Future<Output = Result<Self, Rejection>> + Send {
        let text = Clean::new(cx.matched_text());
        let Some(regex) = cx.pattern() else {
            return ready(Err(Rejection::silent("captures of a trigger that is no pattern")));
        };
        let taken = match regex.captures(text.text()) {
            Some(groups) => captures::from_groups(regex, &groups, &text, cx.event())
                .map_err(|problem| Rejection::usage(cx, problem)),
            None => Err(Rejection::silent("a layer changed the text so that the pattern fits no more")),
        };
        ready(taken.map(Self))
    }

    fn fits(trigger: Option<&Trigger>) -> Result<(), String> {
        match trigger.map(|trigger| &trigger.kind) {
            Some(Kind::Pattern(regex)) => captures::check::<T>(regex),
            _ => Err("`Captures` needs a pattern: use `.regex(..)`, or `Args` with a command".into()),
        }
    }

    fn describe(parameters: &mut Parameters) {
        if let Some(regex) = parameters.pattern() {
            let described = captures::describe_groups::<T>(regex);
            parameters.take(described);
        }
    }
}

fn anywhere(_: &str, _: Option<&Trigger>) -> Result<(), String> {
    Ok(())
}

fn of_messages(part: &str, trigger: Option<&Trigger>) -> Result<(), String> {
    if is_job(trigger) {
        return Err(format!(
            "a job has no `{part}`: nobody wrote anything. Give it what it needs as `Job<T>`"
        ));
    }
    Ok(())
}

fn of_events(part: &str, trigger: Option<&Trigger>) -> Result<(), String> {
    if trigger.is_some_and(|trigger| !matches!(trigger.kind, Kind::Job { .. })) {
        return Err(format!("`{part}` is in no message: use `.on(..)`"));
    }
    of_messages(part, trigger)
}

/// Extractors that are a part of the event, or missing from it.
macro_rules! parts {
    ($($type:ty: $part:expr, $where:ident;)*) => {$(
        impl<S: Sync> FromEvent<S> for $type {
            fn from_event(cx: &Context, _: &S) -> impl Future<Output = Result<Self, Rejection>> + Send {
                let part: fn(&Context) -> Option<$type> = $part;
                ready(part(cx).ok_or_else(|| {
                    Rejection::silent(concat!("the event has no `", stringify!($type), "` in it"))
                }))
            }

            fn fits(trigger: Option<&Trigger>) -> Result<(), String> {
                $where(stringify!($type), trigger)
            }
        }
    )*};
}
parts! {
    Context: |cx| Some(cx.clone()), anywhere;
    Event: |cx| Some(cx.event().clone()), anywhere;
    Addressed: |cx| Some(Addressed(cx.event().is_addressed())), anywhere;
    Sender: |cx| Some(cx.event().sender().clone()), anywhere;
    Conversation: |cx| Some(cx.event().conversation().clone()), anywhere;
    Text: |cx| cx.event().text().map(|text| Text(text.to_owned())), of_messages;
    Message: |cx| cx.event().message().cloned(), of_messages;
    Edit: |cx| cx.event().edit().cloned(), of_events;
    Reaction: |cx| cx.event().reaction().cloned(), of_events;
    Deletion: |cx| cx.event().deletion().cloned(), of_events;
    Typing: |cx| cx.event().typing().cloned(), of_events;
    Receipt: |cx| cx.event().receipt().cloned(), of_events;
    PollVote: |cx| cx.event().poll_vote().cloned(), of_events;
    Other: |cx| cx.event().other().cloned(), of_events;
}
