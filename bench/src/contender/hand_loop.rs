//! `loop`: what one would write in an afternoon. tokio-tungstenite reads, each message is a task, reqwest sends.

use std::error::Error;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio_tungstenite::connect_async;

use super::Addresses;

#[derive(Deserialize)]
struct Frame {
    envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    source: Option<String>,
    timestamp: u64,
    data_message: Option<DataMessage>,
}

#[derive(Deserialize)]
struct DataMessage {
    message: Option<String>,
}

#[derive(Serialize)]
struct Reply<'a> {
    number: &'a str,
    recipients: [&'a str; 1],
    message: &'a str,
}

/// Runs the contender until it is killed.
pub(crate) fn run() -> io::Result<()> {
    // reqwest is built without a provider of its own; an error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let addresses = Addresses::from_env()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(read(addresses)).map_err(io::Error::other)
}

async fn read(addresses: Addresses) -> Result<(), Box<dyn Error + Send + Sync>> {
    let number: &'static str = addresses.number.leak();
    let send: &'static str = format!("{}/v2/send", addresses.api).leak();
    let client = reqwest::Client::new();
    let (mut socket, _) = connect_async(format!("ws://{}/v1/receive/{number}", addresses.service)).await?;
    while let Some(frame) = socket.next().await {
        let text = frame?.into_text()?;
        let client = client.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(&client, send, number, &text).await {
                eprintln!("loop: {error}");
            }
        });
    }
    Ok(())
}

async fn answer(
    client: &reqwest::Client,
    send: &str,
    number: &str,
    text: &str,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Ok(Frame { envelope }) = serde_json::from_str(text) else {
        return Ok(());
    };
    let (Some(source), Some(message)) =
        (envelope.source, envelope.data_message.and_then(|data| data.message))
    else {
        return Ok(());
    };
    let Some((command, token)) = message.split_once(' ') else {
        return Ok(());
    };
    match command {
        "!ping" => {}
        "!delay" => tokio::time::sleep(pause(envelope.timestamp)).await,
        "!block" => std::thread::sleep(Duration::from_millis(200)),
        "!freeze" => std::thread::sleep(Duration::from_secs(5)),
        "!nap" => std::thread::sleep(Duration::from_secs(1)),
        "!lull" => {
            tokio::time::sleep(Duration::from_millis(1)).await;
            std::thread::sleep(Duration::from_secs(1));
        }
        "!spin" => spin(Duration::from_secs(1)),
        _ => return Ok(()),
    }
    let reply = format!("pong {token}");
    let body = Reply { number, recipients: [&source], message: &reply };
    client.post(send).json(&body).send().await?.error_for_status()?;
    Ok(())
}

/// 0 to 2 ms, scattered by the timestamp: the same for every contender that hashes it likewise (splitmix64).
fn pause(timestamp: u64) -> Duration {
    let mut mixed = timestamp.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Duration::from_micros((mixed ^ (mixed >> 31)) % 2_001)
}

/// Computes for `time` of CPU: what other threads take of the core meanwhile does not count.
///
/// No call asks for that time, for a call is what this must not make: the shortest of many equal pieces is one
/// that nobody interrupted.
fn spin(time: Duration) {
    let (mut sum, mut pieces, mut shortest) = (0u64, 0, Duration::MAX);
    while shortest.saturating_mul(pieces) < time {
        let start = Instant::now();
        for n in 0..100_000u64 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(n));
        }
        shortest = shortest.min(start.elapsed());
        pieces += 1;
    }
}
