//! Looks at the server before the bot starts: is it there, does it push messages, does it know our number?

use bytes::Bytes;
use evenkeel::{Error, Result};
use http::{Method, StatusCode, Uri};
use serde::Deserialize;

use crate::api::Api;
use crate::api::answer::{Answer, Failure};
use crate::config::Address;
use crate::connections::Purpose;
use crate::loose::Text;

/// More accounts than any server has.
const LIMIT_BYTES: usize = 1 << 20;

#[derive(Deserialize, Default)]
#[serde(default)]
struct About<'a> {
    #[serde(borrow)]
    mode: Text<'a>,
    version: Text<'a>,
}

/// What a look at the server found, part by part: see [`Signal::examine`](crate::Signal::examine).
#[derive(Debug)]
#[non_exhaustive]
pub enum Examined {
    /// It runs as it should: its version and address. Whether it lists the bot's account among its own; it may list none.
    Fit {
        /// Version, address and mode, in one line.
        server: String,
        /// `Ok(false)` where the server does not say which accounts it has; an error where it has others.
        account: Result<bool>,
    },
    /// Something answers, and does not say what it is.
    Unknown(String),
    /// It is the server, in a mode in which no bot can receive.
    Mode {
        /// Version and address.
        server: String,
        /// What to change.
        error: Error,
    },
    /// Nothing answers, or something that is not the server.
    Unfit(Error),
}

/// Asks both questions at once.
pub(crate) async fn examine(api: &Api, address: &Address, number: &str) -> Examined {
    let (about_uri, accounts_uri) = (uri(address, "/v1/about"), uri(address, "/v1/accounts"));
    let (about, accounts) = tokio::join!(
        api.call(Purpose::Message, (Method::GET, &about_uri), Bytes::new(), LIMIT_BYTES),
        api.call(Purpose::Message, (Method::GET, &accounts_uri), Bytes::new(), LIMIT_BYTES),
    );
    let (about, accounts) = (about.and_then(Answer::whole), accounts.and_then(Answer::whole));
    let about = match about.map_err(|failure| unreachable_server(address, failure)) {
        Ok(about) => about,
        Err(error) => return Examined::Unfit(error),
    };
    let asked = [Some(&about), accounts.as_ref().ok()].into_iter().flatten();
    let refused =
        asked.map(|answer| check_credentials(address, answer).and_then(|()| check_way(address, answer)));
    if let Err(error) = refused.collect::<Result<()>>() {
        return Examined::Unfit(error);
    }
    let found: About<'_> = serde_json::from_slice(&about.body).unwrap_or_default();
    let version = found.version.filled().unwrap_or("of unknown version");
    let server = format!("signal-cli-rest-api {version} at {address}");
    let account = check_number(address, accounts.as_ref().ok(), number);
    match found.mode.filled() {
        Some("json-rpc") => Examined::Fit { server: format!("{server}, mode json-rpc"), account },
        Some(mode) => Examined::Mode { server, error: wrong_mode(address, mode) },
        // Servers of another make may still take messages: only an account that is not there is sure.
        None => match account {
            Err(error) => Examined::Unfit(error),
            Ok(_) => Examined::Unknown(format!(
                "a server at {address} that does not say what it is ({})",
                about.status
            )),
        },
    }
}

/// The same for the start of a bot: one line on what was found, or the first thing that stops it.
pub(crate) async fn open(api: &Api, address: &Address, number: &str) -> Result<String> {
    match examine(api, address, number).await {
        Examined::Fit { server, account } => {
            if !account? {
                tracing::warn!("the server does not list its accounts; going on");
            }
            Ok(server)
        }
        Examined::Unknown(server) => {
            tracing::warn!("the server does not say what it is; going on");
            Ok(server)
        }
        Examined::Mode { error, .. } | Examined::Unfit(error) => Err(error),
    }
}

pub(crate) fn uri(address: &Address, path: &str) -> Uri {
    // The base path was checked with the address, and our own paths are ASCII.
    address.path(path).parse().unwrap_or_default()
}

#[track_caller]
fn unreachable_server(address: &Address, failure: Failure) -> Error {
    let text = format!("the Signal server at {address} does not answer");
    let error = match failure.source {
        Some(source) => Error::from(std::io::Error::other(source)).context(failure.what),
        None => Error::new(failure.what),
    };
    error.context(text).with_hint(
        "check that `signal-cli-rest-api` is running and that `SIGNAL_API_URL` has its host and port; in Docker, \
         `localhost` is the container itself: use the name of the server's container",
    )
}

fn check_credentials(address: &Address, answer: &Answer) -> Result<()> {
    if !matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Ok(());
    }
    let text = format!("the Signal server at {address} refused the credentials ({})", answer.status);
    Err(Error::config(text)
        .with_hint("set `SIGNAL_API_TOKEN` to the token that the proxy in front of the server wants"))
}

fn check_way(address: &Address, answer: &Answer) -> Result<()> {
    if !answer.is_of_a_proxy() {
        return Ok(());
    }
    let what = if answer.status.is_redirection() { "sends elsewhere" } else { "answers with a web page" };
    let text = format!("what is at {address} {what} ({}), as a login page does", answer.status);
    Err(Error::config(text).with_hint(
        "set `SIGNAL_API_TOKEN` to the token that the proxy in front of the server wants, and check that `SIGNAL_API_URL` \
         is the address of `signal-cli-rest-api` itself, with `https` if the proxy asks for it",
    ))
}

fn wrong_mode(address: &Address, mode: &str) -> Error {
    let text =
        format!("the Signal server at {address} runs in mode `{mode}`, in which it pushes no messages");
    Error::config(text).with_hint("start `signal-cli-rest-api` with `MODE=json-rpc` in its environment")
}

/// Whether the account is listed, or nothing is; an error where others are.
fn check_number(address: &Address, answer: Option<&Answer>, number: &str) -> Result<bool> {
    let success = answer.filter(|answer| answer.status.is_success());
    let listed = success.and_then(|answer| serde_json::from_slice::<Vec<String>>(&answer.body).ok());
    let Some(accounts) = listed else { return Ok(false) };
    if accounts.iter().any(|account| account == number) {
        return Ok(true);
    }
    let others = match accounts.len() {
        0 => "it has none".to_owned(),
        1 => "it has one, and that is another".to_owned(),
        count => format!("it has {count} others"),
    };
    let text = format!("the Signal server at {address} does not have the bot's account: {others}");
    Err(Error::config(text).with_hint(
        "check `SIGNAL_PHONE_NUMBER`, or link the account to the server: open `/v1/qrcodelink?device_name=bot` of the \
         server in a browser and scan it with Signal (Settings, Linked devices)",
    ))
}
