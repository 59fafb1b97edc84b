//! The transport itself: settings in, rooms wired together.

mod unfetched;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use evenkeel::backoff::system_chance;
use evenkeel::capability::Capabilities;
use evenkeel::config::{Config, Secret};
use evenkeel::guarantee::DeliveryMode;
use evenkeel::transport::{Inbox, SendError, Sent, Start};
use evenkeel::{Attachment, DownloadError, Error, Event, Outbound, Result, Transport};
use http::{HeaderMap, HeaderValue, Method};

use self::unfetched::{mistaken, unfetched};
use crate::api::answer::Answer;
use crate::api::{Api, Connector};
use crate::config::{Address, OwnMessages, Timings, Wanted, bearer, header, percent_encoded, phone_number};
use crate::connections::Purpose;
use crate::envelope::{Parsed, Reader};
use crate::host;
use crate::ids::Account;
use crate::limits;
use crate::open::{Examined, examine, open, uri};
use crate::own::OwnSends;
use crate::receive::Receiver;
use crate::reconnecting::{Random, pauses};
use crate::send::{Endpoints, Sender};

/// No clock can name a moment that is much further away.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A Signal account on a `signal-cli-rest-api` server.
///
/// ```
/// use std::time::Duration;
/// use evenkeel_signal::{OwnMessages, Signal};
///
/// let signal = Signal::new("+1 555 010 0000", "localhost:8080")?
///     .with_request_timeout(Duration::from_secs(10))
///     .with_own_messages(OwnMessages::Ignore);
/// # Ok::<(), evenkeel::Error>(())
/// ```
#[must_use = "a transport does nothing until a bot runs on it"]
pub struct Signal {
    account: Account,
    own_messages: OwnMessages,
    own_sends: OwnSends,
    /// Where requests go.
    address: Address,
    /// Where the WebSocket is.
    service: Address,
    token: Option<HeaderValue>,
    headers: HeaderMap,
    timings: Timings,
    random: Random,
    /// How many WebSockets are read at all times.
    sockets: usize,
    /// What the settings have to say to the operator.
    warnings: Vec<String>,
    /// Made from the above; every setter makes it anew.
    wires: Wires,
}

struct Wires {
    api: Api,
    endpoints: Endpoints,
    connector: Connector,
    receive_url: String,
    receive_headers: HeaderMap,
}

impl Signal {
    /// Reads `SIGNAL_PHONE_NUMBER`, `SIGNAL_API_URL` or `SIGNAL_SERVICE_URL`, `SIGNAL_API_TOKEN` and
    /// `SIGNAL_SOCKETS` from the environment, `.env` and `evenkeel.toml`.
    ///
    /// # Errors
    ///
    /// Names every setting that is missing or wrong.
    #[track_caller]
    pub fn from_env() -> Result<Self> {
        Self::from_config(&Config::load()?)
    }

    /// Reads the same settings from `config`.
    ///
    /// # Errors
    ///
    /// Names every setting that is missing or wrong.
    #[track_caller]
    pub fn from_config(config: &Config) -> Result<Self> {
        let mut settings = config.read();
        let wanted = Wanted::read(&mut settings);
        settings.owns("SIGNAL_");
        let complete = settings.finish()?;
        let warnings = complete.warnings().to_vec();
        let address = wanted.api.clone().or_else(|| wanted.service.clone());
        let service = wanted.service.or(wanted.api);
        let (Some(address), Some(service)) = (address, service) else {
            return Err(Error::config("`SIGNAL_API_URL` is missing"));
        };
        let signal = Self::wired(wanted.number.get(&complete), address, service, wanted.token)?;
        Ok(Self { sockets: wanted.sockets.unwrap_or(1), warnings, ..signal })
    }

    /// The account `number` on the server at `api_url`, such as `http://localhost:8080` or `localhost:8080`.
    ///
    /// # Errors
    ///
    /// When one of them is none, without repeating it: an address may hold a password.
    #[track_caller]
    pub fn new(number: &str, api_url: &str) -> Result<Self> {
        let number = phone_number(number).map_err(|why| {
            Error::config(format!("the bot's number {why}")).with_hint("write it as `+15550100000`")
        })?;
        let address: Address = api_url.trim().parse().map_err(|why| {
            Error::config(format!("the address of the Signal server {why}"))
                .with_hint("write it as `http://localhost:8080`")
        })?;
        Self::wired(number, address.clone(), address, None)
    }

    fn wired(number: String, address: Address, service: Address, token: Option<HeaderValue>) -> Result<Self> {
        let (headers, timings) = (HeaderMap::new(), Timings::default());
        let wires = Wires::new(&number, &address, &service, token.as_ref(), &headers, &timings);
        let wires = wires.map_err(|error| {
            Error::from(error)
                .context("reading the system's certificates")
                .with_hint("install the certificates of your system, `ca-certificates` for example")
        })?;
        Ok(Self {
            account: Account::new(number),
            own_messages: OwnMessages::default(),
            own_sends: OwnSends::default(),
            address,
            service,
            token,
            headers,
            timings,
            random: Box::new(system_chance),
            sockets: 1,
            warnings: Vec::new(),
            wires,
        })
    }

