//! The servers of databases, as far as the table's clients need them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::thread;

use crate::server::{SLOW, start};

/// A port on which nobody listens.
pub(crate) fn refused() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Says `hello` to every GET of Redis' protocol, and OK to all else.
///
/// *Source*: <https://redis.io/docs/latest/develop/reference/protocol-spec/>
pub(crate) fn redis() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        start(|mut stream| {
            stream.set_nodelay(true)?;
            let mut lines = BufReader::new(stream.try_clone()?).lines();
            while let Some(count) = lines.next().transpose()? {
                let words = count.trim_start_matches('*').parse::<usize>().unwrap_or(0);
                let mut command = String::new();
                for word in 0..words {
                    let _length = lines.next().transpose()?;
                    let text = lines.next().transpose()?.unwrap_or_default();
                    if word == 0 {
                        command = text;
                    }
                }
                let is_get = command.eq_ignore_ascii_case("get");
                stream.write_all(if is_get { b"$5\r\nhello\r\n" } else { b"+OK\r\n" })?;
            }
            Ok(())
        })
    })
}

/// Says `hello` to every simple query of PostgreSQL's protocol.
///
/// *Source*: <https://www.postgresql.org/docs/current/protocol-message-formats.html>
pub(crate) fn postgres() -> SocketAddr {
    const READY: &[u8] = b"Z\0\0\0\x05I";
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        start(|mut stream| {
            stream.set_nodelay(true)?;
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            rest(&mut stream, length)?;
            stream.write_all(&[b"R\0\0\0\x08\0\0\0\0", READY].concat())?;
            loop {
                let mut kind = [0; 1];
                stream.read_exact(&mut kind)?;
                stream.read_exact(&mut length)?;
                let query = rest(&mut stream, length)?;
                if query.ends_with(b"slowly'\0") {
                    thread::sleep(SLOW);
                }
                if kind != *b"Q" {
                    return Ok(());
                }
                let column = b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
                let row = b"D\0\0\0\x0f\0\x01\0\0\0\x05hello";
                stream.write_all(&[&column[..], row, b"C\0\0\0\x0dSELECT 1\0", READY].concat())?;
            }
        })
    })
}

/// Reads what a length that counts itself announces.
fn rest(stream: &mut TcpStream, length: [u8; 4]) -> std::io::Result<Vec<u8>> {
    let mut rest = Vec::new();
    let length = u64::from(u32::from_be_bytes(length)).saturating_sub(4);
    stream.take(length).read_to_end(&mut rest)?;
    Ok(rest)
}
