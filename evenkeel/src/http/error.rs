//! What went wrong with a request.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode};

/// Why a request has no answer, or not the hoped-for one.
///
/// The message names the method and the URL, without its query, user info, and path segments that may be secrets or
/// phone numbers. After [`is_connect`](Self::is_connect) the server has not seen the request; after any other
/// error but an invalid request it may have.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    target: Target,
    /// How long the server wants to be left alone.
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The request itself is at fault; says which part of it.
    Invalid(&'static str),
    /// All places were taken for so long.
    Queue(Duration),
    Connect,
    ConnectTimeout,
    Timeout,
    Redirect,
    Status(StatusCode),
    TooLarge {
        limit_bytes: u64,
    },
    Json,
    Broken,
}

impl Error {
    /// Whether time ran out: while waiting for a free place, while connecting, or before all of the answer was read.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::Queue(_) | Kind::ConnectTimeout | Kind::Timeout)
    }

    /// Whether there was no connection: the server has not seen the request.
    pub fn is_connect(&self) -> bool {
        matches!(self.0.kind, Kind::Connect | Kind::ConnectTimeout)
    }

    /// Whether the server answered with a status from 400 up, and the caller asked for an error then.
    pub fn is_status(&self) -> bool {
        self.status().is_some()
    }

    /// The status, if it is the error.
    pub fn status(&self) -> Option<StatusCode> {
        match self.0.kind {
            Kind::Status(status) => Some(status),
            _ => None,
        }
    }

    /// How long the server wants to be left alone, if it answered with a status that may pass (403, 408, 413, 421, 425, 429 or
    /// 5xx) and said so: see [`retry_after::of`](crate::retry_after::of).
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether a connection broke off before all of the answer was read.
    pub fn is_broken(&self) -> bool {
        self.0.kind == Kind::Broken
    }

    /// Whether the same request may succeed a little later: there was no connection or it broke, it took too long, or the
    /// server answered 408, 421, 425, 429 or 5xx, or 403 or 413 with the time after which it may be asked again.
    pub fn is_transient(&self) -> bool {
        let status = self.status().map(|status| status.as_u16());
        let may_pass = match status {
            Some(408 | 421 | 425 | 429 | 500..=599) => true,
            Some(_) => self.0.retry_after.is_some(),
            None => false,
        };
        may_pass || self.is_timeout() || self.is_connect() || self.is_broken()
    }

    /// Whether the answer is larger than the client allows.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0.kind, Kind::TooLarge { .. })
    }

    /// Whether the answer is not JSON, or not of the expected shape.
    pub fn is_json(&self) -> bool {
        self.0.kind == Kind::Json
    }

    /// Whether the request could not be made at all: a bad URL, header or body.
    pub fn is_invalid(&self) -> bool {
        matches!(self.0.kind, Kind::Invalid(_))
    }

    pub(super) fn new(kind: Kind, target: Target) -> Self {
        Self(Box::new(Inner { kind, target, retry_after: None, source: None }))
    }

    /// A status that is an error, with the headers that came with it.
    pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, target: Target) -> Self {
        let mut error = Self::new(Kind::Status(status), target);
        if matches!(status.as_u16(), 403 | 408 | 413 | 421 | 425 | 429 | 500..=599) {
            error.0.retry_after = crate::retry_after::of(headers);
        }
        error
    }

    pub(super) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    pub(super) fn of_reqwest(error: reqwest::Error, target: Target) -> Self {
        let kind = match (error.is_timeout(), error.is_connect()) {
            (true, true) => Kind::ConnectTimeout,
            (true, false) => Kind::Timeout,
            (false, true) => Kind::Connect,
            _ if error.is_redirect() => Kind::Redirect,
            _ if error.is_builder() => Kind::Invalid("request"),
            _ => Kind::Broken,
        };
        Self::new(kind, target).with_source(error.without_url())
    }
}

/// A method and a URL that may be shown.
#[derive(Debug, Clone)]
pub(super) struct Target {
    method: Method,
    url: String,
}

impl Target {
    pub(super) fn new(method: Method, url: &str) -> Self {
        Self { method, url: shown(url) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// The URL without what may be secret. It need not be a valid one: an invalid URL has to be named too.
fn shown(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (scheme, rest) = url[..end].split_once("://").unwrap_or(("", &url[..end]));
    let mut parts = rest.split('/');
    let authority = parts.next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let mut shown = if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") };
    for part in parts {
        shown.push('/');
        shown.push_str(if is_private(part) { "…" } else { part });
    }
    shown.chars().take(200).map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// Whether a path segment may be a token, as Telegram and Discord webhooks have them, or a phone number.
fn is_private(segment: &str) -> bool {
    segment.len() > 24 || segment.starts_with('+') || segment.starts_with("%2B") || segment.starts_with("%2b")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.0.target)?;
        match self.0.kind {
            Kind::Invalid(part) => write!(f, "the {part} is not valid"),
            Kind::Queue(time) => {
                write!(f, "too many other requests were under way for {time:?} (`Options::with_per_host`)")
            }
            Kind::Connect => f.write_str("no connection"),
            Kind::ConnectTimeout => f.write_str("no connection in time (`Options::with_connect_timeout`)"),
            Kind::Timeout => f.write_str("no complete answer in time (`Options::with_timeout`)"),
            Kind::Redirect => f.write_str("a redirect was not followed"),
            Kind::Status(status) => {
                write!(f, "the server answered {status}")?;
                match self.0.retry_after {
                    Some(wait) => write!(f, ", to be asked again after {wait:?}"),
                    None => Ok(()),
                }
            }
            Kind::TooLarge { limit_bytes } => write!(
                f,
                "the answer is larger than {limit_bytes} bytes (`Options::with_response_limit_bytes`)"
            ),
            Kind::Json => f.write_str("the answer is not the expected JSON"),
            Kind::Broken => f.write_str("the exchange broke off"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, target, retry_after, source } = &*self.0;
        let mut shown = f.debug_struct("Error");
        shown.field("kind", kind).field("target", &target.to_string()).field("retry_after", retry_after);
        shown.field("source", source).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_secrets() {
        let check = |url, expected| assert_eq!(shown(url), expected, "{url}");
        check("https://api.example.com/v1/oslo?key=s3cret#x", "https://api.example.com/v1/oslo");
        check("https://anna:s3cret@example.com/a", "https://example.com/a");
        check("https://a@b:s3cret@example.com", "https://example.com");
        check(
            "https://api.telegram.org/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/getMe",
            "https://api.telegram.org/…/getMe",
        );
        check("http://localhost:8080/v1/receive/+4915112345", "http://localhost:8080/v1/receive/…");
        check("anna:s3cret@exa mple.com/a?b", "exa mple.com/a");
        check("not a url\n", "not a url?");
        check("", "");
    }
}
