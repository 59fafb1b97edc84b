//! What to write instead, by crate, by function and by class. Made to be added to.
//!
//! `{blocking}`, `{offload}` and `{http}` stand for the words of [`Words`](super::Words), `{same}` for the last part of
//! the path that fits.

use crate::report::Class::{self, Compute, Contention, File, Lookup, Network, Unknown, Wait};

/// Advice for what is called in some crates, modules or functions.
pub(super) struct Row {
    /// Crates, or paths of modules and functions.
    pub(super) paths: &'static [&'static str],
    /// The classes that it is for; empty where it is for all.
    pub(super) classes: &'static [Class],
    pub(super) text: &'static str,
}

impl Row {
    pub(super) fn is_for(&self, class: Class) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
    }
}

const fn any(paths: &'static [&'static str], text: &'static str) -> Row {
    Row { paths, classes: &[], text }
}

const fn only(classes: &'static [Class], paths: &'static [&'static str], text: &'static str) -> Row {
    Row { paths, classes, text }
}

/// By crate: the author calls these by name, so this is what to change.
pub(super) const CRATES: &[Row] = &[
    // Over the network
    any(
        &["ureq", "reqwest::blocking", "minreq", "attohttpc", "curl", "isahc", "http_req", "ehttp"],
        "use `{http}` and `.await` the answer: this client waits for the server on the handler's thread",
    ),
    any(
        &["lettre"],
        "build `lettre` with its feature `tokio1` and `.await` the sending, or write `{blocking}`",
    ),
    any(
        &["ssh2", "suppaftp", "ftp", "imap", "rust_pop3_client"],
        "write `{blocking}` around the whole session",
    ),
    any(&["serialport"], "use the crate `tokio-serial`, or write `{blocking}`"),
    any(&["ldap3"], "use `ldap3::LdapConnAsync` and `.await` it in place of `ldap3::LdapConn`"),
    only(&[Network, Lookup], &["tungstenite"], "use the crate `tokio-tungstenite`"),
    only(
        &[File],
        &["hickory_resolver", "trust_dns_resolver"],
        "build the resolver once, at start-up (before `main` runs its first future): it reads the system's settings",
    ),
    any(&["dns_lookup", "hickory_resolver", "trust_dns_resolver"], "use `tokio::net::lookup_host(..).await`"),
    any(
        &["kafka", "rdkafka"],
        "use `rdkafka::consumer::StreamConsumer` and `rdkafka::producer::FutureProducer`",
    ),
    any(
        &["zmq", "nats", "amiquip", "memcache", "beanstalkc"],
        "use an asynchronous client of that service, or write `{blocking}`",
    ),
    // Databases
    any(
        &["rusqlite", "libsqlite3_sys", "sqlite", "sqlite3_sys", "duckdb"],
        "use `sqlx` with its feature `sqlite`, or put the query into `{blocking}`",
    ),
    any(&["diesel"], "use the crate `diesel-async`, or put the query into `{blocking}`"),
    any(&["postgres", "pq_sys"], "use `tokio-postgres` or `sqlx` and `.await` the query"),
    any(&["mysql", "mysqlclient_sys"], "use `mysql_async` or `sqlx` and `.await` the query"),
    any(&["redis"], "use `redis::aio::MultiplexedConnection` and `.await` the command"),
    any(&["mongodb::sync"], "use `mongodb::Client` and `.await` it in place of `mongodb::sync::Client`"),
    any(&["r2d2"], "use `bb8` or `deadpool` and `.await` the connection, or put the query into `{blocking}`"),
    any(
        &[
            "sled",
            "rocksdb",
            "librocksdb_sys",
            "redb",
            "heed",
            "lmdb",
            "fjall",
            "persy",
            "odbc_api",
            "oracle",
        ],
        "put the query into `{blocking}`: this database works on the caller's thread",
    ),
    // Processes
    any(
        &["duct", "subprocess", "xshell", "cmd_lib", "execute"],
        "use `tokio::process::Command` and `.await` its `output()` or `status()`",
    ),
    // The keyboard
    any(
        &["rpassword", "dialoguer", "inquire", "rustyline", "crossterm::event"],
        "ask in a thread of its own (`std::thread::spawn`) and send the line through a `tokio::sync::mpsc` channel",
    ),
    // Signals
    any(&["signal_hook", "ctrlc"], "use `tokio::signal` and `.await` it"),
    // Work on the CPU
    any(
        &["bcrypt", "argon2", "scrypt", "pbkdf2", "password_hash", "sha_crypt", "rsa", "sodiumoxide"],
        "write `{offload}`: hashing a password and making a key take long on purpose",
    ),
    any(
        &[
            "flate2",
            "miniz_oxide",
            "libdeflater",
            "zstd",
            "zstd_safe",
            "zstd_sys",
            "brotli",
            "brotli_decompressor",
            "lz4",
            "lz4_flex",
            "xz2",
            "lzma_rs",
            "bzip2",
            "snap",
        ],
        "write `{offload}`, or stream it through the crate `async-compression`",
    ),
    any(
        &[
            "image",
            "imageproc",
            "png",
            "jpeg_decoder",
            "zune_jpeg",
            "gif",
            "image_webp",
            "webp",
            "ravif",
            "resvg",
            "tiny_skia",
            "fast_image_resize",
            "magick_rust",
            "photon_rs",
            "oxipng",
        ],
        "write `{offload}` around the image work, from decoding to encoding",
    ),
    any(
        &["rayon", "rayon_core"],
        "write `{offload}` around it, or `rayon::spawn` that sends its result through `tokio::sync::oneshot`",
    ),
    any(
        &["regex", "fancy_regex", "regex_automata", "onig", "pcre2"],
        "write `{offload}`, and bound the text's length; build the pattern once, in a `LazyLock`",
    ),
    any(
        &["polars", "polars_core", "ndarray", "nalgebra", "linfa", "candle_core", "ort", "tch", "tokenizers"],
        "write `{offload}` around the calculation",
    ),
    // Data in a format: where the time goes into the file, the file is what to change
    only(
        &[File],
        &["serde_json", "serde_yaml", "serde_yml", "toml", "bincode", "rmp_serde", "ciborium", "quick_xml"],
        "read the bytes with `tokio::fs::read(..).await` and parse them afterwards, or put both into `{blocking}`",
    ),
    only(
        &[Compute],
        &[
            "serde_json",
            "simd_json",
            "sonic_rs",
            "serde_yaml",
            "serde_yml",
            "toml",
            "bincode",
            "postcard",
            "rmp_serde",
            "ciborium",
            "quick_xml",
            "prost",
            "csv",
        ],
        "write `{offload}` around big data, or work through it in parts with `tokio::task::yield_now().await` between",
    ),
    // Files
    any(
        &[
            "walkdir", "glob", "ignore", "globwalk", "jwalk", "fs_extra", "tar", "zip", "csv", "memmap2",
            "fs4", "which",
        ],
        "put it into `{blocking}`: it opens and reads many files, one after the other",
    ),
    any(&["tempfile"], "put it into `{blocking}`, the use of the file and its removal too"),
    any(&["config", "dotenvy", "figment"], "load settings once, in `main`, before the first future runs"),
    any(&["git2", "libgit2_sys", "gix", "sysinfo", "procfs"], "put it into `{blocking}`"),
    any(
        &["notify", "inotify"],
        "have the watcher send through a `tokio::sync::mpsc` channel and `.await` its `recv()`",
    ),
    any(
        &["tracing_appender::rolling", "log4rs", "simplelog", "fern", "flexi_logger", "env_logger"],
        "write logs through `tracing_appender::non_blocking(..)`",
    ),
    // Channels, locks and executors
    any(
        &["crossbeam_channel", "std::sync::mpsc", "std::sync::mpmc"],
        "use a `tokio::sync::mpsc` channel and `.await` its `recv()` or `send(..)`",
    ),
    any(
        &["flume"],
        "use `recv_async().await` and `send_async(..).await` in place of `recv()` and `send(..)`",
    ),
    any(
        &["async_channel", "kanal"],
        "`.await` the channel's `recv()` or `send(..)` in place of its blocking form",
    ),
    any(
        &[
            "futures_executor",
            "pollster",
            "async_io::driver",
            "smol",
            "async_std::task::block_on",
            "futures_lite::future::block_on",
        ],
        "`.await` the future in place of `block_on`; a function that does so becomes an `async fn`",
    ),
    any(&["parking_lot::condvar"], "use `tokio::sync::Notify` and `.await` its `notified()`"),
    any(&["crossbeam_utils::sync"], "use `tokio::sync::Notify` or a channel and `.await` it"),
    any(
        &["parking_lot", "lock_api", "dashmap", "spin", "scc"],
        "keep the locked part short and free of calls that block; to hold a lock for long, use `tokio::sync::Mutex` and \
         `lock().await`",
    ),
    // Encryption over a blocking socket
    only(
        &[Network],
        &["native_tls", "openssl", "rustls"],
        "use `tokio-rustls` or `tokio-native-tls` over a `tokio::net::TcpStream`",
    ),
];

/// By function of the standard library, or of tokio.
pub(super) const FUNCTIONS: &[Row] = &[
    any(
        &["std::thread::sleep", "std::thread::sleep_until", "std::thread::park_timeout"],
        "use `tokio::time::sleep(duration).await`",
    ),
    // What waits there is no file but a pipe with a name, or one that was opened by its number.
    only(&[Wait], &["std::fs"], PIPES),
    any(&["std::io::pipe"], PIPES),
    any(
        &[
            "std::fs::read",
            "std::fs::read_to_string",
            "std::fs::write",
            "std::fs::copy",
            "std::fs::metadata",
            "std::fs::symlink_metadata",
            "std::fs::read_dir",
            "std::fs::read_link",
            "std::fs::create_dir",
            "std::fs::create_dir_all",
            "std::fs::remove_file",
            "std::fs::remove_dir",
            "std::fs::remove_dir_all",
            "std::fs::rename",
            "std::fs::hard_link",
            "std::fs::canonicalize",
            "std::fs::set_permissions",
        ],
        "use `tokio::fs::{same}(..).await`; put several steps into one `{blocking}`; read what never changes once, at \
         start-up",
    ),
    any(
        &["std::path::Path::exists", "std::path::exists", "std::fs::exists", "std::path::Path::try_exists"],
        "use `tokio::fs::try_exists(..).await`",
    ),
    any(
        &["std::path::Path", "std::path"],
        "use `tokio::fs::metadata(..).await`, once for all questions about one path",
    ),
    any(
        &["std::fs::File::open", "std::fs::File::create", "std::fs::OpenOptions::open"],
        "use `tokio::fs::File::{same}(..).await`, or put opening, reading and closing into one `{blocking}`",
    ),
    any(&["std::fs"], "use `tokio::fs`, or put the work with the file into `{blocking}`"),
    any(
        &[
            "std::io::stdio::Stdin",
            "std::io::stdio::StdinLock",
            "std::io::stdio::StdinRaw",
            "std::io::stdio::stdin",
        ],
        "read standard input in a thread of its own (`std::thread::spawn`) and send the lines through a \
         `tokio::sync::mpsc` channel",
    ),
    any(
        &["std::io::stdio"],
        "log with `tracing` through `tracing_appender::non_blocking(std::io::stdout())` in place of `println!`",
    ),
    any(&["std::net::TcpStream"], "use `tokio::net::TcpStream` and `.await` each step"),
    any(&["std::env::current_exe", "std::env::current_dir"], "ask once, in `main`, and keep the path"),
    any(&["std::net::TcpListener::bind"], "use `tokio::net::TcpListener::bind(address).await`"),
    any(&["std::net::TcpListener"], "use `tokio::net::TcpListener` and `accept().await`"),
    // The standard library has one piece of code for these, for a `TcpStream` and for sockets of Unix.
    any(
        &["std::net::UdpSocket::recv", "std::net::UdpSocket::send"],
        "use `TcpStream`, `UdpSocket` or `UnixDatagram` of `tokio::net` and `.await` each step",
    ),
    any(&["std::net::UdpSocket"], "use `tokio::net::UdpSocket` and `.await` each step"),
    any(&["std::net::ToSocketAddrs", "std::net::lookup_host"], "use `tokio::net::lookup_host(..).await`"),
    any(
        &["std::os::unix::net::datagram", "std::os::unix::net::UnixDatagram"],
        "use `tokio::net::UnixDatagram` and `.await` each step",
    ),
    any(
        &["std::os::unix::net::listener", "std::os::unix::net::UnixListener"],
        "use `tokio::net::UnixListener` and `accept().await`",
    ),
    any(&["std::os::unix::net"], "use `tokio::net::UnixStream` and `.await` each step"),
    any(
        &[
            "std::process::ChildStdin",
            "std::process::ChildStdout",
            "std::process::ChildStderr",
            "std::process::read*",
            "std::process::write*",
        ],
        "start it with `tokio::process::Command`, and `.await` what goes through its pipes",
    ),
    any(
        &["std::process"],
        "use `tokio::process::Command` and `.await` its `output()`, `status()` or `wait()`",
    ),
    any(
        &["std::thread::JoinHandle", "std::thread::scope", "std::thread::lifecycle::*join"],
        "write `{blocking}` in place of a thread and its `join()`",
    ),
    any(
        &["std::sync::Condvar", "std::sync::nonpoison::condvar"],
        "use `tokio::sync::Notify` and `.await` its `notified()`",
    ),
    any(&["std::sync::Barrier"], "use `tokio::sync::Barrier` and `wait().await`"),
    only(
        &[Wait, Contention, Unknown],
        &["std::sync::Once", "std::sync::OnceLock", "std::sync::LazyLock"],
        "use `tokio::sync::OnceCell` and `get_or_init(..).await`, or fill it at start-up",
    ),
    any(
        &["std::sync::Mutex", "std::sync::nonpoison::mutex"],
        "keep the locked part short and free of calls that block; to hold a lock for long, use `tokio::sync::Mutex` and \
         `lock().await`",
    ),
    any(
        &["std::sync::RwLock", "std::sync::nonpoison::rwlock"],
        "keep the locked part short and free of calls that block; to hold a lock for long, use `tokio::sync::RwLock` \
         and `read().await` or `write().await`",
    ),
    any(
        &["std::thread::park", "std::thread::Thread::park"],
        "use `tokio::sync::Notify` and `.await` its `notified()`",
    ),
    any(&["tokio::*::blocking_recv"], "use `recv().await` in place of `blocking_recv()`"),
    any(&["tokio::*::blocking_send"], "use `send(..).await` in place of `blocking_send(..)`"),
    any(
        &["tokio::*::blocking_lock", "tokio::*::blocking_read", "tokio::*::blocking_write"],
        "use `lock().await`, `read().await` or `write().await` in place of the blocking form",
    ),
    any(
        &["tokio::runtime::*::block_on", "tokio::runtime::*::block_on_inner", "tokio::task::*::block_on"],
        "`.await` the future in place of `block_on`; a function that does so becomes an `async fn`",
    ),
    any(
        &["tokio::runtime::Runtime", "tokio::runtime::blocking::shutdown"],
        "make one runtime at start-up; to end one from a future, use `shutdown_background()`",
    ),
    only(
        &[Compute],
        &["slice::sort*", "core::slice::sort"],
        "write `{offload}` around the sorting of long lists",
    ),
];

/// For what comes through a descriptor that is neither a file nor a socket.
const PIPES: &str = "use `tokio::net::unix::pipe`, of a child `tokio::process`, of other descriptors \
                     `tokio::io::unix::AsyncFd`, and `.await` each step";

/// For a lock inside something that the author calls.
pub(super) const INNER_LOCK: &str = "nothing, while it is short: the lock is inside of what you call; if it lasts, put the call into `{blocking}`";

/// For what is used already in the way that blocks the least, and blocks.
pub(super) fn in_use(class: Class) -> &'static str {
    if class.is_busy() {
        "write `{offload}` around this step"
    } else {
        "put this step into `{blocking}`, closing and dropping too, or keep what you would close for as long as the \
         program runs"
    }
}

