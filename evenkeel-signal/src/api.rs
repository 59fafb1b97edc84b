//! Requests to the server: a small pool of HTTP/1.1 connections.
//!
//! A request and its connection are polled by one task, the caller's: nothing has to be spawned, owned or aborted,
//! and anyone who drops the request drops its connection. Measured against `hyper_util::client::legacy` over loopback it
//! takes as much CPU or up to a tenth less (10 to 12 us per send, nearly all of it in the kernel), so the reason is not
//! speed: it is that this pool knows for certain whether a request was written, which decides what may be retried.
//! What it costs: a connection that the server closes while it is idle is noticed only when it is next wanted, which
//! `ready` does before anything is written.

pub(crate) mod answer;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{TrySendError, http1};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use self::answer::{Answer, Failure, Kind, Pieces};
use crate::config::{Address, Timings};
use crate::connections::{Connections, Purpose};

/// Less than the 60 s after which common proxies close an idle connection.
const IDLE: Duration = Duration::from_secs(50);
/// No server closes a connection that was busy so shortly before.
const QUIET: Duration = Duration::from_secs(1);

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Outgoing = Request<Full<Bytes>>;
type Driver = http1::Connection<Stream, Full<Bytes>>;

#[cfg(feature = "tls")]
pub(crate) type Stream = hyper_rustls::MaybeHttpsStream<TokioIo<TcpStream>>;
#[cfg(not(feature = "tls"))]
pub(crate) type Stream = TokioIo<TcpStream>;

/// Opens connections to one address.
#[derive(Clone)]
pub(crate) struct Connector {
    plain: HttpConnector,
    #[cfg(feature = "tls")]
    tls: Option<hyper_rustls::HttpsConnector<HttpConnector>>,
    origin: Uri,
    patience: Duration,
}

impl Connector {
    /// Reads the system's certificates if the address is `https`.
    pub(crate) fn new(address: &Address, timings: &Timings) -> std::io::Result<Self> {
        let mut plain = HttpConnector::new();
        plain.set_nodelay(true);
        plain.set_keepalive(Some(Duration::from_secs(60)));
        plain.enforce_http(false);
        Ok(Self {
            #[cfg(feature = "tls")]
            tls: if address.is_tls() { Some(secure(plain.clone())?) } else { None },
            plain,
            origin: address.origin.clone(),
            patience: timings.connect,
        })
    }

    pub(crate) fn with_patience(mut self, timings: &Timings) -> Self {
        self.patience = timings.connect;
        self
    }

    /// Connects, or says why not.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what it has opened.
    pub(crate) async fn connect(&self) -> Result<Stream, BoxError> {
        timeout(self.patience, self.open()).await.map_err(|_| "no connection in time")?
    }

    #[cfg(feature = "tls")]
    async fn open(&self) -> Result<Stream, BoxError> {
        if let Some(tls) = &self.tls {
            return tls.clone().call(self.origin.clone()).await;
        }
        Ok(self.plain.clone().call(self.origin.clone()).await?.into())
    }

    #[cfg(not(feature = "tls"))]
    async fn open(&self) -> Result<Stream, BoxError> {
        Ok(self.plain.clone().call(self.origin.clone()).await?)
    }
}

#[cfg(feature = "tls")]
fn secure(plain: HttpConnector) -> std::io::Result<hyper_rustls::HttpsConnector<HttpConnector>> {
    let provider = rustls::crypto::ring::default_provider();
    Ok(hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider)?
        .https_or_http()
        .enable_http1()
        .wrap_connector(plain))
}

/// The server, as a place to send requests to.
pub(crate) struct Api {
    connector: Connector,
    headers: HeaderMap,
    patience: Duration,
    connections: Connections,
    /// Newest last, so that few connections stay warm. Held for a few lines, never across an await.
    idle: Mutex<Vec<(Instant, Connection)>>,
}

