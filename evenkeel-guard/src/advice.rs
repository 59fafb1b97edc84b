//! What to write instead of a call that blocks.

mod table;

use crate::frame::poll::called;
use crate::frame::{crate_of, is_in};
use crate::report::{Class, Frame};

use table::{CRATES, FUNCTIONS, INNER_LOCK, Row, in_use, of_call, of_class};

/// What advice calls the ways out, so that it can be pasted into the program at hand.
///
/// ```
/// use evenkeel_guard::Words;
///
/// let words = Words { http: "shop::client()", ..Words::tokio() };
/// assert_eq!(words.blocking, "tokio::task::spawn_blocking(move || ..).await");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// Runs a call that blocks on a thread made for that.
    pub blocking: &'static str,
    /// Runs a long calculation away from the threads that poll.
    pub offload: &'static str,
    /// The HTTP client that does not block.
    pub http: &'static str,
}

impl Words {
    /// The words for any program on tokio.
    pub const fn tokio() -> Self {
        let blocking = "tokio::task::spawn_blocking(move || ..).await";
        Self { blocking, offload: blocking, http: "reqwest::Client" }
    }
}

impl Default for Words {
    fn default() -> Self {
        Self::tokio()
    }
}

/// What to write instead of what `frames` show, innermost first.
///
/// The outermost frame that a row is for counts, since that is the call in the author's code: by its crate, else by its
/// function. Without such a frame the class tells. What the author uses already is not advised.
pub(crate) fn advise(class: Class, symbol: Option<&str>, frames: &[Frame], words: &Words) -> String {
    let called = called(frames);
    // What such a loop calls is no fault: it is the loop that never lets go.
    let row = (class != Class::AlwaysReady).then(|| find(class, called)).flatten();
    match row {
        Some(Match { row, at, .. }) if is_used(row, &called[at..], words) => filled(in_use(class), words, ""),
        Some(Match { row, path, .. }) => filled(row.text, words, last(path)),
        None => {
            let class = of_symbol(class, symbol);
            let special = symbol.and_then(|symbol| of_call(class, symbol));
            filled(special.unwrap_or_else(|| of_class(class)), words, "")
        }
    }
}

/// What to say of a lock inside something that the author calls.
pub(crate) fn advise_on_inner_lock(words: &Words) -> String {
    filled(INNER_LOCK, words, "")
}

/// A row that is for a frame.
struct Match {
    row: &'static Row,
    /// Which of its paths fits.
    path: &'static str,
    /// The frame's place in the stack.
    at: usize,
}

/// The row for the outermost frame that has one.
fn find(class: Class, called: &[Frame]) -> Option<Match> {
    called.iter().enumerate().rev().find_map(|(at, frame)| {
        let mut rows = CRATES.iter().chain(FUNCTIONS).filter(|row| row.is_for(class));
        rows.find_map(|row| Some(Match { row, path: path_of(row, frame)?, at }))
    })
}

/// The path of a row that a frame lies in.
fn path_of(row: &Row, frame: &Frame) -> Option<&'static str> {
    let name = crate_of(frame);
    row.paths.iter().copied().find(|path| name.as_deref() == Some(path) || is_in(frame, path))
}

/// Whether a row advises what is used already: it names a crate or a module that `outwards` goes through, which is the
/// frame that the row is for and all outside of it.
fn is_used(row: &Row, outwards: &[Frame], words: &Words) -> bool {
    let text = row.text.replace("{http}", words.http);
    // What follows is what to take out.
    let text = text.split(" in place of ").next().unwrap_or_default();
    let is_part = |letter: char| letter.is_alphanumeric() || "_:-".contains(letter);
    let mut named = text.split('`').skip(1).step_by(2).map(|code| {
        let end = code.find(|letter| !is_part(letter)).unwrap_or(code.len());
        code[..end].replace('-', "_")
    });
    named.any(|path| names_used(&path, row, outwards))
}

