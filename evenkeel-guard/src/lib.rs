//! Runs futures on threads that are watched, names the one that blocks, and lets the others go on.

mod report;

pub use report::{Label, Report};
