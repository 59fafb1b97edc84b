//! The smallest bot that keeps its word, over lines: one thread and one file that only grows.
//!
//! It shows that the loop of `kills` has no complaint where there is nothing to complain about, and, told to make
//! a mistake, that it has one where there is.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The variable that names a mistake.
pub(crate) const MISTAKE: &str = "BENCH_MISTAKE";
/// Mistakes that the bot makes when it is told to.
pub(crate) const MISTAKES: [&str; 6] =
    ["ack-before-write", "forget-sent", "forget-seen", "latest-first", "done-before-replies", "no-sync"];

/// This many lines are written together at most.
const BATCH: usize = 256;

struct Steady {
    file: File,
    network: TcpStream,
    mistake: String,
    /// Ids of messages that were accepted.
    seen: HashSet<String>,
    /// Accepted and not done: id, conversation, text.
    waiting: VecDeque<[String; 3]>,
    /// By conversation: key and text; the first is being sent if its conversation is among those that send.
    outbox: BTreeMap<String, VecDeque<(String, String)>>,
    sending: HashMap<String, String>,
    next_run: u64,
}

/// Connects, picks up what the file holds, and answers until it is killed.
pub(crate) fn run() -> io::Result<()> {
    let variable = |name| std::env::var(name).map_err(|_| io::Error::other(format!("`{name}` is not set")));
    let (path, mistake) = (variable("EVENKEEL_JOURNAL")?, std::env::var(MISTAKE).unwrap_or_default());
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let network = TcpStream::connect(variable("BENCH_LINES")?)?;
    network.set_nodelay(true)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut bot = Steady {
        file,
        network,
        mistake,
        seen: HashSet::new(),
        waiting: VecDeque::new(),
        outbox: BTreeMap::new(),
        sending: HashMap::new(),
        next_run: now.as_nanos() as u64,
    };
    bot.recover()?;
    let lines = bot.listen()?;
    loop {
        bot.handle()?;
        bot.send()?;
        let Ok(first) = lines.recv() else { return Ok(()) };
        let more: Vec<String> = std::iter::once(first).chain(lines.try_iter().take(BATCH)).collect();
        bot.take(&more)?;
    }
}

impl Steady {
    fn makes(&self, mistake: &str) -> bool {
        self.mistake == mistake
    }

    fn recover(&mut self) -> io::Result<()> {
        let (mut whole, mut line) = (0, String::new());
        let mut reader = BufReader::new(self.file.try_clone()?);
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            whole += line.len() as u64;
            self.replay(line.trim_end());
            line.clear();
        }
        // Half a line was never promised to anybody. The rest is synced before anything follows from it.
        self.file.set_len(whole)?;
        if !self.makes("no-sync") {
            self.file.sync_data()?;
        }
        if self.makes("latest-first") {
            self.waiting.make_contiguous().reverse();
        }
        if self.makes("forget-seen") {
            self.seen.clear();
        }
        Ok(())
    }

    fn replay(&mut self, line: &str) {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields.as_slice() {
            ["accepted", id, conversation, text] => {
                self.seen.insert((*id).to_owned());
                self.waiting.push_back([id, conversation, text].map(|field| (*field).to_owned()));
            }
            ["done", id, conversation, replies @ ..] => {
                self.waiting.retain(|message| message[0] != *id);
                let letters = self.outbox.entry((*conversation).to_owned()).or_default();
                letters.extend(
                    replies.iter().enumerate().map(|(at, text)| (format!("{id}.{at}"), (*text).to_owned())),
                );
            }
            ["sent", conversation, key] => {
                if let Some(letters) = self.outbox.get_mut(*conversation) {
                    letters.retain(|(known, _)| known != key);
                }
            }
            _ => {}
        }
    }

    /// The thread ends with the connection.
    fn listen(&self) -> io::Result<mpsc::Receiver<String>> {
        let (heard, lines) = mpsc::channel();
        let reader = BufReader::new(self.network.try_clone()?);
        std::thread::spawn(move || reader.lines().map_while(Result::ok).all(|line| heard.send(line).is_ok()));
        Ok(lines)
    }

    /// Accepts offers and strikes out what has arrived.
    fn take(&mut self, lines: &[String]) -> io::Result<()> {
        let (mut rows, mut answers) = (String::new(), String::new());
        for line in lines {
            if let Some(key) = line.strip_prefix("got ") {
                let Some(conversation) = self.sending.remove(key) else { continue };
                self.outbox.entry(conversation.clone()).or_default().pop_front();
                if !self.makes("forget-sent") {
                    let _ = writeln!(rows, "sent\t{conversation}\t{key}");
                }
                continue;
            }
            let mut words = line.splitn(4, ' ').skip(1).map(str::to_owned);
            let (Some(id), Some(conversation), Some(text)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let _ = writeln!(answers, "ok {id}");
            if self.seen.insert(id.clone()) {
                let _ = writeln!(rows, "accepted\t{id}\t{conversation}\t{text}");
                self.waiting.push_back([id, conversation, text]);
            }
        }
        if self.makes("ack-before-write") {
            self.network.write_all(answers.as_bytes())?;
            // As if the disk were slow: without it, a kill hardly ever falls in between.
            std::thread::sleep(Duration::from_millis(5));
            return self.write(&rows);
        }
        self.write(&rows)?;
        self.network.write_all(answers.as_bytes())
    }

    /// Answers everything that waits, in one write.
    fn handle(&mut self) -> io::Result<()> {
        let (mut rows, mut late) = (String::new(), String::new());
        for [id, conversation, text] in std::mem::take(&mut self.waiting) {
            self.next_run += 1;
            let replies = replies(&text, self.next_run);
            if self.makes("done-before-replies") {
                let _ = writeln!(rows, "done\t{id}\t{conversation}");
                let _ = writeln!(late, "done\t{id}\t{conversation}\t{}", replies.join("\t"));
            } else {
                let _ = writeln!(rows, "done\t{id}\t{conversation}\t{}", replies.join("\t"));
            }
            let letters = replies.into_iter().enumerate().map(|(at, text)| (format!("{id}.{at}"), text));
            self.outbox.entry(conversation).or_default().extend(letters);
        }
        self.write(&rows)?;
        self.write(&late)
    }

    /// Sends the first letter of each conversation that sends none.
    fn send(&mut self) -> io::Result<()> {
        let busy: HashSet<&String> = self.sending.values().collect();
        let mut lines = String::new();
        let mut started = Vec::new();
        for (conversation, letters) in self.outbox.iter().filter(|(name, _)| !busy.contains(name)) {
            let Some((key, text)) = letters.front() else { continue };
            let _ = writeln!(lines, "say {key} {conversation} {text}");
            started.push((key.clone(), conversation.clone()));
        }
        self.sending.extend(started);
        self.network.write_all(lines.as_bytes())
    }

    fn write(&mut self, rows: &str) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.file.write_all(rows.as_bytes())?;
        // No kill shows this one: only a power cut does.
        if self.makes("no-sync") { Ok(()) } else { self.file.sync_data() }
    }
}

/// The commands of `signal_bench` that `kills` writes.
fn replies(text: &str, run: u64) -> Vec<String> {
    let (command, token) = text.split_once(' ').unwrap_or((text, ""));
    let words: &[&str] = match command {
        "!echo" => &["said"],
        "!two" => &["first", "second"],
        "!now" => &["now", "then"],
        _ => return vec![format!("failed {token}")],
    };
    words.iter().map(|word| format!("{word} {token} r{run}")).collect()
}