fn names_used(path: &str, row: &Row, outwards: &[Frame]) -> bool {
    let outside = outwards.get(1..).unwrap_or_default();
    // Of `tokio::fs::File::open` the module is what tells.
    let type_at = path.match_indices("::").find(|(at, _)| path[at + 2..].starts_with(char::is_uppercase));
    let split = type_at.map(|(at, _)| (&path[..at], &path[at + 2..])).or_else(|| path.rsplit_once("::"));
    let Some((module, last)) = split else {
        let is_of =
            |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
        return !path.is_empty() && outside.iter().filter_map(crate_of).any(|name| is_of(&name));
    };
    if module.contains("::") {
        return outwards.iter().any(|frame| is_in(frame, module));
    }
    // `reqwest::Client` is right for what calls `reqwest::blocking`, and for nothing else of that crate.
    let is_part_of_crate = row.paths.iter().any(|path| path.starts_with(module) && path.contains("::"));
    outwards.iter().filter(|frame| crate_of(frame).as_deref() == Some(module)).any(|frame| {
        if is_part_of_crate {
            path_of(row, frame).is_none()
        } else {
            is_in(frame, &format!("{module}::*{last}"))
        }
    })
}

/// A class that says nothing may have a call that does.
fn of_symbol(class: Class, symbol: Option<&str>) -> Class {
    match symbol {
        Some("pthread_join") if class == Class::Unknown => Class::Join,
        Some("getaddrinfo" | "gethostbyname") if matches!(class, Class::Unknown | Class::Network) => {
            Class::Lookup
        }
        Some("nanosleep" | "clock_nanosleep" | "usleep") if class == Class::Unknown => Class::Sleep,
        _ => class,
    }
}

/// `read` of `std::fs::read`. Of the row's path, since the frame may be of a function inside.
fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or_default()
}

