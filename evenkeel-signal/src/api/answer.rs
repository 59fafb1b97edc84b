//! What came back of a request: an answer, or why there is none.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::BoxError;

/// An answer. Its status is certain, and its body is as much as has come of it.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Whether it says of itself that it is a web page.
    pub(crate) is_html: bool,
    pub(crate) body: Bytes,
    /// Why the body is not whole, if it is not.
    pub(crate) missing: Option<Failure>,
    /// How long the server wants to be left alone; no success says so.
    pub(crate) retry_after: Option<Duration>,
}

impl Answer {
    /// Whether it is of something in front of the server, which took the request for one of a browser: a page, or the way
    /// to one. The server itself answers neither; the request has not reached it.
    pub(crate) fn is_of_a_proxy(&self) -> bool {
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body).trim_ascii_start();
        // Of a page that broke off before its first letter, the head is all that tells.
        let is_page =
            body.first() == Some(&b'<') || self.missing.is_some() && body.is_empty() && self.is_html;
        self.status.is_redirection() || self.status.is_success() && is_page
    }

    /// For whom a success is of use only with all that it says.
    ///
    /// # Errors
    ///
    /// Why the body is not whole.
    pub(crate) fn whole(self) -> Result<Self, Failure> {
        match self.missing {
            Some(missing) if self.status.is_success() => Err(missing),
            missing => Ok(Self { missing, ..self }),
        }
    }
}

impl Answer {
    /// Whether a page, such as one for logging in, stands in the place of a file. A person may send a page, too: what has the
    /// length that the message told is the file, and where it told none, what was sent as a page is.
    pub(crate) fn is_no_file(&self, content_type: &str, size_bytes: Option<u64>) -> bool {
        let begin = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body).trim_ascii_start();
        let begin = begin.get(..14).unwrap_or(begin).to_ascii_lowercase();
        let is_page = self.is_html || begin.starts_with(b"<!doctype html") || begin.starts_with(b"<html");
        match size_bytes.filter(|size| *size > 0) {
            Some(size) => size != self.body.len() as u64 && (is_page || self.body.is_empty()),
            None => is_page && !content_type.to_ascii_lowercase().contains("html"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connection,
    Timeout,
    TooLarge,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Nothing of the request has left this process.
    pub(crate) is_unsent: bool,
    pub(crate) kind: Kind,
    pub(crate) what: &'static str,
    pub(crate) source: Option<BoxError>,
}

impl Failure {
    pub(super) fn unsent(what: &'static str, source: impl Into<BoxError>) -> Self {
        Self { is_unsent: true, kind: Kind::Connection, what, source: Some(source.into()) }
    }

    pub(super) fn unknown(what: &'static str, source: Option<BoxError>) -> Self {
        Self { is_unsent: false, kind: Kind::Connection, what, source }
    }

    pub(super) fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

/// What was read of a body so far. One piece, as most are, is not copied.
pub(super) struct Pieces {
    limit_bytes: usize,
    first: Bytes,
    rest: BytesMut,
}

impl Pieces {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, first: Bytes::new(), rest: BytesMut::new() }
    }

    /// # Errors
    ///
    /// When so much more would be too much.
    pub(super) fn has_room_for(&self, length: usize) -> Result<(), Failure> {
        let read = self.first.len().max(self.rest.len());
        if read.saturating_add(length) > self.limit_bytes {
            return Err(Failure::unknown("the answer is too large", None).of(Kind::TooLarge));
        }
        Ok(())
    }

    pub(super) fn add(&mut self, data: Bytes) -> Result<(), Failure> {
        self.has_room_for(data.len())?;
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = data;
            return Ok(());
        }
        self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        self.rest.extend_from_slice(&data);
        Ok(())
    }

    pub(super) fn joined(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_page_is_no_file_and_a_page_that_was_sent_is_one() {
        let page = |body: &'static str, is_html| Answer {
            status: StatusCode::OK,
            is_html,
            missing: None,
            retry_after: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        let login = page("<!DOCTYPE html><title>log in</title>", true);
        assert!(login.is_no_file("image/png", Some(4_000)) && login.is_no_file("image/png", None));
        assert!(login.is_no_file("text/html", Some(4_000)), "the page has another length");
        assert!(!login.is_no_file("text/html", None));
        assert!(!login.is_no_file("application/octet-stream", Some(login.body.len() as u64)));
        assert!(page("<HTML>", false).is_no_file("image/png", None));
        assert!(page("", false).is_no_file("image/png", Some(4)));
        assert!(!page("<svg/>", false).is_no_file("image/svg+xml", Some(4_000)));
        assert!(!page("\u{89}PNG", false).is_no_file("image/png", None));
    }
}
