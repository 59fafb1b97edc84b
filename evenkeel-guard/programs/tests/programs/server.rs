//! A server that runs beside the test, and a client for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine: what is not there by then does not come.
const NEVER: Duration = Duration::from_secs(90);

/// A program that listens. Killed when it is dropped.
pub struct Server {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    /// Whether the body came to its end as HTTP has it.
    pub is_whole: bool,
}

impl Server {
    pub fn start(program: &str) -> Self {
        let mut child = Command::new(program)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let mut said = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut first = String::new();
        said.read_line(&mut first).expect("it says where it listens");
        let address = first.trim().trim_start_matches("http://").to_owned();
        let (log, errors) = (Arc::<Mutex<String>>::default(), child.stderr.take().expect("it is piped"));
        let into = Arc::clone(&log);
        // Ends with the program.
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut log = into.lock().expect("no holder panics");
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, address, log }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(NEVER)).expect("a timeout is set");
        stream
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request and leaves the answer to [`Server::read`].
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.write_all(body).expect("it reads");
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        read(self.send("GET", path, b""))
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        read(self.send("POST", path, body))
    }

    /// Waits for a line of the log with all of these words.
    pub fn says(&self, words: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let log = self.log.lock().expect("no holder panics").clone();
            if let Some(line) = log.lines().find(|line| words.iter().all(|word| line.contains(word))) {
                return line.to_owned();
            }
            assert!(begun.elapsed() < NEVER, "no line with {words:?} in\n{log}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks until the body has the word.
    pub fn until(&self, path: &str, word: &str) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = self.get(path);
            if answer.body.contains(word) {
                return answer;
            }
            assert!(begun.elapsed() < NEVER, "no {word} in {answer:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Reads an answer to its end.
pub fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) =
        text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{ended:?}: no answer in {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let (body, is_whole) = if head.to_lowercase().contains("transfer-encoding: chunked") {
        unchunked(body)
    } else {
        (body.to_owned(), ended.is_ok())
    };
    Answer { status, head: head.to_lowercase(), body, is_whole }
}

fn unchunked(mut chunks: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        if length == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(..length) else { break };
        body.push_str(chunk);
        chunks = rest.get(length + 2..).unwrap_or_default();
    }
    (body, false)
}
