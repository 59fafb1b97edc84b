//! What went wrong, where, and what to do about it.

mod download;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

pub use download::DownloadError;

/// A result whose error is [`Error`]: what handlers, `main` and start-up functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error on its way to the log, and perhaps to the person who asked.
///
/// Any `std::error::Error` becomes one through `?`, which also notes the author's line. The person in the chat
/// sees one polite sentence; the log gets the whole chain, the line and the hint. Use [`Error::for_user`] for what
/// the person should read instead.
///
/// For that conversion to exist the type itself is not a `std::error::Error`; it prints like one.
///
/// ```
/// use evenkeel::{Error, Result};
///
/// fn age(text: &str) -> Result<u8> {
///     let age: u8 = text.parse()?; // the chain and this line go to the log
///     if age < 18 {
///         return Err(Error::for_user("adults only")); // this goes to the chat
///     }
///     Ok(age)
/// }
/// assert_eq!(age("7").unwrap_err().user_message(), Some("adults only"));
/// assert!(age("x").unwrap_err().to_string().contains("invalid digit"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<Cow<'static, str>>,
    /// What the person reads, where that is not the message.
    told: Option<Cow<'static, str>>,
    /// Whether it may pass by itself, if somebody said so.
    is_transient: Option<bool>,
    /// Each setting that is missing or wrong.
    problems: Vec<Problem>,
    /// How long it takes at least until another attempt may help, if somebody said so.
    retry_after: Option<Duration>,
    location: &'static Location<'static>,
}

/// One setting that is missing or wrong: see [`Error::problems`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Its flat name, such as `SIGNAL_API_URL`; empty where the name itself is the problem.
    pub setting: String,
    /// What is wrong with it.
    pub text: String,
    /// `NAME=value` as it would be right; empty where nothing is to be set.
    pub example: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Something failed; the person sees a general apology.
    Failed,
    /// The message is meant for the person in the chat.
    Told,
    /// Settings are missing or wrong; the operator has to act before the bot can start.
    Config,
}

/// What a panic said, and its end: dropping what it carried may panic as well, and costs nothing more.
pub(crate) fn panic_message(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("without a message").to_owned();
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // It could go on like this.
        std::mem::forget(another);
    }
    text
}

/// This many causes of an error are looked at: one could name itself as its cause.
const MOST_CAUSES: usize = 128;

impl Error {
    /// An error with a message for the log.
    #[track_caller]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self::build(Kind::Failed, message.into(), None)
    }

    /// An error whose message is sent to the person who wrote, as it is.
    #[track_caller]
    pub fn for_user(message: impl Into<Cow<'static, str>>) -> Self {
        Self::build(Kind::Told, message.into(), None)
    }

    /// An error in the settings: the operator has to change something before the bot can start.
    #[track_caller]
    pub fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::build(Kind::Config, message.into(), None)
    }

    #[track_caller]
    fn build(
        kind: Kind,
        message: Cow<'static, str>,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let location = Location::caller();
        let (hint, told, is_transient, retry_after, problems) = (None, None, None, None, Vec::new());
        Self(Box::new(Inner {
            kind,
            message,
            source,
            hint,
            told,
            is_transient,
            problems,
            retry_after,
            location,
        }))
    }

    /// Notes what is behind it.
    pub(crate) fn caused_by(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(cause));
        self
    }

    /// Adds what to change, shown after the error. Code goes in backticks.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says what was being done when `self` happened; `self` becomes the cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        let (hint, told) = (self.0.hint.take(), self.user_message().map(|told| told.to_owned().into()));
        let (kind, location, message) = (self.0.kind, self.0.location, message.into());
        let problems = std::mem::take(&mut self.0.problems);
        let (is_transient, retry_after) = (self.0.is_transient, self.0.retry_after);
        let source = Some(Box::new(Cause(self)) as _);
        Self(Box::new(Inner {
            kind,
            message,
            source,
            hint,
            told,
            is_transient,
            problems,
            retry_after,
            location,
        }))
    }

    /// Lets the person read `text` instead of the general apology. The error stays a failure: counted, and logged.
    #[must_use]
    pub fn with_user_message(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.0.told = Some(text.into());
        self
    }

    /// Says that this may pass by itself, so that the event is worth another attempt ([`Retry`](crate::retry::Retry)).
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.0.is_transient = Some(true);
        self
    }

    /// Says that this may pass by itself, but not before `wait` is over: the event is tried again then, or given up at once
    /// where its [`Retry`](crate::retry::Retry) has no time for that.
    ///
    /// ```
    /// use std::time::Duration;
    /// use evenkeel::Error;
    ///
    /// let error = Error::new("the queue is full").transient_after(Duration::from_secs(5));
    /// assert_eq!(error.retry_after(), Some(Duration::from_secs(5)));
    /// ```
    #[must_use]
    pub fn transient_after(mut self, wait: Duration) -> Self {
        self.0.is_transient = Some(true);
        self.0.retry_after = Some(wait);
        self
    }

    /// Says that this will not pass by itself, whatever is behind it.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.0.is_transient = Some(false);
        self
    }

    /// What [`Error::transient`] or [`Error::permanent`] said, if either did.
    pub(crate) fn marked_transient(&self) -> Option<bool> {
        self.0.is_transient
    }

    /// Notes what the message says as a list.
    pub(crate) fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.0.problems = problems;
        self
    }

    /// The settings that are missing or wrong, one by one, where that is what the error is about.
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// What [`Error::transient_after`] said, if it did.
    pub(crate) fn marked_retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Notes how long another attempt has to wait at least, without saying that it would help.
    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// Notes another line than the caller's.
    pub(crate) fn at(mut self, location: &'static Location<'static>) -> Self {
        self.0.location = location;
        self
    }

    /// The text meant for the person in the chat, if [`Error::for_user`] or [`Error::with_user_message`] gave one.
    pub fn user_message(&self) -> Option<&str> {
        let own = (self.0.kind == Kind::Told).then_some(&*self.0.message);
        self.0.told.as_deref().or(own)
    }

    /// Whether this is an answer rather than a failure: made by [`Error::for_user`].
    pub(crate) fn is_answer(&self) -> bool {
        self.0.kind == Kind::Told
    }

    /// Whether the settings are at fault.
    pub fn is_config(&self) -> bool {
        self.0.kind == Kind::Config
    }

    /// What to change, if somebody knows.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The line on which the error was made, or on which `?` turned another error into this one.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// The next error in the chain of causes.
    pub fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }

    /// Finds an error of type `E` in the chain, for example a refused connection; also within a `std::io::Error`, a `Box`
    /// or an `Arc`.
    pub fn find<E: StdError + 'static>(&self) -> Option<&E> {
        self.find_cause(|cause| cause_as(cause))
    }

    /// The first cause of which `look` finds something.
    pub(crate) fn find_cause<'a, T>(
        &'a self,
        look: impl Fn(&'a (dyn StdError + 'static)) -> Option<T>,
    ) -> Option<T> {
        let mut next = self.source();
        for _ in 0..MOST_CAUSES {
            let error = next?;
            if let Some(Cause(cause)) = error.downcast_ref() {
                next = cause.source();
                continue;
            }
            let found = look(error);
            if found.is_some() {
                return found;
            }
            // Its own `source` is the source of what it wraps, and leaves that out.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        None
    }

    /// The message and all its causes on one line, as logs want it.
    pub fn chain(&self) -> String {
        let mut text = self.0.message.to_string();
        let mut next = self.source();
        for _ in 0..MOST_CAUSES {
            let Some(error) = next else { break };
            let line = error.to_string();
            // Some libraries repeat their source in their own message; once is enough.
            if !text.ends_with(&line) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&line);
            }
            next = error.source();
        }
        text
    }
}

