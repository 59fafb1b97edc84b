//! A bot's tests: the same code path as in the field, over the sandbox, with no network and no waiting.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
//! use evenkeel::{Router, testing};
//!
//! async fn ping() -> &'static str { "pong" }
//!
//! // In a test: #[tokio::test(start_paused = true)]
//! let mut chat = testing::chat(Router::new().command("!ping", ping));
//! assert_eq!(chat.say("!ping").await, ["pong"]);
//! assert!(chat.in_group("crew").say_as("bob", "hello").await.is_empty());
//! # }); Ok::<(), std::io::Error>(())
//! ```
//!
//! A handler that blocks fails its test: when the [`Chat`] is dropped, it panics with each place that blocked and what to
//! write instead. The verdict does not depend on how busy the machine is. [`Chat::may_block`] is for tests of handlers
//! that are known to block.

mod replies;
mod network;
mod home;
mod stage;
mod places;

use std::panic::Location;
use std::time::Duration;

use evenkeel_guard::{Executor, Report};
use tokio::runtime;

use self::network::Network;
pub use self::places::{Group, OnNetwork};
pub use self::replies::Replies;
use self::stage::Stage;
use crate::handle::Handle;
use crate::reply::File;
use crate::route::IntoApp;
use crate::sandbox::Sandbox;
use crate::serve::guarding;
use crate::status::Snapshot;
use crate::transport::Transport;

/// The primary network of a chat's bot, on which a chat speaks unless it is told otherwise.
const FIRST: usize = 0;

/// Begins a chat with a bot, as Alice. Bob and Carol are there, too, and the group `crew`.
///
/// # Panics
///
/// Outside an async runtime: use `#[tokio::test(start_paused = true)]`.
#[track_caller]
pub fn chat(app: impl IntoApp) -> Chat {
    chat_over(Sandbox::new(), app)
}

/// The same on a network that the test has made: with other people, with a deadline for answers, with less that it can carry.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// use std::time::Duration;
/// use evenkeel::{Router, sandbox::Sandbox, testing};
///
/// async fn report() -> &'static str {
///     tokio::time::sleep(Duration::from_secs(60)).await;
///     "all is well"
/// }
/// let sandbox = Sandbox::new().with_deadline(Duration::from_secs(3));
/// let mut chat = testing::chat_over(sandbox, Router::new().command("!report", report));
/// let replies = chat.say("!report").await;
/// assert_eq!(replies, ["…"], "in time");
/// assert_eq!(replies.edits(), ["all is well"], "in its place");
/// assert_eq!(chat.sandbox().missed_deadlines(), 0);
/// # }); Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// As [`chat`].
#[track_caller]
pub fn chat_over(sandbox: Sandbox, app: impl IntoApp) -> Chat {
    chat_on([(Transport::name(&sandbox), sandbox)], app)
}

/// The same with a bot that is on several networks, under these names. The first one is its primary network; [`Chat::on`] speaks on another.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// use evenkeel::{Context, Router, sandbox::Sandbox, testing};
///
/// async fn pass_on(cx: Context) -> &'static str {
///     cx.send(&cx.event().conversation().clone().with_network("discord"), "greetings from Signal");
///     "I have told them"
/// }
/// let networks = ["signal", "discord"].map(|name| (name, Sandbox::new()));
/// let mut chat = testing::chat_on(networks, Router::new().command("!greet", pass_on));
/// assert_eq!(chat.say("!greet").await, ["I have told them"]);
/// assert_eq!(chat.on("discord").replies().await, ["greetings from Signal"]);
/// # }); Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// As [`chat`], and where there is no network or two have one name.
#[track_caller]
pub fn chat_on<N: Into<String>>(networks: impl IntoIterator<Item = (N, Sandbox)>, app: impl IntoApp) -> Chat {
    let Ok(runtime) = runtime::Handle::try_current() else {
        panic!("`chat` needs a runtime: write `#[tokio::test(start_paused = true)]` over the test")
    };
    let executor = Executor::strict_with(runtime, &guarding().with_strictness());
    let networks = networks.into_iter().map(|(name, sandbox)| Network::new(name.into(), sandbox));
    let stage = Stage::new(networks.collect(), app.into_app(), executor);
    Chat { stage, may_block: false, began: Location::caller() }
}

