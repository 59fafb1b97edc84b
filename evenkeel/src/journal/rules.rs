//! What a happening means for what is kept: the one place where that is decided, for the running bot and for commands that
//! work on its record while it is away.
//!
//! Everything here is pure. [`Known`] is what the owner of an event knows of it without its body; each rule changes that,
//! and says what the store has to change with it.

mod known;
mod recover;
mod again;

pub(super) use again::{Anew, Resent, Revived, resend, revive};
pub(super) use known::{Changes, Known, accepted, promised};
pub(super) use recover::{Recovered, recover};