    /// Sends `token` as `Authorization: Bearer ..` with every request and with the WebSocket.
    ///
    /// # Panics
    ///
    /// If the token holds anything but letters, digits and signs of ASCII: the WebSocket could not carry it.
    #[track_caller]
    pub fn with_token(mut self, token: impl Into<Box<str>>) -> Self {
        match bearer(&Secret::new(token)) {
            Ok(token) => self.token = Some(token),
            Err(rule) => panic!("a token {rule}"),
        }
        self.rewired()
    }

    /// Sends a header with every request and with the WebSocket; its value is treated as a secret.
    ///
    /// # Panics
    ///
    /// If `name` cannot be that of a header, or `value` holds anything but letters, digits and signs of ASCII: the WebSocket
    /// could not carry it.
    #[track_caller]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let (name, value) =
            header(name, value).expect("a header has a name of letters and a value of visible ASCII");
        self.headers.insert(name, value);
        self.rewired()
    }

    /// Gives up on a connection attempt after `timeout` in place of 10 s.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.timings.connect = timeout;
        self.rewired()
    }

    /// Gives up on a request after `timeout` in place of 30 s: its outcome is then unknown.
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.timings.request = timeout;
        self.rewired()
    }

    /// Pings the server every `interval` in place of 25 s. An answer that takes longer than 5 s, or longer than the
    /// interval if that is shorter, makes the connection suspect: another one is opened beside it, and both are read until
    /// one of them answers.
    pub fn with_ping_interval(mut self, interval: Duration) -> Self {
        self.timings.ping = interval.min(LONGEST);
        self
    }

    /// Takes a WebSocket on which nothing was heard for `timeout` for dead, in place of 60 s. Longer than the ping
    /// interval, or every quiet minute costs a connection.
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.timings.idle = timeout.min(LONGEST);
        self
    }

    /// Reads two WebSockets at all times in place of one: either may break without a message being lost.
    ///
    /// One is the default because the second costs even when nothing breaks. The server writes to all its sockets under
    /// one lock and drops what comes while it writes, so that a burst beyond what it can write finds it busy twice as
    /// often; every message is parsed twice and offered to the journal twice; and where the server drops a message on one
    /// socket only, the other may bring it after its successor.
    pub fn with_two_sockets(mut self) -> Self {
        self.sockets = 2;
        self
    }

    /// Chooses which messages of the account's own other devices count; notes to self unless told.
    pub fn with_own_messages(mut self, own_messages: OwnMessages) -> Self {
        self.own_messages = own_messages;
        self
    }

    /// Takes chance, numbers from 0 to below 1, from `source` in place of the system: repeatable runs.
    pub fn with_random(mut self, source: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.random = Box::new(source);
        self
    }

    /// Names in the settings that nobody knows. The log says them at the start.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// Says which credentials go over a network for everybody to read, if any do; the hint is what to do. The log says it at
    /// the start.
    pub fn exposed(&self) -> Option<Error> {
        let has_token =
            self.token.is_some() || self.headers.keys().any(|name| host::is_credential(name.as_str()));
        let open = [&self.address, &self.service].into_iter().find(|address| address.is_open(has_token));
        open.map(|address| host::exposed(address, has_token))
    }

    /// Reads one frame as the WebSocket would: `Ok(None)` carries nothing for a bot, `Err` says what was lost without
    /// quoting it. Also understands the bodies that `RECEIVE_WEBHOOK_URL` posts. Never panics.
    ///
    /// # Errors
    ///
    /// When the frame is no message, or one that signal-cli could not read.
    pub fn parse(&self, frame: &str) -> Result<Option<Event>, &'static str> {
        let reader =
            Reader { account: &self.account, own_messages: self.own_messages, own_sends: &self.own_sends };
        let parsed = reader.read(frame);
        // There is no journal here to keep it.
        drop(self.account.people.take_news());
        match parsed {
            Parsed::Event(event) => Ok(Some(event)),
            Parsed::Nothing => Ok(None),
            Parsed::Undeliverable(why) => Err(why),
        }
    }

    /// Opens a WebSocket beside whatever else reads, waits until it answers, and closes it again. Nobody is robbed of a
    /// message by that: the server writes each to everybody. What it took is how long a lost connection leaves the bot
    /// without a reader, at the least.
    ///
    /// # Errors
    ///
    /// When there is no connection, or no answer on it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what it has opened.
    pub async fn measure_reconnect(&self) -> Result<Duration> {
        self.receiver().measure().await.map_err(|why| Error::new(format!("no WebSocket: {why}")))
    }

    /// Looks at the server as [`Transport::open`] does, and says part by part what it found.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only asks.
    pub async fn examine(&self) -> Examined {
        examine(&self.wires.api, &self.address, &self.account.number).await
    }

    fn receiver(&self) -> Receiver<'_> {
        Receiver {
            connector: &self.wires.connector,
            url: &self.wires.receive_url,
            headers: &self.wires.receive_headers,
            timings: &self.timings,
            reader: Reader {
                account: &self.account,
                own_messages: self.own_messages,
                own_sends: &self.own_sends,
            },
            sockets: self.sockets,
        }
    }

    /// Whether a copy of this could be taken for something that the account's owner wrote.
    fn may_come_back(&self, outbound: &Outbound) -> bool {
        match self.own_messages {
            OwnMessages::Ignore => false,
            OwnMessages::NoteToSelf => {
                let id = outbound.conversation.id();
                self.account.is(Some(id), None) || self.account.is(None, Some(id))
            }
            OwnMessages::All => true,
        }
    }

    fn rewired(mut self) -> Self {
        let connector = self.wires.connector.clone();
        let api_connector = self.wires.api.connector().clone();
        self.wires = Wires::with_connectors(
            &self.account.number,
            (&self.address, api_connector.with_patience(&self.timings)),
            (&self.service, connector.with_patience(&self.timings)),
            self.token.as_ref(),
            &self.headers,
            &self.timings,
        );
        self
    }
}

