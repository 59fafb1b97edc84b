//! One pooled HTTP client for the whole program, with limits that are always on.
//!
//! HTTP/1.1 with TLS by rustls and the platform's root certificates. The crate `http`, whose types appear here, is
//! not this module.

mod error;
mod permits;
mod response;
mod request;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::Method;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::sync::OnceCell;
use tokio::time::Instant;

pub use error::Error;
use permits::Permits;
pub use request::Request;
pub use response::Response;

/// An HTTP client; clones share its connections and its limits.
///
/// Making one costs next to nothing: certificates are loaded, off the event loop, when the first request is sent.
/// Connections belong to the runtime that opened them, so a client is for one runtime.
///
/// Proxies are used only if [`Options::with_proxy`] says so: `HTTP_PROXY` and the like are not read. Cookies are
/// not kept, and the `Referer` header is not sent.
///
/// Under a paused test clock a request on a real socket times out at once, because the clock jumps whenever the
/// runtime waits for nothing but the network.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), evenkeel::http::Error> {
/// let client = evenkeel::http::Client::default();
/// let answer = client.get("https://example.com").send().await?.error_for_status()?;
/// println!("{}", answer.text().await?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// The limits of a [`Client`].
///
/// ```
/// use evenkeel::http::{Client, Options};
///
/// let client = Client::new(Options::default().with_per_host(2).with_response_limit_bytes(64 * 1024));
/// assert_eq!(client.in_use(), 0);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    limit: usize,
    per_host: usize,
    connect_timeout: Duration,
    timeout: Duration,
    response_limit_bytes: u64,
    redirects: usize,
    user_agent: String,
    proxy: Option<String>,
}

impl Client {
    /// A client with its own limits.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let permits = Arc::new(Permits::new(options.limit, options.per_host));
        Self(Arc::new(Inner { options, permits, pooled: OnceCell::new() }))
    }

    /// Begins a `GET` request.
    pub fn get(&self, url: impl AsRef<str>) -> Request {
        self.request(Method::GET, url)
    }

    /// Begins a `POST` request.
    pub fn post(&self, url: impl AsRef<str>) -> Request {
        self.request(Method::POST, url)
    }

    /// Begins a `PUT` request.
    pub fn put(&self, url: impl AsRef<str>) -> Request {
        self.request(Method::PUT, url)
    }

    /// Begins a `PATCH` request.
    pub fn patch(&self, url: impl AsRef<str>) -> Request {
        self.request(Method::PATCH, url)
    }

    /// Begins a `DELETE` request.
    pub fn delete(&self, url: impl AsRef<str>) -> Request {
        self.request(Method::DELETE, url)
    }

    /// Begins a `HEAD` request.
    pub fn head(&self, url: impl AsRef<str>) -> Request {
        self.request(Method::HEAD, url)
    }

    /// Begins a request with any method. A URL that is not one is the error of [`Request::send`].
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> Request {
        Request::new(self.clone(), method, url.as_ref())
    }

    /// How many requests are under way, those included whose answers are still being read.
    pub fn in_use(&self) -> usize {
        self.0.permits.in_use()
    }

    /// For how long a request may take unless it says otherwise.
    pub(crate) fn timeout(&self) -> Duration {
        self.0.options.timeout
    }

    /// The client underneath. Loading certificates blocks, so the first caller has it done elsewhere.
    async fn pooled(&self) -> Result<&reqwest::Client, reqwest::Error> {
        let make = async || {
            // Without a result the runtime is on its way down, or `tls` panics here again.
            let tls = tokio::task::spawn_blocking(tls).await.unwrap_or_else(|_| tls());
            make(&self.0.options, tls)
        };
        self.0.pooled.get_or_try_init(make).await
    }
}

impl Options {
    /// Lets `limit` requests be under way at once (100 by default); the others queue in order.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    #[track_caller]
    pub fn with_limit(self, limit: usize) -> Self {
        assert!(limit > 0, "a client limited to 0 requests would never send one: use 1 or more");
        Self { limit, ..self }
    }

    /// Lets `per_host` requests to the same host and port be under way at once (10 by default); the others queue in
    /// order. A redirect counts for the host that was asked first.
    ///
    /// # Panics
    ///
    /// If `per_host` is zero.
    #[track_caller]
    pub fn with_per_host(self, per_host: usize) -> Self {
        assert!(per_host > 0, "a client limited to 0 requests per host would never send one: use 1 or more");
        Self { per_host, ..self }
    }

    /// Gives up when there is no connection after `timeout` (10 seconds by default), names and TLS included.
    pub fn with_connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// Gives up when the answer is not read to its end after `timeout` (30 seconds by default), counted from
    /// [`Request::send`]: the queue, redirects and the caller's own pauses between chunks included.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Reads bodies of up to `limit_bytes` (10 MiB by default), decompressed.
    pub fn with_response_limit_bytes(self, limit_bytes: u64) -> Self {
        Self { response_limit_bytes: limit_bytes, ..self }
    }

    /// Follows up to `redirects` redirects (10 by default), never from `https` to `http`.
    pub fn with_redirects(self, redirects: usize) -> Self {
        Self { redirects, ..self }
    }

    /// Calls itself `user_agent` instead of `evenkeel/<version>`.
    pub fn with_user_agent(self, user_agent: impl Into<String>) -> Self {
        Self { user_agent: user_agent.into(), ..self }
    }

    /// Sends all requests through the proxy at `url`, for example `"http://proxy.example.com:3128"`.
    pub fn with_proxy(self, url: impl Into<String>) -> Self {
        Self { proxy: Some(url.into()), ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: 100,
            per_host: 10,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            response_limit_bytes: 10 * 1024 * 1024,
            redirects: 10,
            user_agent: concat!("evenkeel/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: None,
        }
    }
}

struct Inner {
    options: Options,
    permits: Arc<Permits>,
    pooled: OnceCell<reqwest::Client>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

fn make(options: &Options, tls: ClientConfig) -> Result<reqwest::Client, reqwest::Error> {
    let mut client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(&options.user_agent)
        .connect_timeout(options.connect_timeout)
        .pool_max_idle_per_host(options.per_host)
        .redirect(redirects(options.redirects))
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy();
    if let Some(url) = &options.proxy {
        client = client.proxy(reqwest::Proxy::all(url)?);
    }
    client.build()
}

/// TLS with a crypto provider of its own, so that nobody has to install one for the process.
fn tls() -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let versions = || {
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider));
        config.with_safe_default_protocol_versions().expect("ring speaks the default versions of TLS")
    };
    match versions().with_platform_verifier() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            // Plain http, say to a neighbour in a container without certificates, works all the same.
            tracing::warn!(%error, "no root certificates, so every https request will fail: install `ca-certificates`");
            versions().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        }
    }
}

fn redirects(limit: usize) -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(move |attempt| {
        let is_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        if is_secure && attempt.url().scheme() != "https" {
            attempt.error("it leads from https to http")
        } else if attempt.previous().len() > limit {
            attempt.error("there were too many (`Options::with_redirects`)")
        } else {
            attempt.follow()
        }
    })
}

/// `start + time`, or a day that nobody lives to see: callers may say `Duration::MAX` for "no timeout".
pub(super) fn far_from(start: Instant, time: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    start + time.min(CENTURY)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("in_use", &self.in_use()).finish_non_exhaustive()
    }
}
