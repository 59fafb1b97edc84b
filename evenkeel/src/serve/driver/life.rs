//! Which hooks of the author's run, and when the others do.

use std::time::Duration;

use evenkeel_guard::Executor;
use tokio::time::Instant;

use crate::handle::Handle;
use crate::route::{Hook, Hooks};
use crate::serve::hooks::{Running, started, stopped};

/// See the module. A bot without hooks has nothing here.
#[derive(Default)]
pub(in crate::serve) struct Life {
    stage: Stage,
    /// What runs now.
    running: Option<Running>,
    /// What is done at the end; `None` where nothing is, any more.
    stop: Option<Stop>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    Starting,
    #[default]
    Lives,
    Ending,
}

struct Stop {
    hooks: Vec<Hook>,
    handle: Handle,
    executor: Executor,
    /// When there is no more time than they need; known once the bot is to stop.
    latest: Option<Instant>,
}

impl Life {
    pub(in crate::serve) fn new(hooks: &Hooks, handle: &Handle, executor: &Executor) -> Self {
        let Hooks { start, stop } = hooks.clone();
        let parts = || (handle.clone(), executor.clone());
        let stop = (!stop.is_empty()).then(|| {
            let (handle, executor) = parts();
            Stop { hooks: stop, handle, executor, latest: None }
        });
        if start.is_empty() {
            return Self { stop, ..Self::default() };
        }
        let (handle, executor) = parts();
        Self { stage: Stage::Starting, running: Some(started(start, handle, executor)), stop }
    }

    /// Whether no handler may start yet.
    pub(super) fn is_starting(&self) -> bool {
        self.stage == Stage::Starting
    }

    pub(super) fn running(&mut self) -> &mut Option<Running> {
        &mut self.running
    }

    /// Those that ran have ended. Answers whether these were the ones of the start.
    pub(super) fn ended(&mut self, is_well: bool) -> bool {
        self.running = None;
        let was_starting = self.is_starting();
        if was_starting {
            self.stage = Stage::Lives;
            // What has not begun need not be ended.
            self.stop = self.stop.take().filter(|_| is_well);
        }
        was_starting
    }

    /// The bot is to stop within this time: what is about to begin ends.
    pub(super) fn drain(&mut self, within: Duration) {
        if self.is_starting() {
            *self = Self::default();
        }
        if let Some(stop) = &mut self.stop {
            let limits = stop.hooks.iter().map(|hook| hook.limit);
            let need = limits.fold(Duration::ZERO, Duration::saturating_add);
            stop.latest = Instant::now().checked_add(within.saturating_sub(need));
        }
    }

    /// By when the hooks of the end begin, whatever else there is to do.
    pub(super) fn latest(&self) -> Option<Instant> {
        self.stop.as_ref().and_then(|stop| stop.latest)
    }

    /// The bot stops, and perhaps no handler runs any more: whether hooks have something to do then.
    pub(super) fn ends(&mut self, is_finished: bool) -> bool {
        let is_time = is_finished || self.latest().is_some_and(|latest| latest <= Instant::now());
        if let Some(Stop { hooks, handle, executor, .. }) = self.stop.take_if(|_| is_time) {
            self.stage = Stage::Ending;
            self.running = Some(stopped(hooks, handle, executor));
        }
        self.running.is_some() || self.stop.is_some()
    }
}
