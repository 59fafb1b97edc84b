//! What the author wants done when a bot has started, and before it ends.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::handle::Handle;

/// A function of the author's that runs once for each run of the bot.
#[derive(Clone)]
pub(crate) struct Hook {
    /// The method that it was given to.
    pub(crate) name: &'static str,
    pub(crate) limit: Duration,
    /// Where it was given.
    pub(crate) place: &'static Location<'static>,
    pub(crate) run: Run,
}

type Run = Arc<dyn Fn(Handle) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + Sync>;

/// In the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) start: Vec<Hook>,
    pub(crate) stop: Vec<Hook>,
}

impl Hook {
    pub(super) fn new<F>(
        name: &'static str,
        limit: Duration,
        place: &'static Location<'static>,
        hook: impl Fn(Handle) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self { name, limit, place, run: Arc::new(move |handle| Box::pin(hook(handle))) }
    }
}

/// `the hook "on_start" of src/main.rs:12`, but for the quotes.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hook `{}` of {}:{}", self.name, self.place.file(), self.place.line())
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
