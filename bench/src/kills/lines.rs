//! The other side of the bot's `lines`: it acknowledges what it has, and is offered again what it has not.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::onlooker::Onlooker;
use super::words::{Answer, Line};
use crate::contender::Running;

/// How long a bot may take to connect.
const PATIENCE: Duration = Duration::from_secs(20);

/// Listens for one bot after the other.
pub(super) struct Lines {
    listener: TcpListener,
    onlooker: Onlooker,
    /// How long a send takes.
    send: Duration,
    /// All that was ever written, where bots read it from a position on.
    log: Option<Log>,
    /// The keys that have come, where each is taken once.
    known: Option<Known>,
}

/// Of all bots, one after the other.
type Known = Arc<Mutex<HashSet<String>>>;

/// What is kept for readers, and whether one reads.
type Log = Arc<Mutex<Kept>>;

#[derive(Default)]
struct Kept {
    lines: Vec<Line>,
    is_read: bool,
}

/// A bot that has connected; dropping this waits until all that it wrote is read, so it has to have ended.
pub(super) struct Connection {
    stream: Arc<Mutex<TcpStream>>,
    onlooker: Onlooker,
    log: Option<Log>,
    /// They end with the connection.
    threads: Vec<JoinHandle<()>>,
}

impl Lines {
    /// With acknowledgements.
    pub(super) fn listen(onlooker: Onlooker, send: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, onlooker, send, log: None, known: None })
    }

    /// Without them: with a log that is read from a position on.
    pub(super) fn replayed(self) -> Self {
        Self { log: Some(Log::default()), ..self }
    }

    /// What comes under a key that has come before is confirmed and dropped.
    pub(super) fn once_each(self) -> Self {
        Self { known: Some(Known::default()), ..self }
    }

    /// The address, for the bot's environment.
    pub(super) fn address(&self) -> io::Result<String> {
        Ok(self.listener.local_addr()?.to_string())
    }

    /// Waits for the bot.
    pub(super) fn connect(&self, running: &mut Running) -> io::Result<Connection> {
        let start = Instant::now();
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if running.has_ended() => {
                    return Err(io::Error::other("the bot has ended before it connected"));
                }
                Err(_) if start.elapsed() > PATIENCE => {
                    return Err(io::Error::other(format!("the bot has not connected within {PATIENCE:?}")));
                }
                Err(_) => std::thread::sleep(Duration::from_micros(500)),
            }
        };
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        let mut reading = BufReader::new(stream.try_clone()?);
        let stream = Arc::new(Mutex::new(stream));
        let (writing, onlooker) = (Arc::clone(&stream), self.onlooker.clone());
        // The reader holds the sender; the confirmations of a dead bot are told to nobody.
        let (heard, due) = mpsc::channel::<Confirmation>();
        let reader = std::thread::Builder::new().name("lines".into()).spawn({
            let (onlooker, send, stream) = (onlooker.clone(), self.send, Arc::clone(&stream));
            let (log, known) = (self.log.clone(), self.known.clone());
            move || {
                let mut line = String::new();
                // A killed bot resets the connection, so an error is the end, too; half a line says nothing.
                while reading.read_line(&mut line).is_ok() && line.ends_with('\n') {
                    if let Some((log, position)) = log.as_ref().zip(line.trim_end().strip_prefix("from ")) {
                        replay(log, position.parse().unwrap_or(0), &stream);
                    }
                    if let Some((key, answer)) = hear(line.trim_end(), &onlooker, known.as_ref()) {
                        // The other thread ends after this one.
                        let _ = heard.send(Confirmation { at: Instant::now() + send, key, answer });
                    }
                    line.clear();
                }
            }
        })?;
        let confirmer = std::thread::Builder::new().name("confirmations".into()).spawn(move || {
            for Confirmation { at, key, answer } in due {
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                write(&writing, &format!("got {key}\n"));
                // Not before: a thread that rests in between would let round trips pass of which the bot knows nothing.
                if let Some(answer) = answer {
                    onlooker.confirm(answer);
                }
            }
        })?;
        let (onlooker, log) = (self.onlooker.clone(), self.log.clone());
        Ok(Connection { stream, onlooker, log, threads: vec![reader, confirmer] })
    }
}

/// What the bot is told once its send has taken its time.
struct Confirmation {
    at: Instant,
    key: String,
    /// `None` if it is an answer to nobody knows what, or dropped.
    answer: Option<Answer>,
}

impl Connection {
    /// Offers a message; whether it arrives, its acknowledgement will tell.
    pub(super) fn offer(&self, line: Line) {
        self.onlooker.offer(line);
        let Some(log) = &self.log else { return write(&self.stream, &offer(line)) };
        let mut kept = log.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lines.push(line);
        if kept.is_read {
            write(&self.stream, &format!("at {} {}", kept.lines.len(), offer(line)));
        }
    }

    /// Whether what was not acknowledged is offered again: what is read from a position on comes by itself.
    pub(super) fn is_patient(&self) -> bool {
        self.log.is_none()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(log) = &self.log {
            log.lock().unwrap_or_else(PoisonError::into_inner).is_read = false;
        }
        for thread in self.threads.drain(..) {
            // A panic in there has printed itself already.
            let _ = thread.join();
        }
    }
}

fn offer(line: Line) -> String {
    format!("offer {0} {1} {2}\n", line.message, line.conversation, line.text())
}

/// Writes all that came after a position; what comes from now on follows that.
fn replay(log: &Log, position: usize, stream: &Mutex<TcpStream>) {
    let mut kept = log.lock().unwrap_or_else(PoisonError::into_inner);
    let after = kept.lines.iter().enumerate().skip(position);
    let text: String = after.map(|(at, line)| format!("at {} {}", at + 1, offer(*line))).collect();
    write(stream, &text);
    kept.is_read = true;
}

/// Reads a line of the bot; returns the key of an answer, which has to be confirmed.
fn hear(line: &str, onlooker: &Onlooker, known: Option<&Known>) -> Option<(String, Option<Answer>)> {
    let mut words = line.splitn(4, ' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("ok"), Some(message), None, None) => onlooker.acknowledge(message.parse().ok()?),
        (Some("say"), Some(key), ..) if known.is_some_and(|known| !is_new(known, key)) => {
            return Some((key.to_owned(), None));
        }
        (Some("say"), Some(key), Some(conversation), Some(text)) => {
            return Some((key.to_owned(), onlooker.hear(conversation.parse().ok()?, text)));
        }
        // `no`: it will be offered again to the next bot.
        _ => {}
    }
    None
}

fn is_new(known: &Known, key: &str) -> bool {
    known.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned())
}

fn write(stream: &Mutex<TcpStream>, line: &str) {
    // A bot that has just been killed does not read, and will be told again by other means.
    let _ = stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
}
