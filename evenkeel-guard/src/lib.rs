//! Runs futures on threads that are watched, names the one that blocks, and lets the others go on.
//!
//! An [`Executor`] polls futures. Each future carries a [`Label`]: a name and the author's line. A call that is about
//! to block is seen before it does, by wrappers around the C library; on [`Executor::threads`] another thread takes
//! over first. A watchdog looks at the polls from outside, without clocks on the hot path, and finds what makes no call.
//! Each place gives a [`Report`]: whose line, which call, for how long, and what to write instead. A *command* is what one
//! label names: all futures that are spawned under it.
//!
//! | to | use |
//! |---|---|
//! | see which calls block a tokio runtime | [`watch`]; [`Guard::named`] for what computes, too |
//! | have the others go on meanwhile | [`Executor::threads`], [`Executor::run`], [`Executor::spawn`] |
//! | fail a test that blocks | [`strict`](fn@strict) |
//! | block on purpose | [`block_in_place`], or an [`Allow`] in [`Options`] |
//! | learn where a future waits that does not come back | [`awaited`] |
//! | end what may never end | [`isolate`](isolate::isolate) |
//!
//! The rooms, in order. Each uses only those above it.
//!
//! | room | what is in it |
//! |---|---|
//! | [`report`](Report) | labels, classes, and what is said of a place that blocks |
//! | `frame` | what a step of a call path is: the author's, std's, a crate's; `frame/poll`: where a task's poll begins; `frame/claim`: what the program says of crates |
//! | [`advice`](Words) | what to write instead; `advice/table` has the rows |
//! | [`allow`](Allow) | calls that are right where they are |
//! | `stack` | addresses into functions, files and lines; `stack/source`: the function around a line |
//! | `verdict` | judges a stack: whose line, which class, which call, whether it is allowed; `verdict/waits`: whose lock |
//! | `sys` | what the kernel says of this process's threads, and their registers |
//! | `address` | code addresses as a debug file has them, for programs without names |
//! | `hook` | sees the libc calls that are about to block their thread; `hook/linked` has the wrappers |
//! | `clock` | moments that fit into an atomic |
//! | `call` | the call that blocks a thread, and who takes its place |
//! | `capture` | the call path of another thread |
//! | [`options`](Options) | what an executor may be told |
//! | `sync` | the primitives of `crew`, which loom replaces |
//! | `crew` | the hand-over: places, members, spares; model-checked |
//! | `slot` | where each thread shows what it polls |
//! | [`registry`](Quarantined) | commands: clean, in quarantine, on parole |
//! | [`counters`](Counters) | what was counted |
//! | `findings` | what was found, on its way to who looks into it |
//! | [`reporter`](Reports) | a thread that looks into what was found, and says it |
//! | [`watchdog`](sees_calls) | observes calls from within, looks at threads from outside |
//! | `pool` | threads that poll from one shared queue, spares, quarantine |
//! | `guest` | polls watched on somebody else's threads |
//! | [`strict`](fn@strict) | tests that fail when something blocks |
//! | [`guard`](watch) | a tokio runtime as it is, watched |
//! | [`executor`](Executor) | the door: spawn on the pool, or on a tokio runtime |
//! | `axum` | a layer for axum: each route under a label of its own; with the feature `axum` |
//! | [`awaiting`](awaited) | at which line a future that is not ready waits |
//! | `cost` | for measurements: what a poll costs |
//! | [`isolate`] | a function in a child process, which can be ended |
//!
//! ```
//! use evenkeel_guard::{Executor, Label};
//!
//! let runtime = tokio::runtime::Runtime::new()?;
//! let executor = Executor::threads(runtime.handle().clone(), 2);
//! let (done, seen) = std::sync::mpsc::channel();
//! let task = executor.spawn(&Label::new("greeting"), async move {
//!     tokio::time::sleep(std::time::Duration::from_millis(1)).await;
//!     done.send("hello").expect("the receiver waits below");
//! });
//! assert_eq!(seen.recv()?, "hello");
//! # drop(task); Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it cannot do: a poll that is stuck cannot be ended from outside, only reported and worked around.
//! What may never end, goes to [`isolate`](isolate::isolate). The README says all of it.

#![deny(unsafe_code)]

/// Runs what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod report;
mod frame;
mod advice;
mod allow;
mod stack;
mod verdict;
mod sys;
mod address;
mod hook;
mod clock;
mod call;
mod capture;
mod options;
mod sync;
mod crew;
mod slot;
mod registry;
mod counters;
mod findings;
mod reporter;
mod watchdog;
mod pool;
mod guest;
mod strict;
mod guard;
mod executor;
#[cfg(feature = "axum")]
pub mod axum;
mod awaiting;
#[doc(hidden)]
pub mod cost;
pub mod isolate;

pub use advice::Words;
pub use allow::{Allow, AllowError};
pub use awaiting::{Asker, Awaited, Wait, awaited};
pub use counters::Counters;
pub use executor::{Busy, Executor, RunError, Task, block_in_place, enter};
pub use guard::{Guard, watch, watch_with};
pub use options::Options;
pub use registry::Quarantined;
pub use report::{Class, Frame, Label, Report};
pub use reporter::Reports;
pub use strict::{findings, strict, strict_with, told};
pub use watchdog::sees_calls;
