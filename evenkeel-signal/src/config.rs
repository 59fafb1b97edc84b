//! Where the server is, who the bot is, and how patient it is.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evenkeel::config::{Required, Secret, Settings};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::host;

/// Which messages of the bot's own account, written on its other devices, count as events.
///
/// A message that the bot itself has sent never does, and neither does a copy that the server delivers to the
/// sender of a message: both would be an echo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnMessages {
    /// None.
    Ignore,
    /// Those in the conversation with oneself ("Note to Self"), which then is a console for the bot's owner.
    #[default]
    NoteToSelf,
    /// All: what the owner writes to others is seen, and answered there.
    All,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timings {
    pub(crate) connect: Duration,
    pub(crate) request: Duration,
    pub(crate) ping: Duration,
    pub(crate) idle: Duration,
}

impl Timings {
    /// How long an answer to a ping may take before another connection is opened.
    pub(crate) fn doubt(&self) -> Duration {
        self.ping.min(Duration::from_secs(5))
    }
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            ping: Duration::from_secs(25),
            idle: Duration::from_secs(60),
        }
    }
}

/// A server's address: scheme, host, port and base path. What it shows holds no user name and no password.
#[derive(Clone)]
pub(crate) struct Address {
    /// Scheme and authority, for connecting.
    pub(crate) origin: Uri,
    /// The path before `/v1/..`, without a trailing slash.
    base: String,
    /// `Authorization` from a user name and password in the address.
    basic: Option<HeaderValue>,
}

impl Address {
    pub(crate) fn is_tls(&self) -> bool {
        self.origin.scheme_str() == Some("https")
    }

    /// Whether credentials, those in the address or others, leave this host without encryption.
    pub(crate) fn is_open(&self, has_token: bool) -> bool {
        let is_here = host::is_here(self.origin.host().unwrap_or_default());
        (has_token || self.basic.is_some()) && !self.is_tls() && !is_here
    }

    /// Puts the base path before `path`.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The headers that every request to this address carries.
    pub(crate) fn headers(&self, token: Option<&HeaderValue>, extra: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4 + extra.len());
        let authority = self.origin.authority().map_or("", |authority| authority.as_str());
        if let Ok(host) = HeaderValue::from_str(authority) {
            headers.insert(HOST, host);
        }
        if let Some(authorization) = token.or(self.basic.as_ref()) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.extend(extra.iter().map(|(name, value)| (name.clone(), value.clone())));
        headers
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.origin.authority().map_or("", |authority| authority.as_str());
        let scheme = if self.is_tls() { "https" } else { "http" };
        write!(f, "{scheme}://{authority}{}", self.base)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    /// Never quotes the address: it may hold a password.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => ("http".to_owned(), text),
        };
        let scheme = match scheme.as_str() {
            "http" | "ws" => "http",
            "https" | "wss" if cfg!(feature = "tls") => "https",
            "https" | "wss" => return Err("needs the feature `tls` of `evenkeel-signal`"),
            _ => {
                return Err("must begin with `http://`, `https://`, `ws://`, `wss://` or the name of a host");
            }
        };
        if rest.contains(['?', '#']) {
            return Err("must have no `?` and no `#`");
        }
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let (basic, authority) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(basic(user)?), host),
            None => (None, authority),
        };
        let origin: Uri =
            format!("{scheme}://{authority}/").parse().map_err(|_| "is no address of a server")?;
        // `http` takes anything for a port.
        let has_port = origin.host().is_some_and(|host| host.len() < authority.len());
        if origin.host().is_none_or(str::is_empty) || has_port && origin.port_u16().is_none() {
            return Err("has no host, or no number of a port behind the `:`");
        }
        let base = path.trim_end_matches('/').to_owned();
        if !base.is_ascii() || base.parse::<Uri>().is_err() && !base.is_empty() {
            return Err("has a path with characters that must be percent-encoded");
        }
        Ok(Self { origin, base, basic })
    }
}

