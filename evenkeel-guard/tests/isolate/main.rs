//! Functions in child processes: what comes back, what is said when nothing does, and that nothing stays behind.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]
#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]

mod descendants;
mod ending;
mod hostile;
mod inside;
mod limits;
mod returning;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Tells a test that this process lives, by a connection that only its death ends, and then never returns.
fn stay(port: u16) {
    let mut line = TcpStream::connect(("127.0.0.1", port)).unwrap();
    line.write_all(&std::process::id().to_le_bytes()).unwrap();
    loop {
        std::thread::park();
    }
}

/// The test's end of such a connection.
struct Alive {
    line: TcpStream,
    process: u32,
}

impl Alive {
    /// Waits for a process to call.
    async fn accept(listener: TcpListener) -> Self {
        let accepting = move || {
            let (mut line, _) = listener.accept().unwrap();
            let mut process = [0; 4];
            // Who dies before it has told its id, has none.
            let _ = line.read_exact(&mut process);
            Self { line, process: u32::from_le_bytes(process) }
        };
        tokio::task::spawn_blocking(accepting).await.unwrap()
    }

    /// Waits for its death, and for somebody to take note of it.
    async fn end(mut self) {
        let ended = move || {
            // A reset is an end too.
            let _ = self.line.read(&mut [0]);
            self.process
        };
        is_gone(tokio::task::spawn_blocking(ended).await.unwrap()).await;
    }
}

/// Looks until the process is gone.
async fn is_gone(process: u32) {
    for _ in 0..10_000 {
        if has_left(process) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    panic!("process {process} is still there: {status:?}");
}

/// Whether there is no such process, or one that is dead and for another to reap: the first process of the system
/// gets orphans, and in a container does not always care.
fn has_left(process: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return true };
    let Some((_, rest)) = stat.rsplit_once(") ") else { return false };
    let mut fields = rest.split(' ');
    fields.next() == Some("Z") && fields.next() != Some(&std::process::id().to_string())
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Starts this test program once more, with one test only, and a word to it.
fn again(test: &str, word: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("EVENKEEL_TEST_AGAIN", word);
    command
}

/// The word, if this is the program that was started once more.
fn word() -> Option<String> {
    std::env::var("EVENKEEL_TEST_AGAIN").ok()
}
