//! Signal for Evenkeel, through `signal-cli-rest-api`.
