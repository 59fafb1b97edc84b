//! What becomes of what goes wrong, as the author has decided for the whole bot.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::guarantee::OnUnknown;
use crate::journal::Dead;
use crate::retry::Retry;

/// What the author wants done when something is given up.
pub(crate) type OnDead = Arc<dyn Fn(Dead) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct FailurePolicy {
    /// What happens to an event whose handler failed, unless its trigger says otherwise.
    pub(crate) retry: Retry,
    /// How long a handler may take, where nothing of its own says so; what the settings say, unless told.
    pub(crate) within: Option<Duration>,
    pub(crate) on_unknown: OnUnknown,
    /// Whether the same may be said to the same conversation again and again.
    pub(crate) is_unbraked: bool,
    /// Told of each dead letter.
    pub(crate) on_dead: Option<OnDead>,
}
