//! Signal for Evenkeel, through `signal-cli-rest-api`.

#![forbid(unsafe_code)]

#[cfg(feature = "standin")]
pub mod standin;
