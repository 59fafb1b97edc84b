//! Looks at the server before the bot starts: is it there, does it push messages, does it know our number?

use bytes::Bytes;
use evenkeel::{Error, Result};
use http::{Method, StatusCode, Uri};
use serde::Deserialize;

use crate::api::{Answer, Api, Failure};
use crate::config::Address;
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

/// Asks both questions at once, and says in one line what was found.
pub(crate) async fn open(api: &Api, address: &Address, number: &str) -> Result<String> {
    let (about_uri, accounts_uri) = (uri(address, "/v1/about"), uri(address, "/v1/accounts"));
    let (about, accounts) = tokio::join!(
        api.call(Method::GET, &about_uri, Bytes::new(), LIMIT_BYTES),
        api.call(Method::GET, &accounts_uri, Bytes::new(), LIMIT_BYTES),
    );
    let about = about.map_err(|failure| unreachable_server(address, failure))?;
    check_credentials(address, &about)?;
    check_way(address, &about)?;
    let found = check_mode(address, &about)?;
    match accounts {
        Ok(accounts) => {
            check_credentials(address, &accounts)?;
            check_way(address, &accounts)?;
            check_number(address, &accounts, number)?;
        }
        Err(failure) => tracing::warn!(why = failure.what, "the server does not list its accounts; going on"),
    }
    Ok(found)
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

fn check_mode(address: &Address, answer: &Answer) -> Result<String> {
    let about: About<'_> = serde_json::from_slice(&answer.body).unwrap_or_default();
    let version = about.version.filled().unwrap_or("of unknown version");
    match about.mode.filled() {
        Some("json-rpc") => Ok(format!("signal-cli-rest-api {version} at {address}, mode json-rpc")),
        Some(mode) => {
            let text = format!(
                "the Signal server at {address} runs in mode `{mode}`, in which it pushes no messages"
            );
            Err(Error::config(text)
                .with_hint("start `signal-cli-rest-api` with `MODE=json-rpc` in its environment"))
        }
        None => {
            tracing::warn!(status = answer.status.as_u16(), "the server does not say what it is; going on");
            Ok(format!("a server at {address} that does not say what it is"))
        }
    }
}

fn check_number(address: &Address, answer: &Answer, number: &str) -> Result<()> {
    let listed = serde_json::from_slice::<Vec<String>>(&answer.body);
    let (true, Ok(accounts)) = (answer.status.is_success(), listed) else {
        tracing::warn!(status = answer.status.as_u16(), "the server does not list its accounts; going on");
        return Ok(());
    };
    if accounts.iter().any(|account| account == number) {
        return Ok(());
    }
    let count = accounts.len();
    let text = format!("the Signal server at {address} does not have the bot's account; it has {count}");
    Err(Error::config(text).with_hint(
        "check `SIGNAL_PHONE_NUMBER`, or link the account to the server: open `/v1/qrcodelink?device_name=bot` of the \
         server in a browser and scan it with Signal (Settings, Linked devices)",
    ))
}
