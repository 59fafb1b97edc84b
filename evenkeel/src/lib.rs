//! A framework for chat bots in which nothing freezes, nothing is lost and nothing is guessed.

pub mod batch;
pub mod breaker;
#[cfg(feature = "http")]
pub mod http;
pub mod limit;
pub mod offload;
