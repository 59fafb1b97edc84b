//! An answer, its head read and its body on the way.

use std::fmt;
use std::time::Duration;

use ::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;

use super::error::{Error, Kind, Target};
use super::permits::Permit;

/// An answer whose head has been read; the body is read by [`json`](Self::json), [`text`](Self::text),
/// [`bytes`](Self::bytes) or [`chunk`](Self::chunk).
///
/// It holds one of the client's permits until the body is read or the answer is dropped.
#[must_use = "the body is not read yet"]
pub struct Response {
    answer: reqwest::Response,
    target: Target,
    limit_bytes: u64,
    read_bytes: u64,
    /// `None` once the body has come to its end, well or badly.
    place: Option<Permit>,
}

impl Response {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// The headers. After decompression `Content-Encoding` and `Content-Length` are gone.
    pub fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// The URL that answered, after redirects. It may contain secrets.
    pub fn url(&self) -> &str {
        self.answer.url().as_str()
    }

    /// How long the server wants to be left alone, if it said so: see [`retry_after::of`](crate::retry_after::of).
    pub fn retry_after(&self) -> Option<Duration> {
        crate::retry_after::of(self.headers())
    }

    /// Turns a status from 400 up into an error.
    ///
    /// # Errors
    ///
    /// [`Error`] with the status, and with the time after which the server may be asked again, if it named one.
    pub fn error_for_status(self) -> Result<Self, Error> {
        let status = self.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(Error::of_status(status, self.headers(), self.target.clone()));
        }
        Ok(self)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// [`Error`], if reading fails as in [`bytes`](Self::bytes), or if the body is not the JSON of a `T`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the answer.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let target = self.target.clone();
        let body = self.bytes().await?;
        serde_json::from_slice(&body).map_err(|error| Error::new(Kind::Json, target).with_source(error))
    }

    /// Reads the body as UTF-8; what is not becomes `U+FFFD`.
    ///
    /// # Errors
    ///
    /// [`Error`], if reading fails as in [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the answer.
    pub async fn text(self) -> Result<String, Error> {
        let body = self.bytes().await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Reads the body.
    ///
    /// # Errors
    ///
    /// [`Error`], if the body is larger than the client allows, if time runs out, or if the exchange breaks off.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the answer.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Reads what has come of the body since, at least one byte; `None` at its end.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes). The limit holds for the sum of all chunks, decompressed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call goes on where this one stopped.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.next_chunk().await;
        if !matches!(chunk, Ok(Some(_))) {
            self.place = None;
        }
        chunk
    }

    pub(super) fn new(answer: reqwest::Response, target: Target, limit_bytes: u64, place: Permit) -> Self {
        Self { answer, target, limit_bytes, read_bytes: 0, place: Some(place) }
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        // What the server announced and has not sent yet; if it announced nothing, only the count below holds.
        let announced = self.answer.content_length().unwrap_or(0);
        self.check(self.read_bytes.saturating_add(announced))?;
        let chunk = self.answer.chunk().await;
        let chunk = chunk.map_err(|error| Error::of_reqwest(error, self.target.clone()))?;
        self.read_bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        self.check(self.read_bytes)?;
        Ok(chunk)
    }

    fn check(&self, size_bytes: u64) -> Result<(), Error> {
        let limit_bytes = self.limit_bytes;
        if size_bytes > limit_bytes {
            return Err(Error::new(Kind::TooLarge { limit_bytes }, self.target.clone()));
        }
        Ok(())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Response");
        shown.field("to", &self.target.to_string()).field("status", &self.status()).finish_non_exhaustive()
    }
}