/// For what the call itself says more of than its class.
pub(super) fn of_call(class: Class, symbol: &str) -> Option<&'static str> {
    const USERS: &[&str] = &["getpw", "getgr", "initgroups"];
    const TRANSFERS: &[&str] = &[
        "read",
        "write",
        "__read",
        "splice",
        "tee",
        "vmsplice",
        "fread",
        "__fread",
        "fgets",
        "__fgets",
        "getline",
        "getdelim",
        "__getdelim",
    ];
    let is_in = |names: &[&str]| names.iter().any(|name| symbol.starts_with(name));
    match class {
        Lookup if is_in(USERS) => Some("look users and groups up once, at start-up, or write `{blocking}`"),
        Wait if is_in(TRANSFERS) => Some(PIPES),
        _ => None,
    }
}

/// For what neither a crate nor a function tells.
pub(super) fn of_class(class: Class) -> &'static str {
    match class {
        Class::Sleep => "use `tokio::time::sleep(duration).await`",
        Class::File => "use `tokio::fs`, or put the work with files into `{blocking}`",
        Class::Network => "use `tokio::net` and `.await` each step, or write `{blocking}`",
        Class::Lookup => "use `tokio::net::lookup_host(..).await`",
        Class::Process => "use `tokio::process::Command` and `.await` its `output()`, `status()` or `wait()`",
        Class::Join => "write `{blocking}` in place of a thread and its `join()`",
        Class::Wait => "wait with `tokio::sync` (`mpsc`, `oneshot`, `Notify`) and `.await` it",
        Class::Contention => {
            "keep the locked part short and free of calls that block; to hold a lock for long, use `tokio::sync::Mutex` \
             and `lock().await`"
        }
        Class::Input => {
            "read standard input in a thread of its own (`std::thread::spawn`) and send the lines through a \
             `tokio::sync::mpsc` channel"
        }
        Class::Output => {
            "log with `tracing` through `tracing_appender::non_blocking(std::io::stdout())` in place of `println!`"
        }
        Class::Compute => "write `{offload}` around the calculation",
        Class::AlwaysReady => {
            "call `tokio::task::yield_now().await` in the loop, say after each 100 rounds: its `.await`s are always ready"
        }
        Class::Unknown => "write `{blocking}` around the call",
    }
}
