//! The server: whether it is there, pushes messages, and has the bot's account.

use std::time::Duration;

use evenkeel::Result;
use evenkeel_signal::{Examined, Signal};

use super::report::Finding;

/// Somebody waits at the terminal: less patience than a bot has.
const PATIENCE: Duration = Duration::from_secs(5);
const WEBSOCKET: &str = "check that `SIGNAL_SERVICE_URL`, or `SIGNAL_API_URL` where it stands alone, is the address of \
                         `signal-cli-rest-api`, and that a proxy in front of it lets WebSockets pass";

/// One finding for each part, and one for what is at fault.
pub(super) async fn findings(signal: Signal) -> Vec<Finding> {
    let signal = signal.with_connect_timeout(PATIENCE).with_request_timeout(PATIENCE);
    match signal.examine().await {
        Examined::Fit { server, account } => {
            vec![Finding::ok("server", server), account_of(account), receive_mode(&signal).await]
        }
        Examined::Mode { server, error } => {
            vec![Finding::ok("server", server), Finding::fail("mode", &error)]
        }
        Examined::Unknown(server) => vec![unknown(&signal, server).await],
        Examined::Unfit(error) => vec![Finding::fail("server", &error)],
        // Only a newer library than this command has more to say.
        other => vec![Finding::warn("server", format!("{other:?}"), "use the command of the same version")],
    }
}

fn account_of(account: Result<bool>) -> Finding {
    match account {
        Ok(true) => Finding::ok("account", "the server has it"),
        Ok(false) => Finding::warn(
            "account",
            "the server does not say which accounts it has",
            "see that `/v1/accounts` of the server lists `SIGNAL_PHONE_NUMBER`",
        ),
        Err(error) => Finding::fail("account", &error),
    }
}

/// Opens a WebSocket as the bot does after a loss: what that takes is the shortest time without a reader.
async fn receive_mode(signal: &Signal) -> Finding {
    match signal.measure_reconnect().await {
        Ok(took) => {
            let seconds = took.as_secs_f64();
            let text =
                format!("json-rpc, by WebSocket; a lost connection leaves no reader for {seconds:.3} s");
            Finding::ok("receive mode", text)
        }
        Err(error) => Finding::wrong("receive mode", error.chain(), WEBSOCKET),
    }
}

/// A server that keeps silent about itself counts by what it does: one that opens no WebSocket is none.
async fn unknown(signal: &Signal, server: String) -> Finding {
    let fix =
        "check that the address is that of `signal-cli-rest-api`, and that it runs with `MODE=json-rpc`";
    match signal.measure_reconnect().await {
        Ok(_) => Finding::warn("server", server, fix),
        Err(error) => Finding::wrong("server", format!("{server}: {}", error.chain()), fix),
    }
}
