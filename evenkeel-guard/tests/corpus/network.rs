//! Sockets and names.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use evenkeel_guard::Class::{self, Lookup, Network, Wait};

use crate::row::{Boxed, Row, Verdict, blocks, expect, strict, threads};

const HERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

pub(crate) fn rows() -> Vec<Row> {
    vec![
        strict(20, "TcpStream::connect", blocks(Network, "std::net::TcpStream::connect"), || {
            let listener = TcpListener::bind(HERE).unwrap();
            let address = listener.local_addr().unwrap();
            Box::pin(async move {
                drop(here!(TcpStream::connect(address)).unwrap());
                drop(listener);
            })
        }),
        strict(
            20,
            "TcpStream::connect_timeout",
            blocks(Network, "std::net::TcpStream::connect_timeout"),
            || {
                let listener = TcpListener::bind(HERE).unwrap();
                let address = listener.local_addr().unwrap();
                Box::pin(async move {
                    drop(here!(TcpStream::connect_timeout(&address, Duration::from_secs(60))).unwrap());
                    drop(listener);
                })
            },
        ),
        strict(23, "UnixDatagram::recv", blocks(Network, "UnixDatagram::recv"), || {
            let (near, far) = UnixDatagram::pair().unwrap();
            far.send(b"hi").unwrap();
            Box::pin(async move { assert_eq!(here!(near.recv(&mut [0; 8])).unwrap(), 2) })
        }),
        strict(21, "a read from a peer that takes 1 ms", blocks(Network, "read"), slow_peer),
        strict(22, "a read with a timeout", blocks(Network, "TcpStream::read"), timeout),
        threads(22, "a read with a timeout, on threads", blocks(Network, "TcpStream::read"), timeout),
        strict(23, "UdpSocket::recv", blocks(Network, "UdpSocket::recv"), || {
            let socket = UdpSocket::bind(HERE).unwrap();
            socket.send_to(b"hi", socket.local_addr().unwrap()).unwrap();
            Box::pin(async move { assert_eq!(here!(socket.recv(&mut [0; 8])).unwrap(), 2) })
        }),
        strict(24, "to_socket_addrs of localhost", blocks(Lookup, "to_socket_addrs"), || {
            Box::pin(async { drop(here!(("localhost", 80).to_socket_addrs())) })
        }),
        strict(25, "to_socket_addrs of no name", blocks(Lookup, "to_socket_addrs"), || {
            Box::pin(async { expect(here!(("no..name", 80).to_socket_addrs()).is_err(), || "a name".into()) })
        }),
        strict(26, "ureq", blocks(Network, "ureq"), || {
            let address = serve();
            Box::pin(async move {
                let url = format!("http://{address}/");
                drop(here!(ureq::get(&url).call()).unwrap());
            })
        }),
        threads(
            27,
            "reqwest::blocking",
            Verdict::Blocks { class: Wait, call: "reqwest", beside: &[Network, Class::File, Class::Join] },
            reqwest_blocking,
        ),
    ]
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(HERE).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

fn slow_peer() -> Boxed {
    let (mut near, mut far) = pair();
    Box::pin(async move {
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(1));
            far.write_all(b"x").unwrap();
        });
        here!(near.read_exact(&mut [0])).unwrap();
    })
}

fn timeout() -> Boxed {
    let (mut near, far) = pair();
    near.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    Box::pin(async move {
        let error = here!(near.read(&mut [0])).unwrap_err();
        expect(error.kind() == ErrorKind::WouldBlock, || {
            format!("the guard has interrupted the read: {error}")
        });
        drop(far);
    })
}

/// Answers one HTTP request.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind(HERE).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut seen, mut buffer) = (Vec::new(), [0; 1024]);
        while !seen.ends_with(b"\r\n\r\n") {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the client has gone");
            seen.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi").unwrap();
    });
    address
}

fn reqwest_blocking() -> Boxed {
    // Only the first one is installed; there is one row that needs it.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let address = serve();
    Box::pin(async move {
        let client = here!(reqwest::blocking::Client::new());
        let url = format!("http://{address}/");
        let answer = here!(client.get(url).send());
        expect(answer.is_ok(), || format!("{answer:?}"));
        here!(drop(answer));
        here!(drop(client));
    })
}