impl Wires {
    fn new(
        number: &str,
        address: &Address,
        service: &Address,
        token: Option<&HeaderValue>,
        headers: &HeaderMap,
        timings: &Timings,
    ) -> std::io::Result<Self> {
        let api = Connector::new(address, timings)?;
        let receive = Connector::new(service, timings)?;
        Ok(Self::with_connectors(number, (address, api), (service, receive), token, headers, timings))
    }

    fn with_connectors(
        number: &str,
        (address, api): (&Address, Connector),
        (service, receive): (&Address, Connector),
        token: Option<&HeaderValue>,
        headers: &HeaderMap,
        timings: &Timings,
    ) -> Self {
        let scheme = if service.is_tls() { "wss" } else { "ws" };
        let authority = service.origin.authority().map_or("", |authority| authority.as_str());
        let path = service.path(&format!("/v1/receive/{}", percent_encoded(number)));
        Self {
            api: Api::new(api, address.headers(token, headers), timings),
            endpoints: Endpoints::new(number, |path| uri(address, path)),
            connector: receive,
            receive_url: format!("{scheme}://{authority}{path}"),
            receive_headers: service.headers(token, headers),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Transport for Signal {
    fn name(&self) -> &'static str {
        "signal"
    }

    fn identity(&self) -> Option<String> {
        Some(format!("signal-{:016x}", self.account.fingerprint()))
    }

    fn open(&self, _: &Start<'_>) -> impl Future<Output = Result<String>> + Send {
        for warning in self.warnings() {
            tracing::warn!("{warning}");
        }
        self.exposed().iter().for_each(host::warn);
        open(&self.wires.api, &self.address, &self.account.number)
    }

    /// Never ends by itself: whatever happens to the connection, there will be another one.
    async fn receive(&self, inbox: Inbox) -> Result<()> {
        self.account.restore(inbox.kept());
        let receiver = self.receiver();
        receiver.run(&inbox, pauses(&self.random)).await;
        Ok(())
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let sender =
            Sender { account: &self.account, api: &self.wires.api, endpoints: &self.wires.endpoints };
        if !self.may_come_back(outbound) {
            return sender.send(outbound).await;
        }
        let sending = self.own_sends.begin(&outbound.action);
        let result = sender.send(outbound).await;
        sending.ended(&result);
        result
    }

    /// One request, which waits for a connection and for its answer, and is given up by itself before.
    fn send_deadline(&self) -> Duration {
        let longest = self.timings.request.saturating_mul(2).saturating_add(Duration::from_secs(10));
        Duration::from_secs(120).max(longest)
    }

    /// signal-cli sends one after another; more than this at once would only wait there, where nobody knows what became of
    /// it.
    fn sends_at_once(&self) -> usize {
        128
    }

    fn capabilities(&self) -> Capabilities {
        limits::capabilities()
    }

    fn delivery_mode(&self) -> DeliveryMode {
        let how = "json-rpc, by WebSocket".to_owned();
        DeliveryMode::AtMostOnceWhileConnected { how, connections: self.sockets }
    }

    async fn download(&self, attachment: &Attachment, limit_bytes: usize) -> Result<Bytes> {
        let claimed = attachment.size_bytes.and_then(|size| usize::try_from(size).ok());
        if claimed.is_some_and(|size| size > limit_bytes) {
            return Err(DownloadError::too_large(limit_bytes).into());
        }
        if attachment.id.bytes().all(|byte| byte == b'.') {
            return Err(Error::new("the id of the file is no name"));
        }
        let path = format!("/v1/attachments/{}", percent_encoded(&attachment.id));
        let uri = uri(&self.address, &path);
        let answer =
            self.wires.api.call(Purpose::Download, (Method::GET, &uri), Bytes::new(), limit_bytes).await;
        let answer = answer.and_then(Answer::whole).map_err(|failure| unfetched(failure, limit_bytes))?;
        if answer.status.is_success() {
            return match answer.no_file(&attachment.content_type, attachment.size_bytes) {
                Some(what) => Err(mistaken(what, answer.body.len() as u64)),
                None => Ok(answer.body),
            };
        }
        let error = DownloadError::with_status(answer.status.as_u16());
        Err(error.with_retry_after(answer.retry_after).into())
    }
}
