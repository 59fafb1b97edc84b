//! Keeps everybody away from a page who was not given its address: other accounts of the computer, and other web sites.
//!
//! Anyone who asks has to have the token, which is in the printed address. The first visit exchanges it for a cookie, which is
//! good until the bot ends; programs send the token as `Authorization: Bearer`. Without it nothing is answered, whatever is asked for.
//!
//! A browser that has the cookie sends requests to `127.0.0.1` for any site that asks. Three checks tell these apart from the page's own:
//! `Host` is this computer (else a site has pointed its own name here, DNS rebinding), `Origin` is the page's own,
//! and `Sec-Fetch-Site` does not speak of another site.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::token::Token;
use super::visits::Visitor;
use crate::error::Result;

/// How long an answer may take to begin, with the body of its request.
const ANSWERED: Duration = Duration::from_secs(30);

/// What lets a visitor in.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Arc<Known>);

#[derive(Debug)]
struct Known {
    /// Each is as good as the other: that of the file, and the one that was printed.
    tokens: Vec<Token>,
    /// What a browser has in place of a token, for this run of the bot alone: it shows it to whatever listens on the port
    /// while the bot is away, and to other ports of this computer.
    cookie: Token,
    /// What somebody without either reads: where the address is to be had.
    stranger: &'static str,
}

impl Keys {
    pub(crate) fn new(tokens: impl IntoIterator<Item = Token>, stranger: &'static str) -> Result<Self> {
        let (tokens, cookie) = (tokens.into_iter().collect(), Token::random()?);
        Ok(Self(Arc::new(Known { tokens, cookie, stranger })))
    }

    fn has(&self, tried: &str) -> bool {
        // Each is looked at, so that the time says nothing of which one it was.
        self.0.tokens.iter().map(|token| u32::from(token.is(tried))).sum::<u32>() > 0
    }

    /// Whether a request shows the cookie, or a token as `Authorization`.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let name = cookie_name(headers);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let cookies = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut shown = cookies.filter(|(found, _)| *found == name).map(|(_, value)| value);
        shown.any(|tried| self.0.cookie.is(tried)) || bearer(headers).is_some_and(|tried| self.has(tried))
    }

    /// Whether the token of the printed address is in that of a request, as on the first visit.
    fn is_printed(&self, request: &Request) -> bool {
        let mut pairs = request.uri().query().unwrap_or("").split('&');
        pairs.any(|pair| pair.strip_prefix("token=").is_some_and(|tried| self.has(tried)))
    }

    /// For this session of the browser, for this page alone, and for no script.
    fn cookie(&self, headers: &HeaderMap) -> HeaderValue {
        let (name, cookie) = (cookie_name(headers), self.0.cookie.text());
        HeaderValue::from_str(&format!("{name}={cookie}; Path=/; HttpOnly; SameSite=Strict"))
            .expect("a name of letters and digits, and a value of hexadecimal digits")
    }
}

/// What a program shows. The scheme is written in any case (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, "authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// Cookies do not tell the ports of a computer apart: their names have to. It is the port that the browser sees, which may be
/// that of a tunnel.
fn cookie_name(headers: &HeaderMap) -> String {
    let host = only(headers, "host").unwrap_or("");
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    format!("evenkeel_{}", if port.bytes().all(|digit| digit.is_ascii_digit()) { port } else { "80" })
}

/// Refuses strangers and foreign requests, and adds the security headers to every answer.
pub(crate) async fn guard(State(keys): State<Keys>, request: Request, next: Next) -> Response {
    let is_front = matches!(*request.method(), Method::GET | Method::HEAD) && request.uri().path() == "/";
    let is_first = is_front && keys.is_printed(&request);
    let mut response = match refusal(request.headers(), is_front) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None if !is_first && !keys.knows(request.headers()) => {
            (StatusCode::FORBIDDEN, keys.0.stranger).into_response()
        }
        None => {
            let cookie = is_first.then(|| keys.cookie(request.headers()));
            let mut response = answer(request, next).await;
            response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
            response
        }
    };
    secure(response.headers_mut());
    response
}

async fn answer(request: Request, next: Next) -> Response {
    if let Some(visitor) = request.extensions().get::<Visitor>() {
        visitor.is_known();
    }
    let answered = timeout(ANSWERED, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        (StatusCode::REQUEST_TIMEOUT, "the request did not come to its end\n").into_response()
    })
}

fn refusal(headers: &HeaderMap, is_front: bool) -> Option<&'static str> {
    let Some(host) = only(headers, "host").filter(|host| is_this_computer(host)) else {
        return Some("this page answers to `localhost` and `127.0.0.1` only\n");
    };
    // A link on another site may lead to the front page; it cannot be framed, and it does nothing by itself.
    let is_visit = is_front && only(headers, "sec-fetch-mode") == Some("navigate");
    let is_own = matches!(only(headers, "sec-fetch-site"), None | Some("same-origin" | "none"));
    if !is_own && !is_visit {
        return Some("this page does not answer other sites\n");
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = only(headers, "origin").and_then(|origin| origin.strip_prefix("http://"));
        if origin != Some(host) {
            return Some("this page takes nothing from other sites\n");
        }
    }
    None
}

/// The value of a header that came once at most; twice is something different, which nobody accepts.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    let value = if values.next().is_some() { "" } else { value.to_str().unwrap_or("") };
    Some(value)
}

/// Whether a `Host` names this computer, with any port: a tunnel may end on another one.
fn is_this_computer(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let ip = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || ip.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn secure(headers: &mut HeaderMap) {
    let always = [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Files bring stricter rules of their own.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
