//! HTTP, sockets and TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

use evenkeel_guard::Class::{File, Join, Lookup, Network, Wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::row::{Row, SHORT, blocks, harmless, here};
use crate::server;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = socket_rows();
    rows.extend(client_rows());
    rows.extend(harmless_rows());
    rows.extend(harmless_client_rows());
    rows
}

fn socket_rows() -> Vec<Row> {
    vec![
        blocks("std", "TcpStream::connect", Network, || async {
            drop(here!(TcpStream::connect(server::http())).unwrap());
        }),
        blocks("std", "TcpStream::connect_timeout", Network, || {
            let address = server::http();
            async move {
                let limit = std::time::Duration::from_secs(60);
                drop(here!(TcpStream::connect_timeout(&address, limit)).unwrap());
            }
        }),
        blocks("std", "UnixDatagram::recv", Network, || {
            let (near, far) = std::os::unix::net::UnixDatagram::pair().unwrap();
            far.send(b"hi").unwrap();
            async move { here!(near.recv(&mut [0; 8])).unwrap() }
        }),
        blocks("std", "TcpStream::read", Network, || {
            let mut stream = TcpStream::connect(server::http()).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            async move { here!(stream.read(&mut [0; 8])).unwrap() }
        }),
        blocks("std", "TcpStream::write_all", Network, || {
            let mut stream = TcpStream::connect(server::http()).unwrap();
            async move { here!(stream.write_all(b"GET / HTTP/1.1\r\n\r\n")).unwrap() }
        }),
        blocks("std", "TcpListener::accept", Network, || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let asleep = crate::row::once_asleep(move || drop(TcpStream::connect(address)));
            async move {
                asleep.here();
                here!(listener.accept()).is_ok()
            }
        }),
        blocks("std", "UdpSocket::recv with a timeout", Network, || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(SHORT)).unwrap();
            async move { here!(socket.recv(&mut [0; 8])).unwrap_err().kind() }
        }),
        blocks("std", "UnixStream::read", Network, || {
            let (mut near, mut other) = std::os::unix::net::UnixStream::pair().unwrap();
            let asleep = crate::row::once_asleep(move || other.write_all(b"hi").unwrap());
            async move {
                asleep.here();
                here!(near.read(&mut [0; 8])).unwrap()
            }
        }),
        blocks("socket2", "Socket::connect", Network, || {
            let kind = (socket2::Domain::IPV4, socket2::Type::STREAM);
            let socket = socket2::Socket::new(kind.0, kind.1, None).unwrap();
            async move { here!(socket.connect(&server::http().into())).unwrap() }
        }),
        blocks("rustls", "StreamOwned over a socket", Network, || {
            let mut stream = server::tls_stream();
            async move {
                here!(stream.write_all(b"hello")).unwrap();
                let mut answer = [0; 5];
                here!(stream.read_exact(&mut answer)).unwrap();
                answer
            }
        }),
        blocks("tungstenite", "connect and read", Network, || async {
            let url = format!("ws://{}/", server::websocket());
            let (mut socket, _) = here!(tungstenite::connect(url)).unwrap();
            here!(socket.send("hello".into())).unwrap();
            here!(socket.read()).unwrap().into_text().unwrap().to_string()
        })
        .beside(&[Lookup]),
        blocks("tiny_http", "Server::recv_timeout", Wait, || {
            let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
            async move {
                let is_none = here!(server.recv_timeout(SHORT)).unwrap().is_none();
                here!(drop(server));
                is_none
            }
        })
        .beside(&[Network, Join]),
    ]
}

fn client_rows() -> Vec<Row> {
    vec![
        blocks("ureq", "get", Network, || async {
            let mut response = here!(ureq::get(server::url()).call()).unwrap();
            here!(response.body_mut().read_to_string()).unwrap()
        })
        .beside(&[Lookup, Wait, Join]),
        blocks("ureq", "an agent's second request", Network, || {
            let agent = ureq::Agent::new_with_defaults();
            agent.get(server::url()).call().unwrap().body_mut().read_to_string().unwrap();
            async move { here!(agent.get(server::url()).call()).unwrap().status().as_u16() }
        })
        .beside(&[Lookup, Wait, Join]),
        blocks("minreq", "get", Network, || async {
            here!(minreq::get(server::url()).send()).unwrap().as_str().unwrap().to_owned()
        })
        .beside(&[Lookup]),
        blocks("attohttpc", "get", Network, || async {
            here!(attohttpc::get(server::url()).send()).unwrap().status().as_u16()
        })
        .beside(&[Lookup, Wait, Join]),
        blocks("reqwest", "blocking::get", Wait, || async {
            let response = here!(reqwest::blocking::get(server::slow_url())).unwrap();
            here!(response.text()).unwrap()
        })
        .beside(&[Join, File])
        .outside_tokio(),
        blocks("reqwest", "a blocking client that is kept", Wait, || {
            let client = reqwest::blocking::Client::new();
            async move {
                let status = here!(client.get(server::slow_url()).send()).unwrap().status().as_u16();
                here!(drop(client));
                status
            }
        })
        .beside(&[Join])
        .outside_tokio(),
    ]
}

