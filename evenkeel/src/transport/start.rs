//! What a transport is told before it opens.

use crate::command::CommandSpec;

/// What a [`Transport`](super::Transport) is told before it opens.
///
/// ```
/// use evenkeel::transport::Start;
///
/// let start = Start::default(); // a bot without commands, for tests of a transport
/// assert!(start.specs().is_empty());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Start<'a> {
    specs: &'a [CommandSpec],
}

impl<'a> Start<'a> {
    /// That of a bot with these commands.
    pub fn new(specs: &'a [CommandSpec]) -> Self {
        Self { specs }
    }

    /// What people can ask the bot for, as [`App::specs`](crate::App::specs) tells it: for networks that show it, or want it
    /// registered.
    pub fn specs(&self) -> &'a [CommandSpec] {
        self.specs
    }
}
