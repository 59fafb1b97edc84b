//! Both journals keep the same promises.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod changed;
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod faults;
mod listed;
mod looked;
mod made;
mod model;
mod odd;
mod pages;
mod refused;
mod released;
mod size;
mod stores;
mod suite;
mod takeover;