/// A chat with a bot. The bot ends with it.
///
/// A handler that blocked fails the test when the chat is dropped, with its line and what to write instead, unless the
/// test said [`may_block`](Self::may_block). All places are told at once. Where the test has failed already, they are
/// printed beside its own failure, since they may be the cause.
///
/// Each of its methods waits until the bot has nothing left to do, and returns what the bot did meanwhile. Under a
/// paused clock (`start_paused = true`) handlers that sleep take no time. The methods panic, with the test's line, when
/// the sandbox does not know a person or a group.
///
/// Where the bot is on several networks they speak on the first one and return what it did there; see [`Chat::on`].
#[derive(Debug)]
pub struct Chat {
    stage: Stage,
    may_block: bool,
    /// The test's line.
    began: &'static Location<'static>,
}

/// Fails the test if a handler blocked: all of them at once.
impl Drop for Chat {
    fn drop(&mut self) {
        let failures = if self.may_block { Vec::new() } else { self.stage.failures() };
        if failures.is_empty() {
            return;
        }
        // The panic cannot have the test's line, since nobody calls a drop.
        let told = format!("in the chat that began at {}, {}", self.began, evenkeel_guard::told(&failures));
        let told = format!("{told}\nA test that is about blocking says `testing::chat(..).may_block()`.");
        if std::thread::panicking() {
            // A second panic would end the process, and with it the tests beside this one.
            eprintln!("{told}");
        } else {
            panic!("{told}");
        }
    }
}

impl Chat {
    /// Says something as Alice in her direct chat with the bot.
    ///
    /// # Cancel safety
    ///
    /// The words are said; what the bot answers goes to the next call.
    pub async fn say(&mut self, text: &str) -> Replies {
        self.say_as("alice", text).await
    }

    /// Says something as `person` (`"alice"`, `"bob"`, `"carol"`) in their direct chat with the bot.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`].
    pub async fn say_as(&mut self, person: &str, text: &str) -> Replies {
        self.first().say_as(person, text).await
    }

    /// Sends files with a caption as Alice.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`].
    pub async fn send(&mut self, caption: &str, files: impl IntoIterator<Item = File>) -> Replies {
        self.first().send(caption, files).await
    }

    /// Reacts as Alice to the newest message of the bot.
    ///
    /// # Panics
    ///
    /// When the bot has said nothing yet.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`].
    pub async fn react(&mut self, emoji: &str) -> Replies {
        self.first().react(emoji).await
    }

    /// Lets handlers block without failing the test; [`Chat::blocked`] still says which did.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// use evenkeel::{Router, testing};
    ///
    /// async fn freeze() -> &'static str {
    ///     std::thread::sleep(std::time::Duration::from_millis(1));
    ///     "done"
    /// }
    /// let mut chat = testing::chat(Router::new().command("!freeze", freeze)).may_block();
    /// assert_eq!(chat.say("!freeze").await, ["done"]);
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn may_block(mut self) -> Self {
        self.may_block = true;
        self
    }

    /// The places at which handlers blocked so far: those that fail a test, one report each, oldest first.
    ///
    /// Keeps its thread for some milliseconds, until everything that was seen has been looked into.
    pub fn blocked(&self) -> Vec<Report> {
        self.stage.failures()
    }

