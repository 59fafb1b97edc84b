//! A request that is being put together.

use std::fmt;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ::http::{HeaderName, HeaderValue, Method};
use bytes::Bytes;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::error::{Error, Kind, Target};
use super::response::Response;
use super::{Client, far_from};

/// A request that is being put together; [`send`](Self::send) sends it.
///
/// What cannot be sent (a bad URL, header or body) is remembered and becomes the error of `send`, so that a chain
/// of calls needs one `?`.
///
/// ```no_run
/// # async fn example(client: evenkeel::http::Client) -> Result<(), evenkeel::http::Error> {
/// let city = "Oslo";
/// let answer = client.get("https://api.example.com/weather").query("city", city).bearer("token").send().await?;
/// println!("{}", answer.error_for_status()?.text().await?);
/// # Ok(()) }
/// ```
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    client: Client,
    target: Target,
    request: Result<reqwest::Request, Error>,
    /// User and password, encoded when the request is sent.
    basic: Option<(String, String)>,
    timeout: Option<Duration>,
}

impl Request {
    /// Adds a header; one of the same name that is already there stays.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        HeaderName: TryFrom<N>,
        HeaderValue: TryFrom<V>,
    {
        self.edit(|request, target| {
            let invalid = |part| Error::new(Kind::Invalid(part), target.clone());
            let name = HeaderName::try_from(name).map_err(|_| invalid("name of a header"))?;
            let value = HeaderValue::try_from(value).map_err(|_| invalid("value of a header"))?;
            request.headers_mut().append(name, value);
            Ok(())
        })
    }

    /// Authorises with a bearer token; it stays out of logs and errors.
    pub fn bearer(self, token: impl fmt::Display) -> Self {
        self.edit(|request, target| {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|_| Error::new(Kind::Invalid("bearer token"), target.clone()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Authorises with user and password; they stay out of logs and errors.
    pub fn basic(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { basic: Some((user.into(), password.into())), ..self }
    }

    /// Adds `name=value` to the query of the URL, encoded.
    pub fn query(self, name: impl AsRef<str>, value: impl fmt::Display) -> Self {
        self.edit(|request, _| {
            request.url_mut().query_pairs_mut().append_pair(name.as_ref(), &value.to_string());
            Ok(())
        })
    }

    /// Sends `value` as JSON.
    pub fn json(self, value: &impl Serialize) -> Self {
        self.edit(|request, target| {
            let body = serde_json::to_vec(value)
                .map_err(|error| Error::new(Kind::Invalid("JSON body"), target.clone()).with_source(error))?;
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().entry(CONTENT_TYPE).or_insert(json);
            *request.body_mut() = Some(body.into());
            Ok(())
        })
    }

    /// Sends names and values as a form, as a page in a browser does.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, fields: impl IntoIterator<Item = (N, V)>) -> Self {
        self.edit(|request, _| {
            // A form is written as a query is, so a URL's query does the encoding.
            let mut url = request.url().clone();
            url.query_pairs_mut().clear().extend_pairs(fields);
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().entry(CONTENT_TYPE).or_insert(form);
            *request.body_mut() = Some(url.query().unwrap_or_default().to_owned().into());
            Ok(())
        })
    }

    /// Sends `body` as it is.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.edit(|request, _| {
            *request.body_mut() = Some(body.into().into());
            Ok(())
        })
    }

    /// Gives this request its own time, instead of the client's, from `send` until all of the answer is read.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Waits for a free place, sends the request and reads the head of the answer.
    ///
    /// Nothing is sent twice: there are no retries.
    ///
    /// # Errors
    ///
    /// [`Error`], if the request is invalid, if there is no free place, connection or answer in time, if the
    /// exchange breaks off, or after too many redirects. A status of 404 or 500 is an answer, not an error: see
    /// [`Response::error_for_status`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection and frees the place; the server may have seen the request.
    pub async fn send(self) -> Result<Response, Error> {
        let Self { client, target, request, basic, timeout } = self;
        let mut request = request?;
        let timeout = timeout.unwrap_or(client.0.options.timeout);
        let deadline = far_from(Instant::now(), timeout);
        let host = host(&request);
        let place = timeout_at(deadline, client.0.permits.acquire(&host)).await;
        let place = place.map_err(|_| Error::new(Kind::Queue(timeout), target.clone()))?;
        let pooled = client.pooled().await.map_err(|error| Error::of_reqwest(error, target.clone()))?;
        *request.timeout_mut() = Some(deadline.saturating_duration_since(Instant::now()));
        let mut builder = reqwest::RequestBuilder::from_parts(pooled.clone(), request);
        if let Some((user, password)) = basic {
            builder = builder.basic_auth(user, Some(password));
        }
        match builder.send().await {
            Ok(answer) => Ok(Response::new(answer, target, client.0.options.response_limit_bytes, place)),
            Err(error) => Err(Error::of_reqwest(error, target)),
        }
    }

    pub(super) fn new(client: Client, method: Method, url: &str) -> Self {
        let target = Target::new(method.clone(), url);
        let request = match reqwest::Url::parse(url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(reqwest::Request::new(method, url)),
            Ok(_) => Err(Error::new(Kind::Invalid("scheme of the URL"), target.clone())),
            Err(error) => Err(Error::new(Kind::Invalid("URL"), target.clone()).with_source(error)),
        };
        Self { client, target, request, basic: None, timeout: None }
    }

    /// Changes the request, unless something was wrong with it before.
    fn edit(mut self, edit: impl FnOnce(&mut reqwest::Request, &Target) -> Result<(), Error>) -> Self {
        if let Ok(request) = &mut self.request
            && let Err(error) = edit(request, &self.target)
        {
            self.request = Err(error);
        }
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.target.to_string()).finish()
    }
}

/// What the limit per host goes by: name and port.
fn host(request: &reqwest::Request) -> String {
    let url = request.url();
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}
