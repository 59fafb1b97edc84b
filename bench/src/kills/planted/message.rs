//! What people write to the model, and what its handlers do with it.

use super::super::history::{Unknown, Wants};
use crate::random::Random;

/// A message and what becomes of its handler.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) message: u64,
    pub(super) conversation: u32,
    pub(super) wants: Wants,
    pub(super) course: Course,
}

/// How the attempts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    Succeeds,
    /// The first attempt fails.
    Flaky,
    /// Every attempt fails.
    Fails,
    /// Every attempt ends the process.
    Poison,
}

impl Script {
    pub(super) fn random(message: u64, conversations: u64, random: &mut Random) -> Self {
        let course = match random.below(100) {
            0..=69 => Course::Succeeds,
            70..=84 => Course::Flaky,
            85..=95 => Course::Fails,
            _ => Course::Poison,
        };
        let unknown = if random.chance(30) { Unknown::Drop } else { Unknown::Resend };
        let wants = Wants { unknown, ..Wants::parts(1 + u8::from(random.chance(40))) };
        Self { message, conversation: random.below(conversations) as u32, wants, course }
    }
}
