//! A receiving WebSocket: frames out as they are injected, pings on time, nothing of use comes in.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::connection::Seat;

/// gorilla's `SetReadLimit` upstream: a longer client frame closes the socket.
const CLIENT_FRAME_LIMIT_BYTES: usize = 512;
/// How many waiting frames share one write.
const BATCH_FRAMES: usize = 64;

/// Upgrades `stream`, of which `already_read` was read, and serves it until either side ends it.
pub(super) async fn serve(
    mut stream: TcpStream,
    already_read: BytesMut,
    seat: &Seat,
    account: String,
    accept_key: &str,
) {
    // Before the 101: once a client has seen it, no frame may be lost for want of a reader.
    let frames = seat.server.open_socket(seat.id, account);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept_key}\r\n\r\n"
    );
    if stream.write_all(response.as_bytes()).await.is_err() {
        return;
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(CLIENT_FRAME_LIMIT_BYTES))
        .max_frame_size(Some(CLIENT_FRAME_LIMIT_BYTES));
    let socket =
        WebSocketStream::from_partially_read(stream, already_read.to_vec(), Role::Server, Some(config)).await;
    // An error is a client that went away, which upstream does not report either.
    let _ = Pump { socket, frames, seat }.run().await;
}

struct Pump<'a> {
    socket: WebSocketStream<TcpStream>,
    frames: mpsc::Receiver<Message>,
    seat: &'a Seat,
}

impl Pump<'_> {
    async fn run(mut self) -> Result<(), Error> {
        let server = &self.seat.server;
        let mut frozen = server.frozen.subscribe();
        let interval: Duration = server.options.ping_interval;
        let mut pings = tokio::time::interval_at(Instant::now() + interval, interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH_FRAMES);
        loop {
            server.while_frozen().await;
            let is_deaf = self.seat.id < server.deaf_below.load(Ordering::Relaxed);
            // Each arm is cancel safe: `recv_many` takes nothing when it is dropped, and `next` keeps a partial
            // frame inside the socket. Frozen comes first, so that a ping that came later is not answered.
            tokio::select! {
                biased;
                _ = frozen.changed() => {}
                count = self.frames.recv_many(&mut batch, BATCH_FRAMES) => {
                    if count == 0 {
                        return Ok(());
                    }
                    for frame in batch.drain(..) {
                        self.socket.feed(frame).await?;
                    }
                    self.socket.flush().await?;
                }
                incoming = self.socket.next(), if !is_deaf => match incoming {
                    // Data is read and ignored; pings are answered and closes completed inside `next`.
                    Some(Ok(_)) => {}
                    Some(Err(Error::Capacity(_))) => return self.close_too_big().await,
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
                _ = pings.tick() => self.socket.send(Message::Ping(Bytes::new())).await?,
            }
        }
    }

    async fn close_too_big(&mut self) -> Result<(), Error> {
        let frame = CloseFrame { code: CloseCode::Size, reason: Utf8Bytes::default() };
        self.socket.send(Message::Close(Some(frame))).await
    }
}
