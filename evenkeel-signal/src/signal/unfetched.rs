//! Why there is no file.

use evenkeel::{DownloadError, Error};

use crate::api::answer::{Failure, Kind, NoFile};

/// A page stays one until somebody logs in; what is too short may have been cut.
#[track_caller]
pub(super) fn mistaken(what: NoFile, bytes: u64) -> Error {
    match what {
        NoFile::Page => Error::from(DownloadError::page()).with_hint(
            "check `SIGNAL_API_TOKEN` and `SIGNAL_API_URL`: something in front of the server wants a login",
        ),
        NoFile::Length { expected_bytes } => DownloadError::wrong_length(bytes, expected_bytes).into(),
    }
}

pub(super) fn unfetched(failure: Failure, limit_bytes: usize) -> DownloadError {
    let error = match failure.kind {
        Kind::Connection => DownloadError::connection(),
        Kind::Timeout => DownloadError::timeout(),
        Kind::TooLarge => DownloadError::too_large(limit_bytes),
    };
    match failure.source {
        Some(source) => error.caused_by(source),
        None => error,
    }
}
