//! Keeps other web sites away from the page.
//!
//! A browser sends requests to `127.0.0.1` for any site that asks. Three checks tell these apart from the page's own:
//! `Host` is this computer (else a site has pointed its own name here, DNS rebinding), `Origin` is the page's own,
//! and `Sec-Fetch-Site` does not speak of another site.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses foreign requests and adds the security headers to every answer.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let is_front = request.method() == Method::GET && request.uri().path() == "/";
    let mut response = match refusal(request.headers(), is_front) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    secure(response.headers_mut());
    response
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
