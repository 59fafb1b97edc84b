//! What is asked of the contenders. A new family of questions is one more entry here.

/// A way to write to a bot, and its defaults.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The command that is sent, followed by a token that the reply has to repeat.
    pub(crate) command: &'static str,
    /// Those who know the command.
    pub(crate) contenders: &'static [&'static str],
    pub(crate) messages: usize,
    pub(crate) conversations: usize,
    pub(crate) outstanding: usize,
    pub(crate) repeats: usize,
    /// How many messages a person writes in a row: order shows only where some are under way together.
    pub(crate) burst: usize,
}

/// Throughput, CPU and latency.
pub(crate) static PING: Scenario = Scenario {
    name: "ping",
    command: "!ping",
    contenders: &["loop", "floor", "evenkeel"],
    messages: 200_000,
    conversations: 1_000,
    outstanding: 64,
    repeats: 3,
    burst: 1,
};

/// The handler sleeps for a random 0 to 2 ms, so that a later message may overtake an earlier one.
pub(crate) static ORDER: Scenario = Scenario {
    name: "order",
    command: "!delay",
    contenders: &["loop", "evenkeel"],
    messages: 1_000_000,
    conversations: 1_000,
    outstanding: 256,
    repeats: 1,
    burst: 4,
};

/// Every scenario, by the name on the command line.
pub(crate) static ALL: [&Scenario; 2] = [&PING, &ORDER];
