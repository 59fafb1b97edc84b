//! `floor`: the least that can answer at all. Bytes in, a scan for the text, bytes out; no parser, no client.
//!
//! Nobody should write a bot like this. It shows how much of the time belongs to the sockets.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::Addresses;

/// Each has one request under way at a time.
const CONNECTIONS: usize = 8;
/// More than any scenario has outstanding; beyond it, reading waits.
const WAITING: usize = 4_096;

/// Runs the contender until it is killed.
pub(crate) fn run() -> io::Result<()> {
    let addresses = Addresses::from_env()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, read(addresses))
}

async fn read(addresses: Addresses) -> io::Result<()> {
    let Addresses { service, number, .. } = addresses;
    let (mut socket, mut input) = upgrade(&service, &number).await?;
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        let (jobs, waiting) = mpsc::channel(WAITING);
        senders.push(jobs);
        // Ends with the process, which is killed.
        tokio::task::spawn_local(send(connect(&service).await?, waiting));
    }
    let mut turn = 0;
    loop {
        let mut from = 0;
        while let Some((payload, end)) = frame(&input, from) {
            if let Some(request) = request(&input[payload..end], &number, &service) {
                turn = (turn + 1) % CONNECTIONS;
                let ended = |_| io::Error::other("a connection for sends has ended");
                senders[turn].send(request).await.map_err(ended)?;
            }
            from = end;
        }
        input.drain(..from);
        if socket.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// Returns the socket, and what has come behind the answer to the upgrade.
async fn upgrade(service: &str, number: &str) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut socket = connect(service).await?;
    let request = format!(
        "GET /v1/receive/{number} HTTP/1.1\r\nHost: {service}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: Zmxvb3JmbG9vcmZsb29yZg==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut input = Vec::with_capacity(64 * 1024);
    loop {
        if socket.read_buf(&mut input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = find(&input, b"\r\n\r\n") {
            input.drain(..end + 4);
            return Ok((socket, input));
        }
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns where the payload of the frame at `from` starts and ends; a server does not mask, and no
/// message of the benchmark needs a length of 64 bits.
fn frame(input: &[u8], from: usize) -> Option<(usize, usize)> {
    let (start, length) = match *input.get(from + 1)? {
        126 => {
            let length = input.get(from + 2..from + 4)?;
            (from + 4, usize::from(u16::from_be_bytes([length[0], length[1]])))
        }
        length => (from + 2, usize::from(length)),
    };
    (input.len() >= start + length).then_some((start, start + length))
}

fn request(envelope: &[u8], number: &str, host: &str) -> Option<Vec<u8>> {
    let token = string_after(envelope, b"\"message\":\"!ping ")?;
    let source = string_after(envelope, b"\"source\":\"")?;
    let body = format!(r#"{{"number":"{number}","recipients":["{source}"],"message":"pong {token}"}}"#);
    let length = body.len();
    let head = format!(
        "POST /v2/send HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    Some((head + &body).into_bytes())
}

fn string_after<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<&'a str> {
    let start = find(bytes, mark)? + mark.len();
    let rest = &bytes[start..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

async fn send(mut stream: TcpStream, mut waiting: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut answer = Vec::with_capacity(1024);
    while let Some(request) = waiting.recv().await {
        stream.write_all(&request).await?;
        answer.clear();
        // The answer to a send is an object or an array of them, so its last byte tells.
        while !matches!(answer.last(), Some(b'}' | b']')) {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    Ok(())
}
