//! What earlier versions of a bot left in its journal under names and in shapes that have changed since.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::app::App;
use crate::dialogue;
use crate::job::name_of;

impl App {
    /// Lets `function` do the jobs that an earlier version of the bot planned for a function of another name, as the compiler names
    /// it: `my_bot::remind::ring`. The warning at start and the dead letter of such a job have that name.
    ///
    /// It goes for jobs that wait, for dead letters that are replayed, and for a schedule, which is then due when it was.
    ///
    /// ```
    /// use evenkeel::{Job, Router};
    ///
    /// async fn remind_again(Job((text,)): Job<(String,)>) -> String {
    ///     format!("you wanted to {text}")
    /// }
    ///
    /// let app = Router::new().job(remind_again).with_state(());
    /// let app = app.with_job_alias("my_bot::ring", remind_again);
    /// ```
    ///
    /// # Panics
    ///
    /// With the author's line, when the function is not a job of this bot, or when another one has that name today.
    #[must_use]
    #[track_caller]
    pub fn with_job_alias<F>(self, former: impl Into<String>, _function: F) -> Self {
        let (former, present) = (former.into(), name_of::<F>());
        let functions = &self.tools.jobs;
        assert!(functions.has(present), "`{present}` is not a job of this bot: add `.job(..)` to the router");
        assert!(!functions.has(&former), "`{former}` is a job of this bot: it needs no alias");
        self.with_tools(|tools| {
            Arc::make_mut(&mut tools.jobs).add_former(former, present);
        })
    }

    /// Lets [`Dialogue<D>`](crate::Dialogue) go on with what an earlier version of the bot kept for a type of another name, as the
    /// compiler names it: `my_bot::order::Order`. What is set has the present name, and goes from under the other one.
    ///
    /// ```
    /// use evenkeel::Router;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct PizzaOrder { size: String }
    ///
    /// let app = Router::new().with_state(()).with_dialogue_alias::<PizzaOrder>("my_bot::Order");
    /// ```
    #[must_use]
    pub fn with_dialogue_alias<D: Serialize + DeserializeOwned>(self, former: impl Into<String>) -> Self {
        let former = former.into();
        self.with_tools(|tools| tools.dialogues.entry(dialogue::name::<D>()).or_default().former.push(former))
    }

    /// Lets [`Dialogue<D>`](crate::Dialogue) begin anew where an earlier version of the bot kept another shape of `D`, which is gone
    /// with what is set next. Without this, the event becomes a dead letter and all is as it was.
    #[must_use]
    pub fn with_dialogue_reset<D: Serialize + DeserializeOwned>(self) -> Self {
        self.with_tools(|tools| tools.dialogues.entry(dialogue::name::<D>()).or_default().begins_anew = true)
    }
}