/// `user:password`, percent-encoded as in an address, becomes a header that is never shown.
fn basic(user: &str) -> Result<HeaderValue, &'static str> {
    let wrong = "has a user name or password that is not percent-encoded text";
    let decoded = percent_decoded(user).ok_or(wrong)?;
    let mut value =
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(decoded))).map_err(|_| wrong)?;
    value.set_sensitive(true);
    Ok(value)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(decoded)
}

/// Percent-encodes one segment of a path.
pub(crate) fn percent_encoded(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len() + 8);
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Checks a phone number and removes the spaces, dashes and brackets that people write into it.
pub(crate) fn phone_number(text: &str) -> Result<String, &'static str> {
    let number: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
    let digits = number.strip_prefix('+').unwrap_or("");
    let is_number = (5..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(number).ok_or("must be a phone number with `+` and the country code")
}

/// What a token may hold. HTTP takes more, and the WebSocket does not.
pub(crate) const TOKEN_RULE: &str =
    "must be letters, digits and signs of ASCII (no accents, no control characters, no line breaks)";

/// `Authorization: Bearer ..`, marked so that nobody prints it.
pub(crate) fn bearer(token: &Secret) -> Result<HeaderValue, &'static str> {
    visible(&format!("Bearer {}", token.expose())).ok_or(TOKEN_RULE)
}

/// A value of visible ASCII: more than that goes with requests, but not with the WebSocket, so that the bot would be deaf.
fn visible(value: &str) -> Option<HeaderValue> {
    if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return None;
    }
    let mut value = HeaderValue::from_str(value).ok()?;
    // A header of the operator's is as likely a credential as not.
    value.set_sensitive(true);
    Some(value)
}

/// How many WebSockets are read at all times.
fn sockets(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|count| (1..=2).contains(count)).ok_or("must be 1 or 2")
}

pub(crate) fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, visible(value)?))
}

/// What `Signal::from_env` asks for.
pub(crate) struct Wanted {
    pub(crate) number: Required<String>,
    pub(crate) api: Option<Address>,
    pub(crate) service: Option<Address>,
    pub(crate) token: Option<HeaderValue>,
    pub(crate) sockets: Option<usize>,
}

