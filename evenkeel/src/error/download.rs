//! Why a file that came with a message could not be fetched.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Why a file that came with a message could not be fetched: what [`Context::download`](crate::Context::download) fails
/// with, for `error.find::<DownloadError>()`, and what a transport makes.
///
/// ```
/// use evenkeel::{Attachment, Context, DownloadError, Error, Result};
///
/// async fn fetch(cx: Context, file: &Attachment) -> Result<usize> {
///     match cx.download(file).await {
///         Ok(bytes) => Ok(bytes.len()),
///         Err(error) => match error.find::<DownloadError>().and_then(DownloadError::status) {
///             Some(404) => Err(Error::for_user("that file is gone")),
///             _ => Err(error),
///         },
///     }
/// }
/// ```
#[derive(Debug)]
pub struct DownloadError {
    kind: Kind,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Status(u16),
    Timeout,
    Connection,
    TooLarge { limit_bytes: usize },
    Gone,
    Page,
    Length { bytes: u64, expected_bytes: u64 },
}

impl DownloadError {
    /// The server answered with a status that is no success.
    pub fn with_status(status: u16) -> Self {
        Self::new(Kind::Status(status))
    }

    /// It took too long.
    pub fn timeout() -> Self {
        Self::new(Kind::Timeout)
    }

    /// There was no connection, or it broke.
    pub fn connection() -> Self {
        Self::new(Kind::Connection)
    }

    /// The file is larger than what was asked for at most.
    pub fn too_large(limit_bytes: usize) -> Self {
        Self::new(Kind::TooLarge { limit_bytes })
    }

    /// There is no such file any more.
    pub fn gone() -> Self {
        Self::new(Kind::Gone)
    }

    /// A web page came in its place, such as one for logging in.
    pub fn page() -> Self {
        Self::new(Kind::Page)
    }

    /// What came has another length than the message says: it was cut short, or is not the file.
    pub fn wrong_length(bytes: u64, expected_bytes: u64) -> Self {
        Self::new(Kind::Length { bytes, expected_bytes })
    }

    fn new(kind: Kind) -> Self {
        Self { kind, retry_after: None, source: None }
    }

    /// Adds how long the server wants to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The status of the answer, if that is what was wrong.
    pub fn status(&self) -> Option<u16> {
        match self.kind {
            Kind::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Whether it took too long.
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::Timeout
    }

    /// Whether there was no connection, or it broke.
    pub fn is_connection(&self) -> bool {
        self.kind == Kind::Connection
    }

    /// Whether the file is larger than the limit.
    pub fn is_too_large(&self) -> bool {
        matches!(self.kind, Kind::TooLarge { .. })
    }

    /// Whether there is no such file any more.
    pub fn is_gone(&self) -> bool {
        matches!(self.kind, Kind::Gone | Kind::Status(404 | 410))
    }

    /// Whether a web page came in its place.
    pub fn is_page(&self) -> bool {
        self.kind == Kind::Page
    }

    /// Whether what came has another length than the message says.
    pub fn is_wrong_length(&self) -> bool {
        matches!(self.kind, Kind::Length { .. })
    }

    /// How long the server wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file was not fetched: ")?;
        match self.kind {
            Kind::Status(status) => write!(f, "the server answered {status}"),
            Kind::Timeout => f.write_str("it took too long"),
            Kind::Connection => f.write_str("there was no connection, or it broke"),
            Kind::TooLarge { limit_bytes } => write!(f, "it is larger than {limit_bytes} bytes"),
            Kind::Page => f.write_str("the server answered with a web page in its place"),
            Kind::Length { bytes, expected_bytes } => {
                write!(f, "{bytes} bytes came in place of {expected_bytes}")
            }
            Kind::Gone => f.write_str("it is not there any more"),
        }
    }
}

impl StdError for DownloadError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}
