//! Each program as its user runs it: built in the profile of the test, started, asked, and its log read.

#[path = "programs/server.rs"]
mod server;
#[path = "programs/axum.rs"]
mod axum;
#[path = "programs/hyper.rs"]
mod hyper;
#[cfg(feature = "actix")]
#[path = "programs/actix.rs"]
mod actix;
#[cfg(feature = "command")]
#[path = "programs/command.rs"]
mod command;

/// The line of a program on which `mark` is.
fn line(source: &str, mark: &str) -> usize {
    source.lines().position(|line| line.ends_with(&format!("// {mark}"))).expect("the program has the mark")
        + 1
}
