//! A server that behaves as `signal-cli-rest-api` does, warts included: for tests, the demo and the benchmark.
//!
//! The real server loses frames that nobody is ready to read, answers 400 for everything, hangs without a
//! deadline and closes sockets without a close frame. A client is only as good as the worst hour it was tested
//! in, so every one of those hours can be had here on demand, over real sockets, without an account.
//!
//! The stand-in runs on its own thread and its own clock: a test with a paused clock may drive it, and dropping
//! it closes every socket and joins the thread. A paused clock does jump while the test waits for a socket; use
//! [`Switchboard::wait_for`], whose patience is real time, in place of `tokio::time::timeout`.
//!
//! ```
//! use evenkeel_signal::standin::{Standin, options::Options, people::Person};
//!
//! # fn main() -> std::io::Result<()> {
//! let signal = Standin::start(Options::default())?;
//! // Nobody is connected, so the frame is lost, as it would be upstream.
//! signal.say(&Person::alice(), "!ping");
//! assert_eq!(signal.transcript().dropped, 1);
//! # Ok(())
//! # }
//! ```
//!
//! Source: `bbernhard/signal-cli-rest-api` at `a08db23`, `src/api/api.go` and `src/client/client.go`.

pub mod answer;
mod connection;
pub mod options;
pub mod people;
mod receive;
mod recipient;
mod routes;
mod send;
mod server;
mod socket;
pub mod switchboard;
pub mod transcript;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use options::Options;
use server::Server;
use switchboard::Switchboard;

/// A running stand-in; dropping it closes every connection and ends its thread.
///
/// Everything it can be told is on [`Switchboard`], which it derefs to and which can be cloned into callbacks
/// and other threads.
#[derive(Debug)]
pub struct Standin {
    switchboard: Switchboard,
    address: SocketAddr,
    /// Dropping the sender ends the accept loop, and with it the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Standin {
    /// Listens on the address of `options` and serves until dropped.
    ///
    /// # Errors
    ///
    /// The address is taken or not ours, or the system has no thread or no descriptors left.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(options.address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let server = Arc::new(Server::new(options, runtime.handle().clone()));
        let switchboard = Switchboard::new(Arc::clone(&server));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("signal-standin".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, &server) => {}
                    _ = stopped => {}
                }
            });
            server.hang_up();
        })?;
        Ok(Self { switchboard, address, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the base address for clients, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address that is listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a handle that can be cloned; it outlives the stand-in, but then reaches nobody.
    #[must_use]
    pub fn switchboard(&self) -> Switchboard {
        self.switchboard.clone()
    }

    /// Closes every connection and waits for the thread; dropping does the same.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Deref for Standin {
    type Target = Switchboard;

    fn deref(&self) -> &Switchboard {
        &self.switchboard
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has printed itself already; a second one while dropping would abort the test.
            let _ = thread.join();
        }
    }
}

/// Accepts until the runtime is dropped; each connection is a task of that runtime and ends with it.
async fn accept(listener: std::net::TcpListener, server: &Arc<Server>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        server.while_frozen().await;
        match listener.accept().await {
            Ok((stream, _)) => connection::spawn(stream, server),
            // Out of descriptors: the listener stays readable, so without a pause this loop would spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