    /// Speaks in a group from here on: `chat.in_group("crew").say("!ping")`.
    pub fn in_group(&mut self, group: &str) -> Group<'_> {
        Group::new(&mut self.stage, FIRST, group)
    }

    /// Speaks on another network of the bot: `chat.on("discord").say("!ping")`. What the bot does there is returned there, whatever it
    /// was that it answered: after [`say`](Self::say), [`advance`](Self::advance) or [`restart`](Self::restart), ask for
    /// `chat.on("discord").replies()`.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// use evenkeel::{Context, Router, sandbox::Sandbox, testing};
    ///
    /// async fn here(cx: Context) -> String { format!("on {}", cx.network()) }
    ///
    /// let networks = ["signal", "discord"].map(|name| (name, Sandbox::new()));
    /// let mut chat = testing::chat_on(networks, Router::new().command("!where", here));
    /// assert_eq!(chat.say("!where").await, ["on signal"]);
    /// let mut there = chat.on("discord");
    /// assert_eq!(there.say_as("bob", "!where").await, ["on discord"]);
    /// assert_eq!(there.in_group("crew").say("!where").await, ["on discord"]);
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When the bot is not on it.
    #[track_caller]
    pub fn on(&mut self, network: &str) -> OnNetwork<'_> {
        let Some(index) = self.stage.find(network) else {
            panic!("the bot is not on the network `{network}`, but on {}", self.stage.names())
        };
        OnNetwork::new(&mut self.stage, index)
    }

    fn first(&mut self) -> OnNetwork<'_> {
        OnNetwork::new(&mut self.stage, FIRST)
    }

    /// Lets time pass, and returns what the bot did meanwhile. Under a paused clock this takes no time.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`].
    pub async fn advance(&mut self, time: Duration) -> Replies {
        tokio::time::sleep(time).await;
        self.replies().await
    }

    /// Lets time pass until the next job is due, and returns what it did. Jobs are what `cx.after`, `cx.defer` and their like have
    /// planned, and the schedules of the router.
    ///
    /// ```
    /// use std::time::Duration;
    /// use evenkeel::{Context, Job, Result, Router, testing};
    ///
    /// async fn remind(cx: Context) -> Result<&'static str> {
    ///     cx.after(Duration::from_secs(86_400), ring, ("tea".to_owned(),))?;
    ///     Ok("I will")
    /// }
    /// async fn ring(Job((what,)): Job<(String,)>) -> String { what }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// let mut chat = testing::chat(Router::new().command("!remind", remind).job(ring));
    /// assert_eq!(chat.say("!remind").await, ["I will"]);
    /// chat.restart().await;
    /// assert_eq!(chat.advance_to_next_job().await, ["tea"]);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When no job waits.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`].
    pub async fn advance_to_next_job(&mut self) -> Replies {
        let next = self.stage.until_next_job().await.expect("a job waits");
        self.advance(next).await
    }

    /// Stops the bot and starts it again, as an update would: what runs may finish, what waits is in its journal. Returns what the two of
    /// them did, once there is nothing left to do.
    ///
    /// # Cancel safety
    ///
    /// The chat may be left without a bot.
    pub async fn restart(&mut self) -> Replies {
        self.stage.restart().await;
        self.replies().await
    }

    /// The same, with another release of the bot: it finds what this one has planned, kept and asked, under the names that things had here.
    ///
    /// ```
    /// use std::time::Duration;
    /// use evenkeel::{Context, Job, Result, Router, testing};
    ///
    /// async fn remind(cx: Context) -> Result<&'static str> {
    ///     cx.after(Duration::from_secs(60), ring, ("tea".to_owned(),))?;
    ///     Ok("I will")
    /// }
    /// async fn ring(Job((what,)): Job<(String,)>) -> String { what }
    /// async fn ring_louder(Job((what,)): Job<(String,)>) -> String { format!("{what}!") }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// let mut chat = testing::chat(Router::new().command("!remind", remind).job(ring));
    /// chat.say("!remind").await;
    /// let next = Router::new().job(ring_louder).with_state(());
    /// chat.update(next.with_job_alias(std::any::type_name_of_val(&ring), ring_louder)).await;
    /// assert!(chat.snapshot().await.unknown_jobs.is_empty());
    /// assert_eq!(chat.advance_to_next_job().await, ["tea!"]);
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The chat may be left without a bot.
    pub async fn update(&mut self, app: impl IntoApp) -> Replies {
        self.stage.update(app.into_app()).await;
        self.replies().await
    }

    /// Ends the bot as `kill -9` would, in the middle of whatever it does, and starts it again. Returns what the next one did, once there is
    /// nothing left to do.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// use evenkeel::{Context, Result, Router, testing};
    ///
    /// async fn order(cx: Context) -> Result<String> {
    ///     let size = cx.ask("which size?").await?;
    ///     Ok(format!("a {size} one"))
    /// }
    /// let mut chat = testing::chat(Router::new().command("!order", order));
    /// assert_eq!(chat.say("!order").await, ["which size?"]);
    /// assert!(chat.kill().await.is_empty(), "it is not asked again");
    /// assert_eq!(chat.say("large").await, ["a large one"]);
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The chat may be left without a bot.
    pub async fn kill(&mut self) -> Replies {
        self.stage.kill().await;
        self.replies().await
    }

    /// Speaks for the bot, as whatever runs beside it does; for the next one, too, after [`restart`](Self::restart) and
    /// [`kill`](Self::kill).
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// use evenkeel::{Conversation, Handle, Result, Router, testing};
    ///
    /// async fn alarm(handle: &Handle) -> Result<()> {
    ///     handle.to(&Conversation::group("crew")).send("the oven is hot").with_id("oven 17").await?;
    ///     Ok(())
    /// }
    /// let mut chat = testing::chat(Router::new());
    /// let handle = chat.handle();
    /// alarm(&handle).await.unwrap();
    /// assert_eq!(chat.replies().await, ["the oven is hot"]);
    /// chat.restart().await;
    /// alarm(&handle).await.unwrap();
    /// assert!(chat.replies().await.is_empty(), "it was said before");
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    pub fn handle(&self) -> Handle {
        self.stage.handle().cloned().expect("a chat has a bot")
    }

    /// The network behind the chat, for whatever else people do: edits, deletions, typing, new people.
    pub fn sandbox(&self) -> &Sandbox {
        self.stage.sandbox(FIRST)
    }

    /// What the bot did since the last call, once it has nothing left to do.
    ///
    /// # Panics
    ///
    /// When the bot did more than a thousand things, or has stopped.
    ///
    /// # Cancel safety
    ///
    /// What was done goes to the next call.
    pub async fn replies(&mut self) -> Replies {
        self.first().replies().await
    }

    /// How the bot is.
    ///
    /// # Panics
    ///
    /// When the bot has stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn snapshot(&self) -> Snapshot {
        self.stage.snapshot().await.expect("the bot runs as long as its chat")
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use super::*;
    use crate::capability::TextLimit;
    use crate::context::Context;
    use crate::error::Result;
    use crate::extract::Rest;
    use crate::route::Router;

    async fn echo(Rest(text): Rest) -> String {
        text
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_bot_does_is_seen() {
        async fn busy(cx: Context) -> Result<&'static str> {
            let note = cx.reply_now("one").await?;
            cx.edit(&note, "two");
            cx.react("👍");
            let gone = cx.reply_now("gone").await?;
            cx.delete(&gone);
            Ok("three")
        }
        let mut chat = chat(Router::new().command("!busy", busy).command("!echo", echo));
        let replies = chat.say("!busy").await;
        assert_eq!(replies, ["one", "gone", "three"], "as they were written");
        assert_eq!(replies.edits(), ["two"]);
        assert_eq!(replies.reactions(), ["👍"]);
        assert_eq!(replies.deletions().len(), 1);
        assert_eq!(chat.say_as("bob", "!echo hi").await, ["hi"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_bot_has_begun_goes_on_after_its_end() {
        async fn slow(cx: Context) -> Result<String> {
            let step = cx.step("once", async { Ok(cx.attempt()) }).await?;
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(format!("attempt {}, step of attempt {step}", cx.attempt()))
        }
        let app = || Router::new().command("!slow", slow).command("!echo", echo);
        let mut chat = super::chat(app());
        chat.sandbox().say("alice", "alice", "!slow").expect("Alice is there");
        while chat.snapshot().await.running == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(chat.kill().await, ["attempt 2, step of attempt 1"]);
        chat.sandbox().say("alice", "alice", "!slow").expect("Alice is there");
        while chat.snapshot().await.running == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(chat.restart().await, ["attempt 1, step of attempt 1"], "an orderly stop lets it finish");
        assert_eq!(chat.say("!echo again").await, ["again"]);
        assert_eq!(chat.kill().await, [""; 0], "what is done is not done again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_can_carry_less_gets_less_or_says_no() {
        async fn long() -> String {
            "a sentence of some words. ".repeat(4)
        }
        async fn like(cx: Context) -> &'static str {
            cx.react("👍");
            "done"
        }
        async fn now(cx: Context) -> Result<String> {
            let id = cx.reply_now("first").await?;
            let refused = cx.reply_now(crate::Reply::edit(id, "second")).await;
            Ok(refused.expect_err("there are no edits").to_string())
        }
        let sandbox = Sandbox::new();
        let small =
            sandbox.capabilities().with_text(TextLimit::Characters(60)).without_reactions().without_edits();
        let app = Router::new().command("!long", long).command("!like", like).command("!now", now);
        let mut chat = chat_over(sandbox.with_capabilities(small), app);
        let two = "a sentence of some words. a sentence of some words.";
        assert_eq!(chat.say("!long").await, [two, &format!("{two} ")]);
        let replies = chat.say("!like").await;
        assert_eq!(
            (replies.texts.as_slice(), replies.reactions()),
            (&["Sorry, I cannot do that here.".to_owned()][..], &[][..])
        );
        assert_eq!(chat.say("!now").await, ["first", "this network has no edits of messages"]);
    }

    /// Calls that the guard knows, where they are right.
    mod elsewhere {
        use super::*;
        use crate::offload::{Pool, blocking, offload};

        fn nap() -> &'static str {
            std::thread::sleep(Duration::from_micros(1));
            "rested"
        }

        async fn doze() -> Result<String> {
            let (one, two) = (blocking(nap).await?, offload(nap).await?);
            Ok(format!("{one} {two} {}", Pool::new(1).run(nap).await?))
        }

        fn app() -> Router {
            Router::new().command("!nap", blocking(nap)).command("!nod", offload(nap)).command("!doze", doze)
        }

        async fn check() {
            let mut chat = chat(app());
            assert_eq!(chat.say("!nap").await, ["rested"]);
            assert_eq!(chat.say("!nod").await, ["rested"]);
            assert_eq!(chat.say("!doze").await, ["rested rested rested"]);
            assert!(chat.blocked().is_empty(), "{:?}", chat.blocked());
        }

        #[tokio::test(start_paused = true)]
        async fn what_a_pool_runs_does_not_block() {
            check().await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn nor_on_a_runtime_of_many_threads() {
            check().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_chat_that_may_block_passes() {
        async fn nap() -> &'static str {
            std::thread::sleep(Duration::from_micros(1));
            "rested"
        }
        let mut chat = chat(Router::new().command("!nap", nap)).may_block();
        assert_eq!(chat.say("!nap").await, ["rested"]);
    }

    /// The promise is a thousand in a second; `bench` prints the time, this test prints how many ran.
    #[test]
    fn a_thousand_chats_run() {
        for n in 0..1000 {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
            runtime.block_on(async {
                let mut chat = chat(Router::new().command("!echo", echo));
                assert_eq!(chat.say(&format!("!echo {n}")).await, [n.to_string().as_str()]);
            });
        }
    }

    #[test]
    #[should_panic(expected = "write `#[tokio::test(start_paused = true)]` over the test")]
    fn a_chat_outside_a_runtime_says_what_to_write() {
        let _chat = chat(Router::new().command("!echo", echo));
    }

    /// Of handlers that block, where the guard sees calls.
    mod hooked {
        use std::panic::{AssertUnwindSafe, catch_unwind};

        use super::*;

        async fn nap() -> &'static str {
            std::thread::sleep(Duration::from_micros(1));
            "rested"
        }

        fn app() -> Router {
            Router::new().command("!nap", nap)
        }

        /// The message of the panic.
        fn failure(test: impl FnOnce()) -> String {
            let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("the test fails");
            panic.downcast_ref::<String>().cloned().expect("a message")
        }

        fn on_one_thread(test: impl Future<Output = ()>) {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().start_paused(true).build().expect("a runtime").block_on(test);
        }

        fn on_many_threads(test: impl Future<Output = ()>) {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2).enable_time().build().expect("a runtime").block_on(test);
        }

        #[test]
        fn a_handler_that_blocks_fails_its_test() {
            let test = async || {
                let mut chat = chat(app());
                assert_eq!(chat.say("!nap").await, ["rested"], "it is answered all the same");
            };
            for told in [failure(|| on_one_thread(test())), failure(|| on_many_threads(test()))] {
                let first = told.lines().next().expect("a line");
                assert!(first.starts_with("in the chat that began at evenkeel/src/testing.rs:"), "{told}");
                assert!(first.contains(" 1 place blocks"), "{told}");
                assert!(told.contains("in `!nap`") && told.contains("may_block()"), "{told}");
                assert!(told.contains("tokio::time::sleep"), "{told}");
            }
        }

        #[test]
        fn a_test_that_fails_keeps_its_own_failure() {
            let test = async {
                let mut chat = chat(app());
                let replies = chat.say("!nap").await;
                panic!("I expected something other than {replies:?}");
            };
            let told = failure(|| on_one_thread(test));
            assert_eq!(told, r#"I expected something other than ["rested"]"#);
        }

        #[test]
        fn two_chats_that_block_are_one_failure() {
            let test = async {
                let (mut one, mut two) = (chat(app()), chat(app()));
                one.say("!nap").await;
                two.say("!nap").await;
            };
            let told = failure(|| on_one_thread(test));
            assert!(told.contains("in `!nap`"), "{told}");
        }

        #[test]
        fn a_chat_that_may_block_says_what_blocked() {
            on_one_thread(async {
                let mut chat = chat(app()).may_block();
                chat.say("!nap").await;
                chat.say("!nap").await;
                let blocked = chat.blocked();
                assert_eq!((blocked.len(), blocked[0].name.as_str(), blocked[0].times), (1, "!nap", 2));
            });
        }
    }
}
