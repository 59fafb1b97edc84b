//! Signal for Evenkeel, through `signal-cli-rest-api`.

#[cfg(feature = "standin")]
pub mod standin;
