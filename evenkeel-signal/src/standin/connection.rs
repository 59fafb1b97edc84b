//! One TCP connection: requests in turn, until it ends or becomes a socket.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::routes::{self, Reply};
use super::server::Server;
use super::socket;
use super::wire::{Call, respond};

/// Serves `stream` in a task that the server's table of connections can abort, and that ends with the runtime.
pub(super) fn spawn(stream: TcpStream, server: &Arc<Server>) {
    // Without it, each answer waits for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    server.enter(|id| {
        let seat = Seat { id, server: Arc::clone(server) };
        tokio::spawn(serve(stream, seat)).abort_handle()
    });
}

/// A place in the table of connections, given up however the task ends.
pub(super) struct Seat {
    pub(super) id: u64,
    pub(super) server: Arc<Server>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.server.leave(self.id);
    }
}

async fn serve(mut stream: TcpStream, seat: Seat) {
    let server = &seat.server;
    let mut input = BytesMut::with_capacity(8 * 1024);
    let mut output = BytesMut::with_capacity(1024);
    loop {
        let call = match Call::take(&mut input) {
            Ok(Some(call)) => call,
            Ok(None) => match stream.read_buf(&mut input).await {
                Ok(1..) => {
                    server.while_frozen().await;
                    continue;
                }
                Ok(0) | Err(_) => return,
            },
            Err(_) => {
                respond(&mut output, 400, "text/plain; charset=utf-8", b"400 Bad Request");
                let _ = stream.write_all(&output).await;
                return;
            }
        };
        match routes::reply(server, &call).await {
            Reply::Respond { status, content_type, body } => {
                respond(&mut output, status, content_type, &body);
            }
            Reply::Upgrade { account, accept_key } => {
                return socket::serve(stream, input, &seat, account, &accept_key).await;
            }
            Reply::Hang => return until_closed(&mut stream).await,
            Reply::Close => return,
        }
        server.while_frozen().await;
        if stream.write_all(&output).await.is_err() || call.lists("connection", "close") {
            return;
        }
        output.clear();
    }
}

/// Reads and discards: a hanging request ends when the client gives up.
async fn until_closed(stream: &mut TcpStream) {
    let mut discarded = [0; 1024];
    while matches!(stream.read(&mut discarded).await, Ok(1..)) {}
}
