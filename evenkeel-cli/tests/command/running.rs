//! A process of the command that ends with its test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Far longer than anything takes, so that a test that hangs says so.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command with an empty environment.
pub(crate) fn evenkeel(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(arguments).env_clear().current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Runs to the end and returns the exit code, standard output and standard error.
pub(crate) fn finished(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().expect("the command starts");
    let text = |bytes| String::from_utf8(bytes).expect("the command writes UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// A command that goes on by itself; killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// Ends with the child, whose standard output the other side reads.
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stderr(Stdio::null());
        Self::spawn(command)
    }

    /// The same, with its log.
    pub(crate) fn start_logged(mut command: Command) -> (Self, ChildStderr) {
        command.stderr(Stdio::piped());
        let mut running = Self::spawn(command);
        let log = running.child.stderr.take().expect("it is piped");
        (running, log)
    }

    /// The same, with a log that is a full pipe, and a reader that never reads.
    pub(crate) fn start_unread(mut command: Command) -> (Self, PipeReader) {
        let (reader, writer) = std::io::pipe().expect("there is room for a pipe");
        let mut filler = writer.try_clone().expect("there is room for another end");
        // Ends when the reader is gone.
        std::thread::spawn(move || while filler.write_all(&[b'x'; 4096]).is_ok() {});
        command.stderr(writer);
        (Self::spawn(command), reader)
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (line, lines) = channel();
        // Ends when the pipe does, which is when the child does.
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|read| line.send(read)));
        Self { child, lines }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the command writes another line")
    }

    pub(crate) fn types(&mut self, line: &str) {
        let mut input = self.child.stdin.as_ref().expect("it is piped");
        writeln!(input, "{line}").expect("the command reads");
    }

    /// Ends standard input, and waits.
    pub(crate) fn leave(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.wait()
    }

    #[cfg(unix)]
    pub(crate) fn terminate(self) -> ExitStatus {
        self.ends_after("-TERM")
    }

    /// Sends a signal, such as `-HUP`, and waits for the end.
    #[cfg(unix)]
    pub(crate) fn ends_after(mut self, signal: &str) -> ExitStatus {
        self.hears(signal);
        self.wait()
    }

    #[cfg(unix)]
    pub(crate) fn hears(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args([signal, &pid]).status().expect("every Unix has `kill`");
        assert!(told.success());
    }

    fn wait(&mut self) -> ExitStatus {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the command does not end"),
            }
        }
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Sends a request to a page and returns the open connection.
pub(crate) fn request(url: &str, head: &str, body: &str) -> TcpStream {
    let (host, token) = url.trim_start_matches("http://").split_once("/?token=").unwrap_or((url, ""));
    let host = host.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).expect("the page listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("the page reads");
    stream
}

/// Reads until `wanted` has come, and returns what came until then.
pub(crate) fn read_until(mut stream: impl Read, wanted: &str) -> String {
    let (mut text, mut buffer, since) = (String::new(), [0; 4096], Instant::now());
    while !text.contains(wanted) {
        // A stream that has nothing to say sends empty lines, so a limit for each read is not enough.
        assert!(since.elapsed() < PATIENCE, "`{wanted}` does not come in:\n{text}");
        let count = stream.read(&mut buffer).expect("more comes in time");
        assert!(count > 0, "`{wanted}` did not come in:\n{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    text
}

/// An empty directory of this test's own.
pub(crate) fn directory(name: &str) -> std::path::PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Left over from the last run, if at all.
    let _missing = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("cargo made the directory around it");
    directory
}