fn filled(text: &str, words: &Words, same: &str) -> String {
    let Words { blocking, offload, http } = words;
    text.replace("{blocking}", blocking)
        .replace("{offload}", offload)
        .replace("{http}", http)
        .replace("{same}", same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allow::CLASSES;
    use crate::frame::frames;

    #[track_caller]
    fn check(class: Class, called: &str, part: &str) {
        let stack = frames(&format!("{called}\nbot::run | src/run.rs:3\nasync_task::raw::run"));
        let text = advise(class, None, &stack, &Words::tokio());
        assert!(text.contains(part), "{class:?} in {called}: {text}");
    }

    /// Each blocking call that guides for other languages forbid, as this one has it, and what they recommend.
    #[test]
    fn every_forbidden_call_of_the_guides_has_its_replacement() {
        use Class::*;
        for (_forbidden, class, called, part) in [
            (
                "requests.get(), urllib",
                Network,
                "std::net::tcp::TcpStream::connect\nureq::request::call",
                "`reqwest::Client`",
            ),
            (
                "httpx.get()",
                Network,
                "std::sys::net::recv\nreqwest::blocking::client::Client::execute",
                "`reqwest::Client`",
            ),
            ("requests.Session()", Lookup, "curl::easy::handle::Easy::perform", "`reqwest::Client`"),
            ("open()", File, "std::fs::File::open<&str>", "`tokio::fs::File::open(..).await`"),
            ("open(), in a release build", File, "std::fs::open<&str>", "`tokio::fs::File::open(..).await`"),
            (
                "open().read()",
                File,
                "std::fs::read_to_string::<&str>",
                "`tokio::fs::read_to_string(..).await`",
            ),
            ("file.read()", File, "<std::fs::File as std::io::Read>::read", "`tokio::fs`"),
            ("file.write()", File, "<std::fs::File as std::io::Write>::write", "`tokio::fs`"),
            (
                "pathlib.Path.exists()",
                File,
                "std::fs::metadata\nstd::path::Path::exists",
                "`tokio::fs::try_exists(..).await`",
            ),
            (
                "pathlib.Path.is_file()",
                File,
                "std::fs::metadata\nstd::path::Path::is_file",
                "`tokio::fs::metadata(..).await`",
            ),
            ("pathlib.Path.iterdir()", File, "std::fs::read_dir<&str>", "`tokio::fs::read_dir(..).await`"),
            ("time.sleep()", Sleep, "std::thread::functions::sleep", "`tokio::time::sleep(duration).await`"),
            (
                "sqlite3, sqlcipher",
                File,
                "unixOpen | libsqlite3-sys-0.35.0/sqlite3/sqlite3.c:3\nrusqlite::Connection::open",
                "`sqlx`",
            ),
            ("psycopg2, psycopg", Network, "postgres::client::Client::query", "`tokio-postgres`"),
            ("mysql-connector", Network, "mysql::conn::Conn::query", "`mysql_async`"),
            ("pymongo", Network, "mongodb::sync::client::Client::database", "`mongodb::Client`"),
            ("sqlalchemy.create_engine()", Network, "diesel::query_dsl::load", "`diesel-async`"),
            (
                "redis.Redis()",
                Network,
                "redis::connection::Connection::req",
                "`redis::aio::MultiplexedConnection`",
            ),
            ("subprocess.run()", Process, "<std::process::Command>::output", "`tokio::process::Command`"),
            (
                "ProcessPoolExecutor().submit().result()",
                Join,
                "std::thread::join_handle::JoinHandle<T>::join",
                "spawn_blocking",
            ),
            (
                "threading.Lock()",
                Contention,
                "std::sync::poison::mutex::Mutex<T>::lock",
                "`tokio::sync::Mutex`",
            ),
            ("queue.Queue.get()", Wait, "std::sync::mpsc::Receiver<T>::recv", "`tokio::sync::mpsc`"),
            (
                "asyncio.run() in a coroutine",
                Wait,
                "tokio::runtime::handle::Handle::block_on",
                "`.await` the future",
            ),
            (
                "loop.run_until_complete()",
                Wait,
                "futures_executor::local_pool::block_on",
                "`.await` the future",
            ),
            ("input()", Input, "<std::io::stdio::Stdin>::read_line", "standard input"),
            ("print() to a full pipe", Output, "std::io::stdio::_print", "non_blocking"),
            (
                "socket.getaddrinfo()",
                Lookup,
                "<str as std::net::socket_addr::ToSocketAddrs>::to_socket_addrs",
                "`tokio::net::lookup_host",
            ),
            ("socket.connect()", Network, "std::net::tcp::TcpStream::connect", "`tokio::net::TcpStream`"),
            (
                "subprocess.Popen().stdout.read()",
                Process,
                "<std::process::ChildStdout as std::io::Read>::read",
                "`tokio::process::Command`",
            ),
            (
                "os.pipe(), os.read()",
                Wait,
                "<std::io::pipe::PipeReader as std::io::Read>::read",
                "`tokio::net::unix::pipe`",
            ),
            (
                "open() of a pipe with a name",
                Wait,
                "<std::fs::File as std::io::Read>::read",
                "`tokio::net::unix::pipe`",
            ),
            (
                "socket.socket(AF_UNIX, SOCK_DGRAM)",
                Network,
                "std::os::unix::net::datagram::UnixDatagram::recv",
                "`tokio::net::UnixDatagram`",
            ),
            ("smtplib", Network, "lettre::smtp::send", "`tokio1`"),
            ("PIL.Image.open()", File, "std::fs::File::open\nimage::io::open", "image work"),
            ("PIL.Image.resize()", Compute, "image::imageops::resize", "image work"),
            ("bcrypt.hashpw()", Compute, "blowfish::expand\nbcrypt::hash", "spawn_blocking"),
            (
                "gzip.compress()",
                Compute,
                "miniz_oxide::deflate\nflate2::write::finish",
                "`async-compression`",
            ),
            ("json.loads(), pickle.loads()", Compute, "serde_json::de::from_slice", "big data"),
            (
                "json.load()",
                File,
                "std::fs::File::read\nserde_json::de::from_reader",
                "`tokio::fs::read(..).await`",
            ),
            (
                "data transformation",
                Compute,
                "core::slice::sort::stable::sort\nalloc::slice::<impl [T]>::sort",
                "sorting",
            ),
            ("long calculations", Compute, "", "spawn_blocking"),
            ("long loops without sleep(0)", AlwaysReady, "tokio::sync::mpsc::unbounded::recv", "yield_now"),
        ] {
            check(class, called, part);
        }
    }

    #[test]
    fn every_row_and_every_class_gives_one_or_two_sentences_to_paste() {
        for (_, class) in CLASSES {
            check(*class, "", "`");
        }
        for row in CRATES.iter().chain(FUNCTIONS) {
            assert!(!row.paths.is_empty() && row.text.contains('`'), "{}", row.text);
            for path in row.paths {
                let class = row.classes.first().copied().unwrap_or(Class::Network);
                let function = format!("{}::f", path.replace('*', "part"));
                let stack = frames(&format!("{function}\nbot::run | src/run.rs:3"));
                let text = advise(class, None, &stack, &Words::tokio());
                let same = last(path);
                assert_eq!(
                    text,
                    filled(row.text, &Words::tokio(), same),
                    "`{path}` is hidden by an earlier row"
                );
                assert!(!text.contains(['{', '}']) && text.len() < 240 && !text.ends_with('.'), "{text}");
            }
        }
    }

    #[test]
    fn the_outermost_crate_is_advised_and_the_authors_callers_are_not() {
        check(Class::Network, "std::net::tcp::TcpStream::connect\npostgres::connect\nr2d2::get", "`bb8`");
        let parked = "parking_lot::condvar::Condvar::wait\ntokio::runtime::park::CachedParkThread::park";
        let block_on = format!("{parked}\ntokio::runtime::handle::Handle::block_on");
        check(Class::Wait, &block_on, "in place of `block_on`");
        let receive = format!("{parked}\ntokio::sync::mpsc::bounded::Receiver<T>::blocking_recv");
        check(Class::Wait, &receive, "`recv().await`");
        check(
            Class::Compute,
            "regex::new\nstd::sync::lazy_lock::LazyLock<T>::force",
            "build the pattern once",
        );
        let stack = frames(
            "std::thread::functions::sleep\nbot::row | src/run.rs:3\nrusqlite::query_row | rusqlite-0.37.0/src/lib.rs:9",
        );
        let text = advise(Class::Sleep, Some("clock_nanosleep"), &stack, &Words::tokio());
        assert_eq!(text, "use `tokio::time::sleep(duration).await`");
    }

    #[test]
    fn users_of_the_system_are_no_hosts() {
        let home = frames("std::sys::paths::unix::home_dir\nstd::env::home_dir\nbot::run | src/run.rs:3");
        for (symbol, stack, part) in [
            ("getpwuid_r", &home[..], "at start-up"),
            ("getgrnam", &[], "at start-up"),
            ("initgroups", &[], "at start-up"),
            ("getaddrinfo", &[], "lookup_host"),
        ] {
            let text = advise(Class::Lookup, Some(symbol), stack, &Words::tokio());
            assert!(text.contains(part), "{symbol}: {text}");
        }
    }

    #[test]
    fn crates_are_known_by_their_files_too() {
        check(Class::File, "robust_open | libsqlite3-sys-0.35.0/sqlite3/sqlite3.c:39567", "`sqlx`");
        check(Class::Network, "{closure#0} | ureq-3.5.1/src/run.rs:3", "`reqwest::Client`");
    }

    #[test]
    fn what_is_used_already_is_not_advised() {
        for (class, called, named) in [
            (
                Class::File,
                "unixClose | libsqlite3-sys-0.35.0/sqlite3/sqlite3.c:3\nsqlx_sqlite::connection::handle::drop\nsqlx_core::pool::inner::close",
                "sqlx",
            ),
            (
                Class::Join,
                "std::thread::join_handle::JoinHandle<T>::join\nlibsqlite3_sys::close\nsqlx_sqlite::connection::worker::shutdown",
                "sqlx",
            ),
            (
                Class::Network,
                "redis::connection::connect\nredis::aio::connection::connect_simple",
                "redis::aio",
            ),
            (Class::Network, "curl::easy::perform\nreqwest::async_impl::client::Client::execute", "reqwest"),
            (
                Class::Network,
                "tungstenite::client::connect\ntokio_tungstenite::connect::connect_async",
                "tokio-tungstenite",
            ),
            (
                Class::Compute,
                "miniz_oxide::deflate\nflate2::write\nasync_compression::codec::flate::encode",
                "async-compression",
            ),
            (Class::Compute, "diesel::query_dsl::load\ndiesel_async::run_query_dsl::load", "diesel-async"),
            (Class::Network, "rustls::conn::complete_io\ntokio_rustls::common::handshake", "tokio-rustls"),
            (Class::Network, "mysql::conn::read\nmysql_async::conn::read", "mysql_async"),
            (Class::Network, "postgres::connect\nr2d2::get\nbb8::inner::get", "bb8"),
            (Class::Join, "rdkafka::consumer::stream_consumer::StreamConsumer<C>::drop", "StreamConsumer"),
            (Class::File, "std::fs::File::open\ntokio::fs::file::File::open", "tokio::fs"),
            (
                Class::Network,
                "std::net::tcp::TcpStream::connect\ntokio::net::tcp::stream::TcpStream::connect",
                "tokio::net",
            ),
            (
                Class::File,
                "std::fs::File::open\ntracing_appender::rolling::write\ntracing_appender::non_blocking::drop",
                "non_blocking",
            ),
        ] {
            let stack = frames(&format!("{called}\nbot::run | src/run.rs:3\nasync_task::raw::run"));
            let text = advise(class, None, &stack, &Words::tokio());
            assert!(!text.contains(named) && text.contains("spawn_blocking"), "{called}: {text}");
        }
        // What lies inside of the call is not used by the author.
        check(Class::Network, "tokio_postgres::query\npostgres::client::Client::query", "`tokio-postgres`");
        check(
            Class::Network,
            "mongodb::client::Client::f\nmongodb::sync::client::Client::f",
            "`mongodb::Client`",
        );
        check(Class::Network, "reqwest::blocking::client::Client::execute", "`reqwest::Client`");
        check(Class::Network, "redis::connection::Connection::req", "`redis::aio::MultiplexedConnection`");
        check(Class::File, "std::fs::read\nhickory_resolver::system_conf::read_system_conf", "start-up");
    }

    #[test]
    fn the_words_are_the_callers() {
        let words = Words { blocking: "b(..)", offload: "o(..)", http: "cx.http()" };
        let text = |class, stack: &str| advise(class, None, &frames(stack), &words);
        assert!(text(Class::Network, "ureq::run::run").starts_with("use `cx.http()` and"));
        assert_eq!(text(Class::Compute, ""), "write `o(..)` around the calculation");
        assert_eq!(text(Class::Unknown, ""), "write `b(..)` around the call");
    }

    #[test]
    fn without_frames_the_symbol_still_tells() {
        let text = |symbol| advise(Class::Unknown, Some(symbol), &[], &Words::tokio());
        assert_eq!(text("clock_nanosleep"), "use `tokio::time::sleep(duration).await`");
        assert_eq!(text("getaddrinfo"), "use `tokio::net::lookup_host(..).await`");
    }
}
