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

/// What is wrong with what came in the place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoFile {
    /// A page, such as one for logging in.
    Page,
    /// It was cut short, or is something else.
    Length { expected_bytes: u64 },
}

impl Answer {
    /// Whether what came is something else than the file. A person may send a page, too: what has the length that the message
    /// told is the file, and where it told none, what was sent as a page is. Nothing else tells a denial in JSON or plain text
    /// from a file than its length.
    pub(crate) fn no_file(&self, content_type: &str, size_bytes: Option<u64>) -> Option<NoFile> {
        let is_page = || self.is_html || is_page(&self.body);
        match size_bytes.filter(|size| *size > 0) {
            Some(size) if size == self.body.len() as u64 => None,
            Some(_) if is_page() && !self.body.is_empty() => Some(NoFile::Page),
            Some(expected_bytes) => Some(NoFile::Length { expected_bytes }),
            None => {
                (is_page() && !content_type.to_ascii_lowercase().contains("html")).then_some(NoFile::Page)
            }
        }
    }
}

/// How a page begins, behind what may stand in front of any: a mark, a declaration, comments.
fn is_page(body: &[u8]) -> bool {
    let mut rest = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    for (begin, end) in [(&b"<?xml"[..], &b"?>"[..]), (b"<!--", b"-->")] {
        while rest.starts_with(begin) {
            let Some(at) = rest.windows(end.len()).position(|window| window == end) else { return false };
            rest = rest.get(at + end.len()..).unwrap_or_default().trim_ascii_start();
        }
    }
    let begin = rest.get(..14).unwrap_or(rest).to_ascii_lowercase();
    let tags = ["<!doctype html", "<html", "<head", "<body", "<title", "<meta", "<script", "<form"];
    tags.iter().any(|tag| begin.starts_with(tag.as_bytes()))
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

    fn answer(body: &str, is_html: bool) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status: StatusCode::OK, is_html, missing: None, retry_after: None, body }
    }

    #[test]
    fn a_login_page_is_no_file_and_a_page_that_was_sent_is_one() {
        for page in [
            "<!DOCTYPE html><title>log in</title>",
            "<HTML>",
            "\u{feff}<?xml version=\"1.0\"?>\n<!DOCTYPE html><html/>",
            "<!-- x -->\n<!-- y -->\n<!DOCTYPE html>",
            "<head><title>Login",
            "<script>location=\"/login\"</script>",
            " <meta http-equiv=refresh>",
        ] {
            let size = page.len() as u64;
            let found = |content_type, size| answer(page, false).no_file(content_type, size);
            assert_eq!(found("image/png", Some(4_000)), Some(NoFile::Page), "{page}");
            assert_eq!(found("text/html", Some(4_000)), Some(NoFile::Page), "another length: {page}");
            assert_eq!(found("image/png", None), Some(NoFile::Page), "{page}");
            assert_eq!(found("application/xhtml+xml", None), None, "{page}");
            assert_eq!(found("application/octet-stream", Some(size)), None, "{page}");
        }
        assert_eq!(answer("Log in", true).no_file("image/png", None), Some(NoFile::Page), "its head says so");
    }

    #[test]
    fn what_has_another_length_than_was_told_is_no_file() {
        for denial in ["{\"error\":\"login required\"}", "Access denied", "abc", "", "<svg/>", "<?xml"] {
            let found = |size| answer(denial, false).no_file("image/svg+xml", size);
            let size = denial.len() as u64;
            for expected_bytes in [size + 1, 900] {
                assert_eq!(found(Some(expected_bytes)), Some(NoFile::Length { expected_bytes }), "{denial}");
            }
            assert_eq!((found(Some(size)), found(None), found(Some(0))), (None, None, None), "{denial}");
        }
        let empty = answer("", true).no_file("text/html", Some(9));
        assert_eq!(empty, Some(NoFile::Length { expected_bytes: 9 }), "no page without a letter");
    }
}
