//! Small servers on this machine for the clients of the table. Their threads are watched by nobody and live as long as
//! the program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// What a server takes that is slow.
pub(crate) const SLOW: Duration = Duration::from_millis(5);

/// Answers every connection by `serve` on a thread of its own.
pub(crate) fn start(serve: impl Fn(TcpStream) -> std::io::Result<()> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // A client that goes away ends its connection.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    address
}

pub(crate) fn http() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        start(|mut stream| {
            stream.set_nodelay(true)?;
            let mut reader = BufReader::new(stream.try_clone()?);
            loop {
                let (mut line, mut is_slow) = (String::new(), false);
                while line != "\r\n" {
                    line.clear();
                    if reader.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    is_slow |= line.starts_with("GET /slow");
                }
                if is_slow {
                    thread::sleep(SLOW);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")?;
            }
        })
    })
}

/// Starts what rows ask, which the first of them would start otherwise.
pub(crate) fn start_all() {
    http();
    tls();
    tls_client();
    websocket();
}

pub(crate) fn url() -> String {
    format!("http://{}/", http())
}

/// Answers later: a wait that is over at once may not be looked into.
pub(crate) fn slow_url() -> String {
    format!("http://{}/slow", http())
}

type Certificate = rcgen::CertifiedKey<rcgen::KeyPair>;

pub(crate) fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate for one name")
    })
}

fn tls_server() -> Arc<rustls::ServerConfig> {
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate().signing_key.serialize_der());
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config =
        config.with_single_cert(vec![certificate().cert.der().clone()], key.expect("the key of rcgen"));
    Arc::new(config.expect("key and certificate belong together"))
}

pub(crate) fn tls_client() -> &'static Arc<rustls::ClientConfig> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate().cert.der().clone()).expect("a certificate that was just made");
        Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    })
}

/// Says back what it is told, by TLS.
pub(crate) fn tls() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let config = tls_server();
        start(move |stream| {
            let connection =
                rustls::ServerConnection::new(Arc::clone(&config)).expect("a valid configuration");
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut bytes = [0; 64];
            loop {
                let length = stream.read(&mut bytes)?;
                if length == 0 {
                    return Ok(());
                }
                stream.write_all(&bytes[..length])?;
            }
        })
    })
}

/// A connection to it, in blocking mode.
pub(crate) fn tls_stream() -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let name = "localhost".try_into().expect("a name");
    let connection = rustls::ClientConnection::new(Arc::clone(tls_client()), name);
    let stream = TcpStream::connect(tls()).expect("the server above listens");
    rustls::StreamOwned::new(connection.expect("a valid configuration"), stream)
}

pub(crate) fn websocket() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        start(|stream| {
            let Ok(mut socket) = tungstenite::accept(stream) else { return Ok(()) };
            while let Ok(message) = socket.read() {
                if socket.send(message).is_err() {
                    break;
                }
            }
            Ok(())
        })
    })
}