impl Api {
    pub(crate) fn new(connector: Connector, headers: HeaderMap, timings: &Timings) -> Self {
        Self {
            connector,
            headers,
            patience: timings.request,
            connections: Connections::new(),
            idle: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends a request and reads at most `limit_bytes` of the answer. The time that a request has begins once it has a
    /// connection to itself; it waits no longer than that for one.
    ///
    /// # Errors
    ///
    /// A [`Failure`], which knows whether the request was written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the server may have the request.
    pub(crate) async fn call(
        &self,
        purpose: Purpose,
        (method, uri): (Method, &Uri),
        body: Bytes,
        limit_bytes: usize,
    ) -> Result<Answer, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        if request.body().size_hint().exact() != Some(0) {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        let slot = timeout(self.patience, self.connections.of(purpose).acquire()).await;
        let _slot = match slot {
            Ok(Ok(slot)) => slot,
            Ok(Err(closed)) => return Err(Failure::unsent("closed", closed)),
            Err(elapsed) => return Err(Failure::unsent("no connection in time", elapsed)),
        };
        let deadline = Instant::now() + self.patience;
        let is_written = AtomicBool::new(false);
        let exchanged = timeout_at(deadline, self.exchange(request, &is_written)).await;
        let (connection, response) = match exchanged {
            Ok(exchanged) => exchanged?,
            Err(elapsed) if is_written.load(Ordering::Relaxed) => {
                return Err(Failure::unknown("no answer in time", Some(elapsed.into())).of(Kind::Timeout));
            }
            Err(elapsed) => {
                return Err(Failure::unsent("no connection in time", elapsed).of(Kind::Timeout));
            }
        };
        Ok(self.answer(connection, response, limit_bytes, deadline).await)
    }

    /// Writes the request and reads the head of its answer.
    async fn exchange(
        &self,
        mut request: Outgoing,
        is_written: &AtomicBool,
    ) -> Result<(Connection, Response<Incoming>), Failure> {
        loop {
            let (mut connection, is_fresh) = self.connection().await?;
            is_written.store(true, Ordering::Relaxed);
            match connection.send(request).await {
                Ok(response) => return Ok((connection, response)),
                Err(mut error) => {
                    // The server closed an idle connection; the request comes back when nothing of it was written.
                    match error.take_message() {
                        Some(unsent) if !is_fresh => request = unsent,
                        Some(_) => {
                            return Err(Failure::unsent("the connection was closed", error.into_error()));
                        }
                        None => {
                            return Err(Failure::unknown(
                                "the answer never came",
                                Some(error.into_error().into()),
                            ));
                        }
                    }
                    is_written.store(false, Ordering::Relaxed);
                }
            }
        }
    }

    /// Reads the rest of an answer. From here on there is one, whatever becomes of its body: the status says what the
    /// server did.
    async fn answer(
        &self,
        mut connection: Connection,
        response: Response<Incoming>,
        limit_bytes: usize,
        deadline: Instant,
    ) -> Answer {
        let status = response.status();
        let is_html = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"));
        let named = || evenkeel::retry_after::of(response.headers());
        let retry_after = if status.is_success() { None } else { named() };
        let mut pieces = Pieces::new(limit_bytes);
        let read = timeout_at(deadline, connection.body(response, &mut pieces)).await;
        let missing = match read {
            Ok(read) => read.err(),
            Err(elapsed) => Some(
                Failure::unknown("the answer did not end in time", Some(elapsed.into())).of(Kind::Timeout),
            ),
        };
        // What is asked again after a 421 must not take the same way.
        if missing.is_none() && status != StatusCode::MISDIRECTED_REQUEST {
            self.keep(connection);
        }
        Answer { status, is_html, body: pieces.joined(), missing, retry_after }
    }

    /// Returns a connection that takes a request now, and whether it is new.
    async fn connection(&self) -> Result<(Connection, bool), Failure> {
        loop {
            let idle = self.idle().pop();
            let Some((since, mut connection)) = idle else {
                break;
            };
            let unused = since.elapsed();
            if unused >= QUIET {
                // The runtime polls its sockets before it comes back here, so that a close that has arrived is seen now
                // and not after the request was written, which would make the outcome unknown.
                yield_now().await;
            }
            if unused < IDLE && connection.ready().await.is_ok() {
                return Ok((connection, false));
            }
        }
        // Boxed, as most sends find a connection and need no room for this.
        Ok((Box::pin(self.fresh()).await?, true))
    }

    async fn fresh(&self) -> Result<Connection, Failure> {
        let stream = self.connector.connect().await;
        let stream = stream.map_err(|error| Failure::unsent("no connection to the server", error))?;
        let handshake = http1::Builder::new().handshake(stream).await;
        let (requests, driver) =
            handshake.map_err(|error| Failure::unsent("no connection to the server", error))?;
        let mut connection = Connection { requests, driver: Some(Box::pin(driver)) };
        let ready = connection.ready().await;
        ready.map_err(|error| Failure::unsent("the connection was closed", error))?;
        Ok(connection)
    }

    fn keep(&self, connection: Connection) {
        if connection.driver.is_none() || connection.requests.is_closed() {
            return;
        }
        let now = Instant::now();
        let mut idle = self.idle();
        if idle.first().is_some_and(|(since, _)| now - *since >= IDLE) {
            idle.retain(|(since, _)| now - *since < IDLE);
        }
        idle.push((now, connection));
    }

    /// Nothing panics under this lock; a poisoned one would be as good as new.
    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, polled by its user.
struct Connection {
    requests: http1::SendRequest<Full<Bytes>>,
    /// `None` once it has ended. Dropping it makes hyper answer whatever was waiting.
    driver: Option<Pin<Box<Driver>>>,
}

impl Connection {
    fn drive(&mut self, cx: &mut Context<'_>) {
        let ended = self.driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready());
        if ended {
            self.driver = None;
        }
    }

    async fn ready(&mut self) -> hyper::Result<()> {
        poll_fn(|cx| {
            self.drive(cx);
            self.requests.poll_ready(cx)
        })
        .await
    }

    async fn send(&mut self, request: Outgoing) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        let mut response = pin!(self.requests.try_send_request(request));
        poll_fn(|cx| {
            self.drive(cx);
            response.as_mut().poll(cx)
        })
        .await
    }

    /// Puts the body into `pieces`; what was read stays there where it breaks off.
    async fn body(&mut self, response: Response<Incoming>, pieces: &mut Pieces) -> Result<(), Failure> {
        let claimed = response.headers().get(CONTENT_LENGTH);
        let claimed = claimed.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        pieces.has_room_for(claimed.unwrap_or(0))?;
        let mut incoming = response.into_body();
        while let Some(data) = self.chunk(&mut incoming).await? {
            pieces.add(data)?;
        }
        Ok(())
    }

    async fn chunk(&mut self, incoming: &mut Incoming) -> Result<Option<Bytes>, Failure> {
        let frame = poll_fn(|cx| {
            self.drive(cx);
            if let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) {
                return Poll::Ready(frame);
            }
            // Asking for a frame is what makes the connection read one.
            self.drive(cx);
            Pin::new(&mut *incoming).poll_frame(cx)
        });
        match frame.await {
            None => Ok(None),
            Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
            Some(Err(error)) => Err(Failure::unknown("the answer broke off", Some(error.into()))),
        }
    }
}
