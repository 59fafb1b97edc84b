//! How long the handlers of a router may take.

use std::time::Duration;

use super::Router;

impl<S> Router<S> {
    /// How long each handler of this router may take, whether added before or after, where its trigger
    /// ([`Trigger::within`](crate::Trigger::within)) or a router inside does not say; [`Duration::MAX`] for as long as it likes.
    ///
    /// It is the way to give a limit to what has no trigger: [`on`](Self::on), [`job`](Self::job), [`fallback`](Self::fallback),
    /// and [`schedule`](Self::schedule), which has none unless told.
    ///
    /// ```
    /// use std::time::Duration;
    /// use evenkeel::Router;
    ///
    /// async fn tidy_up() {}
    /// async fn ping() -> &'static str { "pong" }
    ///
    /// let slow = Router::new().job(tidy_up).within(Duration::from_secs(3600));
    /// let app = Router::new().command("!ping", ping).merge(slow).with_state(());
    /// ```
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }
}
