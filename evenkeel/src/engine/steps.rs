//! What follows from each input: which part is told of it, and which others have to hear what it says.
//!
//! Nothing is decided here that one part can decide, and nothing is kept.

mod arriving;
mod asking;
mod cancelling;
mod firing;
mod following;
mod handling;
mod operating;
mod recovering;
mod replying;
mod saying;
mod stopping;
mod telling;
mod waiting;