impl Wanted {
    pub(crate) fn read(settings: &mut Settings<'_>) -> Self {
        let url = "http://localhost:8080";
        let number = settings.required("SIGNAL_PHONE_NUMBER", "+15550100000", phone_number);
        let before = settings.problem_count();
        let api = settings.optional("SIGNAL_API_URL", url, str::parse);
        let service = settings.optional("SIGNAL_SERVICE_URL", url, str::parse);
        if api.is_none() && service.is_none() && settings.problem_count() == before {
            let text = "`SIGNAL_API_URL` is missing (or `SIGNAL_SERVICE_URL`: either is enough)";
            settings.problem(text, "SIGNAL_API_URL", url);
        }
        let token = settings.optional("SIGNAL_API_TOKEN", "s3cr3t", |token| bearer(&Secret::new(token)));
        let sockets = settings.optional("SIGNAL_SOCKETS", "2", sockets);
        Self { number, api, service, token, sockets }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use evenkeel::config::Config;

    use super::*;

    #[test]
    fn the_documented_settings_are_the_ones_that_are_read() {
        let config = Config::default();
        let mut settings = config.read();
        let _ = Wanted::read(&mut settings);
        let read: BTreeSet<_> = settings.names().iter().map(|name| (*name).to_owned()).collect();
        let table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md"));
        let mut documented = BTreeSet::new();
        for row in table.unwrap().lines().filter_map(|line| line.strip_prefix("| `SIGNAL_")) {
            let (name, rest) = row.split_once('`').unwrap();
            assert!(rest.contains(&format!("`[signal] {}`", name.to_lowercase())), "{row}");
            documented.insert(format!("SIGNAL_{name}"));
        }
        assert_eq!(read, documented);
    }

    #[test]
    fn what_the_websocket_cannot_carry_is_no_token_and_no_header() {
        for wrong in ["pä$$", "\u{feff}s3cr3t", "two\nlines", "tab\there", "nul\0", "\u{7f}", "“quoted”"]
        {
            assert_eq!(bearer(&Secret::new(wrong)).unwrap_err(), TOKEN_RULE, "{wrong:?}");
            assert!(header("x-token", wrong).is_none(), "{wrong:?}");
        }
        assert_eq!(bearer(&Secret::new("pa$$ \"~#")).unwrap(), "Bearer pa$$ \"~#");
        assert!(header("x-token", "a b").is_some() && header("x token", "a").is_none());
        let config = "http://ann:p%C3%A4$$@localhost".parse::<Address>().unwrap();
        assert!(config.headers(None, &HeaderMap::new())[AUTHORIZATION].to_str().is_ok());
    }

    fn shown(text: &str) -> String {
        text.parse::<Address>().map_or_else(|error| error.to_owned(), |address| address.to_string())
    }

    #[test]
    fn an_address_may_be_written_in_many_ways() {
        for text in
            ["localhost:8080", "http://localhost:8080/", "ws://localhost:8080//", "HTTP://localhost:8080"]
        {
            assert_eq!(shown(text), "http://localhost:8080", "{text}");
        }
        assert_eq!(shown("http://[::1]:8080/signal/"), "http://[::1]:8080/signal");
        let address: Address = "localhost/base/".parse().unwrap();
        assert_eq!(address.path("/v1/about"), "/base/v1/about");
    }

    #[test]
    fn a_wrong_address_is_refused_and_not_echoed() {
        for text in [
            "",
            "http://",
            "http://user:hunter2@",
            "ftp://hunter2",
            "http://hunter2 x",
            "http://a/?hunter2",
            "http://hunter2:",
            "http://u:hunter2%@h",
            "http://host/hunter2 y",
            "http://host:hunter2",
            "http://host/hunter2ä",
            "http://hünter2",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_used_and_not_shown() {
        let address: Address = "http://ann:hunter%322@localhost:1".parse().unwrap();
        assert_eq!(format!("{address} {address:?}"), "http://localhost:1 http://localhost:1");
        let headers = address.headers(None, &HeaderMap::new());
        assert_eq!(headers[AUTHORIZATION], "Basic YW5uOmh1bnRlcjIy");
        assert!(!format!("{headers:?}").contains("YW5u"));
    }

    #[test]
    fn credentials_that_leave_the_host_in_the_open_are_noticed() {
        for (text, has_token, is_open) in [
            ("http://signal.example.com", true, true),
            ("ws://10.0.0.7:8080", true, true),
            ("http://ann:hunter2@signal:8080", false, true),
            ("http://signal.example.com", false, false),
            ("http://LOCALHOST:8080", true, false),
            ("127.0.0.9:8080", true, false),
            ("http://[::1]:8080", true, false),
            ("http://127.1:1", true, false),
            ("http://2130706433:1", true, false),
            ("http://[::ffff:127.0.0.1]:1", true, false),
            ("http://0.0.0.0:1", true, false),
            ("ws://localhost.:1", true, false),
            ("http://127.1.example.com", true, true),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_open(has_token), is_open, "{text}");
        }
    }

    #[test]
    fn phone_numbers_are_tidied_up() {
        assert_eq!(phone_number("+1 (555) 010-0000").unwrap(), "+15550100000");
        for wrong in ["", "15550100000", "+1", "+1555010000x"] {
            assert!(phone_number(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_path_safe_and_decodes_to_itself(text in ".*") {
            let encoded = percent_encoded(&text);
            proptest::prop_assert!(!encoded.contains(['/', '?', '#', '+', ' ']));
            proptest::prop_assert_eq!(percent_decoded(&encoded).unwrap(), text.as_bytes());
        }
    }
}