/// A cause as an `E`. A `Box` and an `Arc` have what they hold for themselves: their `source` is its source.
pub(crate) fn cause_as<'a, E: StdError + 'static>(cause: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let plain = cause.downcast_ref::<E>();
    let boxed = || cause.downcast_ref::<Box<E>>().map(|boxed| &**boxed);
    plain.or_else(boxed).or_else(|| cause.downcast_ref::<Arc<E>>().map(|shared| &**shared))
}

/// Carries an [`Error`] inside another one's chain.
struct Cause(Error);

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // An error that came through `?` has no message of its own: its `Display` is its source's.
        let own = self.0.source()?;
        if self.0.0.message.is_empty() { own.source() } else { Some(own) }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::build(Kind::Failed, Cow::Borrowed(""), Some(Box::new(error)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.0.message, &self.0.source) {
            ("", Some(source)) => source.fmt(f),
            (message, _) => f.write_str(message),
        }
    }
}

/// The report that `fn main() -> Result<(), evenkeel::Error>` prints: the chain, then the hint.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())?;
        if let Some(hint) = &self.0.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> Result<()> {
        Err(std::io::Error::other("the disk is on fire"))?;
        Ok(())
    }

    #[test]
    fn question_mark_notes_the_authors_line() {
        let error = broken().unwrap_err();
        assert!(error.location().file().ends_with("error.rs"));
        assert_eq!(error.location().line(), line!() - 8);
    }

    #[test]
    fn the_chain_names_each_cause_once() {
        let error = broken().unwrap_err().context("saving the list").with_hint("buy a new disk");
        assert_eq!(error.chain(), "saving the list: the disk is on fire");
        assert_eq!(format!("{error:?}"), "saving the list: the disk is on fire\n\nhint: buy a new disk");
        assert!(error.find::<std::io::Error>().is_some());
    }

    #[test]
    fn a_circle_of_causes_has_an_end() {
        #[derive(Debug)]
        struct Snake;
        impl fmt::Display for Snake {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bites its tail")
            }
        }
        impl StdError for Snake {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(self)
            }
        }
        let error = Error::from(Snake).context("feeding");
        assert_eq!(error.chain(), "feeding: bites its tail");
        assert!(error.find::<Snake>().is_some() && error.find::<io::Error>().is_none());
    }

    #[test]
    fn a_cause_is_found_within_what_wraps_it() {
        let gone = || io::Error::from(io::ErrorKind::ConnectionReset);
        for error in [
            Error::from(Box::new(gone())),
            Error::from(Arc::new(gone())),
            Error::from(gone()).context("one").context("two"),
        ] {
            let found = error.find::<io::Error>().map(io::Error::kind);
            assert_eq!(found, Some(io::ErrorKind::ConnectionReset), "{error:?}");
        }
        let wrapped = Error::from(io::Error::other(DownloadError::timeout()));
        assert!(wrapped.find::<DownloadError>().is_some_and(DownloadError::is_timeout));
    }

    #[test]
    fn only_told_errors_reach_the_chat() {
        assert_eq!(Error::for_user("no such city").user_message(), Some("no such city"));
        assert_eq!(Error::new("password is hunter2").user_message(), None);
        let error = Error::new("password is hunter2").with_user_message("try again later");
        assert_eq!(error.user_message(), Some("try again later"));
        assert!(!error.is_answer(), "it is logged and counted as a failure");
    }
}
