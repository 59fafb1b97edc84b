//! HTTP/1.1 as bytes: requests in, responses out.
//!
//! By hand on top of `httparse`, because a test needs what a proper server library refuses to do: read and never
//! answer, close between the two, and hand the socket over with whatever was read already.

use std::fmt::Write;

use bytes::{Buf, Bytes, BytesMut};

/// A head that is longer than this is not one of our clients.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
const BODY_LIMIT_BYTES: usize = 256 * 1024 * 1024;
const HEADERS: usize = 64;

/// A request that has arrived in full.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    /// As sent, with its query.
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

/// What is left to do with a request that is not one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Call {
    /// Takes the first request off `buffer`; `None` while it is incomplete.
    pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Self>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let head_bytes = match request.parse(buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if buffer.len() <= HEAD_LIMIT_BYTES => return Ok(None),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed),
        };
        let mut call = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: request.path.unwrap_or_default().to_owned(),
            headers: request.headers.iter().map(owned).collect(),
            body: Bytes::new(),
        };
        let body_bytes = call.body_bytes()?;
        if buffer.len() - head_bytes < body_bytes {
            buffer.reserve(body_bytes);
            return Ok(None);
        }
        buffer.advance(head_bytes);
        call.body = buffer.split_to(body_bytes).freeze();
        Ok(Some(call))
    }

    /// Returns the first header of that name, which is given in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether a comma-separated header has `token` in it, in any case.
    pub(super) fn lists(&self, name: &str, token: &str) -> bool {
        self.header(name)
            .is_some_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(token)))
    }

    /// Chunked bodies are refused: no client of this API needs one.
    fn body_bytes(&self) -> Result<usize, Malformed> {
        if self.header("transfer-encoding").is_some() {
            return Err(Malformed);
        }
        let Some(length) = self.header("content-length") else {
            return Ok(0);
        };
        let length = length.parse().map_err(|_| Malformed)?;
        if length > BODY_LIMIT_BYTES { Err(Malformed) } else { Ok(length) }
    }
}

fn owned(header: &httparse::Header<'_>) -> (String, String) {
    (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
}

/// Writes a response. A 204 has no body and, as from Go's server, no length either.
pub(super) fn respond(out: &mut BytesMut, status: u16, content_type: &str, body: &[u8]) {
    let reason = reason(status);
    let length = body.len();
    // Writing to a `BytesMut` fails only when its length overflows.
    let _ = if status == 204 {
        write!(out, "HTTP/1.1 {status} {reason}\r\n\r\n")
    } else {
        write!(
            out,
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    if status != 204 {
        out.extend_from_slice(body);
    }
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}

/// Decodes `%2B` and its like; `None` if what comes out is not text.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => (hex(*high)? * 16 + hex(*low)?, after),
            _ => (first, after),
        };
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_pipelined_requests_one_by_one() {
        let mut buffer =
            BytesMut::from("POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\n\r\nGE");
        let first = Call::take(&mut buffer).unwrap().unwrap();
        assert_eq!((first.path.as_str(), &first.body[..]), ("/a", &b"hi"[..]));
        assert_eq!(Call::take(&mut buffer).unwrap().unwrap().path, "/b");
        assert!(Call::take(&mut buffer).unwrap().is_none());
        assert_eq!(&buffer[..], b"GE");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..256)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = Call::take(&mut buffer) {}
            proptest::prop_assert!(bytes.ends_with(&buffer));
        }

        #[test]
        fn an_incomplete_request_is_left_as_it_is(length in 0_usize..62) {
            let whole = b"POST /v2/send HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
            let mut buffer = BytesMut::from(&whole[..length.min(whole.len() - 1)]);
            let before = buffer.clone();
            proptest::prop_assert!(matches!(Call::take(&mut buffer), Ok(None)));
            proptest::prop_assert_eq!(buffer, before);
        }
    }

    #[test]
    fn refuses_what_is_not_http_and_what_is_chunked() {
        for bytes in ["\u{0}\u{1}\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"] {
            assert_eq!(Call::take(&mut BytesMut::from(bytes)).err(), Some(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn decodes_percent_signs() {
        assert_eq!(percent_decoded("%2B1555").as_deref(), Some("+1555"));
        assert_eq!(percent_decoded("+1555%").as_deref(), Some("+1555%"));
        assert_eq!(percent_decoded("%zz"), None);
        assert_eq!(percent_decoded("%ff"), None);
    }
}