fn harmless_rows() -> Vec<Row> {
    vec![
        harmless("tokio", "net::TcpStream", || async {
            let mut stream = tokio::net::TcpStream::connect(server::http()).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            stream.read(&mut [0; 8]).await.unwrap()
        }),
        harmless("tokio", "net::UdpSocket", || async {
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.send_to(b"hi", socket.local_addr().unwrap()).await.unwrap();
            socket.recv(&mut [0; 8]).await.unwrap()
        }),
        harmless("tokio", "io::duplex and copy", || async {
            let (mut near, mut other) = tokio::io::duplex(16);
            let task =
                tokio::spawn(
                    async move { tokio::io::copy(&mut other, &mut tokio::io::sink()).await.unwrap() },
                );
            near.write_all(&[b'x'; 1000]).await.unwrap();
            drop(near);
            task.await.unwrap()
        }),
        harmless("tokio-util", "codec::Framed", || async {
            use futures::SinkExt;
            let (near, other) = tokio::io::duplex(64);
            let mut near = tokio_util::codec::Framed::new(near, tokio_util::codec::LinesCodec::new());
            let mut other = tokio_util::codec::Framed::new(other, tokio_util::codec::LinesCodec::new());
            for _ in 0..20 {
                near.send("line").await.unwrap();
                futures::StreamExt::next(&mut other).await.unwrap().unwrap();
            }
        }),
        harmless("tokio-rustls", "a handshake", || {
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(server::tls_client()));
            async move {
                let stream = tokio::net::TcpStream::connect(server::tls()).await.unwrap();
                let name = "localhost".try_into().unwrap();
                let mut stream = connector.connect(name, stream).await.unwrap();
                stream.write_all(b"hello").await.unwrap();
                let mut answer = [0; 5];
                stream.read_exact(&mut answer).await.unwrap();
                answer
            }
        }),
        harmless("tokio-tungstenite", "a message and its echo", || async {
            use futures::SinkExt;
            let url = format!("ws://{}/", server::websocket());
            let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
            socket.send("hello".into()).await.unwrap();
            let message = futures::StreamExt::next(&mut socket).await.unwrap().unwrap();
            message.into_text().unwrap().to_string()
        }),
    ]
}

fn harmless_client_rows() -> Vec<Row> {
    vec![
        harmless("reqwest", "get", || {
            let client = reqwest::Client::new();
            async move { client.get(server::url()).send().await.unwrap().text().await.unwrap() }
        }),
        harmless("hyper", "client::conn::http1", || async {
            let stream = tokio::net::TcpStream::connect(server::http()).await.unwrap();
            let stream = hyper_util::rt::TokioIo::new(stream);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let request = hyper::Request::get("/").header("host", "here");
            let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
            sender.send_request(request).await.unwrap().status().as_u16()
        }),
        harmless("hyper-util", "client::legacy", || {
            let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
            let client = client.build_http::<http_body_util::Empty<bytes::Bytes>>();
            async move { client.get(server::url().parse().unwrap()).await.unwrap().status().as_u16() }
        }),
        harmless("axum", "a router", || {
            let route =
                axum::routing::post(async |axum::Json(number): axum::Json<u32>| axum::Json(number + 1));
            let router = axum::Router::new().route("/next", route);
            async move {
                use tower::ServiceExt;
                let request = axum::http::Request::post("/next").header("content-type", "application/json");
                let request = request.body(axum::body::Body::from("1")).unwrap();
                let response = router.oneshot(request).await.unwrap();
                axum::body::to_bytes(response.into_body(), 100).await.unwrap()
            }
        }),
        harmless("socket2", "options of a socket", || async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let socket = socket2::SockRef::from(&listener);
            socket.set_recv_buffer_size(1 << 16).unwrap();
            socket.keepalive().unwrap()
        }),
    ]
}
