//! Runs futures on threads that are watched, names the one that blocks, and lets the others go on.
//!
//! An [`Executor`] polls futures. Each future carries a [`Label`]: a name and the author's line. A watchdog
//! looks at the polls from outside, without clocks on the hot path; a poll that keeps its thread for too long
//! gives a [`Report`], and on [`Executor::threads`] another thread takes the stuck one's place, so that the
//! other futures go on.
//!
//! | room | what is in it |
//! |---|---|
//! | [`report`](Report) | labels, and what is said of a poll that took too long |
//! | `watch` | the watchdog, and the slot in which each thread shows what it polls |
//! | `pool` | threads that poll from one shared queue, and spares |
//! | [`executor`](Executor) | the door: spawn on the pool, or on a tokio runtime |
//!
//! ```
//! use evenkeel_guard::{Executor, Label};
//!
//! let runtime = tokio::runtime::Runtime::new()?;
//! let executor = Executor::threads(runtime.handle().clone(), 2);
//! let (done, seen) = std::sync::mpsc::channel();
//! let task = executor.spawn(Label::new("greeting"), async move {
//!     tokio::time::sleep(std::time::Duration::from_millis(1)).await;
//!     done.send("hello").expect("the receiver waits below");
//! });
//! assert_eq!(seen.recv()?, "hello");
//! # drop(task); Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it cannot do: a poll that is stuck cannot be ended from outside, only reported and worked around.

#![forbid(unsafe_code)]

mod report;
mod watch;
mod pool;
mod executor;

pub use executor::{Executor, Task};
pub use report::{Class, Frame, Label, Report};
pub use watch::relabel;
