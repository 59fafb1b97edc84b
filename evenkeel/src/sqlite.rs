//! A file of SQLite that is written by one process: what can be wrong with its place and its disk, the lock, its opening, and
//! the connection that writes, which is mended.
//!
//! What is kept in it is told by a [`Layout`](open::Layout): the journal's tables, at present.

pub(crate) mod content;
pub(crate) mod disk;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod health;
pub(crate) mod open;
pub(crate) mod writer;
