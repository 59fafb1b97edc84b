//! The names of functions: their parts, and what their authors call them.

/// Whether a name has no path before it.
pub(crate) fn is_bare(function: &str) -> bool {
    !function.is_empty() && !function.starts_with('<') && segments(function).len() == 1
}

/// The parts of a path between `::` that are not inside brackets.
pub(super) fn segments(path: &str) -> Vec<&str> {
    let (mut start, mut parts) = (0, Vec::new());
    for at in outside_brackets(path) {
        if at >= start && path.as_bytes()[at..].starts_with(b"::") {
            parts.push(&path[start..at]);
            start = at + 2;
        }
    }
    parts.push(&path[start..]);
    parts
}

/// The offsets of the bytes that are in no bracket.
fn outside_brackets(path: &str) -> impl Iterator<Item = usize> {
    let (bytes, mut depth) = (path.as_bytes(), 0_usize);
    (0..bytes.len()).filter(move |at| {
        match bytes[*at] {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // The arrow of `fn() -> u32` closes nothing.
            b'>' if *at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    })
}

/// The path of a function without closures, async bodies, type arguments and `as Trait`.
///
/// Of `<Type as Trait>::f` it is `Type::f`, or `Trait::f` where the type has no path of its own.
pub(crate) fn plain(function: &str) -> String {
    let mut names = Vec::new();
    for (index, segment) in segments(function).into_iter().enumerate() {
        if index == 0 && segment.starts_with('<') {
            names.push(plain_of_bracket(segment));
        } else {
            names.push(segment.split(['<', '{']).next().unwrap_or_default().trim().to_owned());
        }
    }
    names.retain(|name| !name.is_empty());
    names.join("::")
}

fn plain_of_bracket(bracket: &str) -> String {
    let inside = bracket.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or_default();
    let middle = outside_brackets(inside).find(|at| inside.as_bytes()[*at..].starts_with(b" as "));
    let (subject, trait_) = match middle {
        Some(at) => (&inside[..at], Some(&inside[at + 4..])),
        None => (inside, None),
    };
    let subject = without_reference(subject);
    let is_path = subject.starts_with(|first: char| first.is_alphabetic() || first == '_' || first == '<')
        && segments(subject).len() > 1;
    match trait_ {
        Some(trait_) if !is_path => plain(trait_),
        _ => plain(subject),
    }
}

fn without_reference(mut subject: &str) -> &str {
    const MARKS: &[&str] = &["&", "*const ", "*mut ", "mut ", "dyn "];
    while let Some(rest) = MARKS.iter().find_map(|mark| subject.strip_prefix(mark)) {
        subject = rest;
    }
    subject
}

/// Private modules of the standard library and of tokio, and the door through which a program names what is inside.
///
/// A door that ends in a type stands for the module's functions whose type is lost.
const DOORS: &[(&str, &str)] = &[
    ("std::thread::functions", "std::thread"),
    ("std::thread::scoped", "std::thread"),
    ("std::thread::thread", "std::thread::Thread"),
    ("std::thread::join_handle", "std::thread::JoinHandle"),
    ("std::thread::local", "std::thread::LocalKey"),
    ("std::sync::poison::mutex", "std::sync::Mutex"),
    ("std::sync::poison::rwlock", "std::sync::RwLock"),
    ("std::sync::poison::condvar", "std::sync::Condvar"),
    ("std::sync::poison::once", "std::sync::Once"),
    ("std::sync::once", "std::sync::Once"),
    ("std::sync::once_lock", "std::sync::OnceLock"),
    ("std::sync::lazy_lock", "std::sync::LazyLock"),
    ("std::sync::barrier", "std::sync::Barrier"),
    ("std::net::tcp::bind", "std::net::TcpListener::bind"),
    ("std::net::tcp::accept", "std::net::TcpListener::accept"),
    ("std::net::tcp::incoming", "std::net::TcpListener::incoming"),
    ("std::net::tcp", "std::net::TcpStream"),
    ("std::net::udp", "std::net::UdpSocket"),
    ("std::net::socket_addr", "std::net::ToSocketAddrs"),
    ("std::os::unix::net::stream", "std::os::unix::net::UnixStream"),
    ("std::os::unix::net::datagram", "std::os::unix::net::UnixDatagram"),
    ("std::os::unix::net::listener", "std::os::unix::net::UnixListener"),
    ("std::io::stdio", "std::io"),
    ("std::io::error", "std::io"),
    ("std::fs::open", "std::fs::File::open"),
    ("std::fs::create", "std::fs::File::create"),
    ("std::fs::create_new", "std::fs::File::create_new"),
    ("std::fs::sync_all", "std::fs::File::sync_all"),
    ("std::fs::sync_data", "std::fs::File::sync_data"),
    ("std::fs::set_len", "std::fs::File::set_len"),
    ("std::fs::set_modified", "std::fs::File::set_modified"),
    ("std::fs::lock", "std::fs::File::lock"),
    ("std::fs::lock_shared", "std::fs::File::lock_shared"),
    ("std::io::read", "std::io::Read::read"),
    ("std::io::read_vectored", "std::io::Read::read_vectored"),
    ("std::io::read_to_end", "std::io::Read::read_to_end"),
    ("std::io::read_exact", "std::io::Read::read_exact"),
    ("std::io::fill_buf", "std::io::BufRead::fill_buf"),
    ("std::io::read_until", "std::io::BufRead::read_until"),
    ("std::io::skip_until", "std::io::BufRead::skip_until"),
    ("std::io::read_line", "std::io::BufRead::read_line"),
    ("std::io::write", "std::io::Write::write"),
    ("std::io::write_vectored", "std::io::Write::write_vectored"),
    ("std::io::write_all", "std::io::Write::write_all"),
    ("std::io::write_fmt", "std::io::Write::write_fmt"),
    ("std::io::flush", "std::io::Write::flush"),
    ("std::io::copy::copy", "std::io::copy"),
    ("std::io::buffered::bufreader", "std::io::BufReader"),
    ("std::io::buffered::bufwriter", "std::io::BufWriter"),
    ("std::io::buffered::linewriter", "std::io::LineWriter"),
    ("alloc::slice", "slice"),
    ("core::slice", "slice"),
    ("tokio::runtime::handle", "tokio::runtime::Handle"),
    ("tokio::runtime::runtime", "tokio::runtime::Runtime"),
    ("tokio::task::blocking", "tokio::task"),
    ("futures_executor::local_pool", "futures::executor"),
];

/// The name that an author knows a function by, for people.
///
/// *Shape*: `std::thread::functions::sleep` becomes `std::thread::sleep`, `bot::run::{{closure}}` becomes `bot::run`.
/// All type arguments are left out. A name with nothing else in it stays as it is.
pub(crate) fn readable(function: &str) -> String {
    let plain = plain(function);
    if plain.is_empty() {
        return function.to_owned();
    }
    let door = DOORS.iter().find_map(|(module, door)| through(module, door, &plain));
    door.unwrap_or(plain)
}

fn through(module: &str, door: &str, plain: &str) -> Option<String> {
    let inside = plain.strip_prefix(module)?;
    let Some(inside) = inside.strip_prefix("::") else {
        return inside.is_empty().then(|| door.to_owned());
    };
    let (parent, last) = door.rsplit_once("::").unwrap_or(("", door));
    let is_type = |name: &str| name.starts_with(char::is_uppercase);
    if !is_type(last) || !is_type(inside) {
        return Some(format!("{door}::{inside}"));
    }
    Some(format!("{parent}::{inside}"))
}

/// The path of a function that the compiler made, from the arguments of the generic function that calls it.
///
/// *Shape*: `shop::cmd::{async_fn#0}` and `poll<bot::cmd::nap::{async_fn_env#0}, ()>` give `bot::cmd::nap::{async_fn#0}`:
/// the argument has the crate's own name, where the other one is only its folder's. `None` where no argument fits, or
/// several do.
pub(crate) fn name_in_arguments(function: &str, outer: &str) -> Option<String> {
    let (path, made) = function.split('<').next()?.rsplit_once("::")?;
    let modules = path.split_once("::").map_or("", |(_, modules)| modules);
    let (kind, number) = made.split_once('#')?;
    let mark = format!("{kind}_env#{number}");
    let is_path = |letter: char| letter.is_alphanumeric() || "_:{}#".contains(letter);
    let mut names = outer.match_indices(&mark).filter_map(|(end, _)| {
        let start = outer[..end].rfind(|letter| !is_path(letter)).map_or(0, |at| at + 1);
        let (_, inside) = outer[start..end].split_once("::")?;
        let is_there =
            inside.strip_prefix(modules).is_some_and(|rest| modules.is_empty() || rest.starts_with("::"));
        is_there.then(|| &outer[start..end])
    });
    let name = names.next()?;
    names.all(|other| other == name).then(|| format!("{name}{made}"))
}

/// Whether a path lies in what a pattern names. `*` stands for any text.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return path.strip_prefix(pattern).is_some_and(ends_segment);
    };
    let Some(tail) = path.strip_prefix(first) else { return false };
    let starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    let mut tails = starts.map(|at| &tail[at..]);
    tails.any(|tail| matches(rest, tail))
}

fn ends_segment(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_mangling_become_what_the_author_wrote() {
        for (name, expected) in [
            ("bot::cmd::run::{{closure}}", "bot::cmd::run"),
            ("bot::cmd::{async_fn#0}", "bot::cmd"),
            ("<bot::cmd::Disk as bot::cmd::Store>::load", "bot::cmd::Disk::load"),
            ("<F as bot::Handler<(A,)>>::call::{closure#0}", "bot::Handler::call"),
            ("std::fs::read::<&str>", "std::fs::read"),
            ("<std::fs::File>::open::<&std::path::Path>", "std::fs::File::open"),
            (
                "<(&str, u16) as std::net::socket_addr::ToSocketAddrs>::to_socket_addrs",
                "std::net::ToSocketAddrs::to_socket_addrs",
            ),
            ("<&mut std::io::stdio::StdinRaw as std::io::Read>::read_buf", "std::io::StdinRaw::read_buf"),
            (
                "<<std::sys::backtrace::BacktraceLock>::print::Shown as core::fmt::Display>::fmt",
                "std::sys::backtrace::BacktraceLock::print::Shown::fmt",
            ),
            ("std::thread::functions::sleep", "std::thread::sleep"),
            ("std::sync::poison::mutex::Mutex<T>::lock", "std::sync::Mutex::lock"),
            ("std::sync::poison::mutex::lock<core::option::Option<i32>>", "std::sync::Mutex::lock"),
            ("std::sync::poison::mutex::MutexGuard<T>::new", "std::sync::MutexGuard::new"),
            ("std::thread::join_handle::JoinHandle<T>::join", "std::thread::JoinHandle::join"),
            ("std::fs::open<&str>", "std::fs::File::open"),
            ("std::fs::set_modified", "std::fs::File::set_modified"),
            ("std::fs::read<&str>", "std::fs::read"),
            ("std::io::read_exact<std::fs::File>", "std::io::Read::read_exact"),
            ("std::io::read_to_string<std::fs::File>", "std::io::read_to_string"),
            ("std::io::write_all<std::fs::File>", "std::io::Write::write_all"),
            ("std::io::copy::copy<std::fs::File, std::io::util::Sink>", "std::io::copy"),
            ("std::io::buffered::bufreader::read_exact<std::fs::File>", "std::io::BufReader::read_exact"),
            (
                "<std::io::buffered::bufwriter::BufWriter<W> as core::ops::drop::Drop>::drop",
                "std::io::BufWriter::drop",
            ),
            ("std::os::unix::net::datagram::UnixDatagram::recv", "std::os::unix::net::UnixDatagram::recv"),
            ("alloc::slice::<impl [T]>::sort", "slice::sort"),
            ("async_task::raw::RawTask<F,T,S,M>::run", "async_task::raw::RawTask::run"),
            (
                "core::ops::function::FnOnce<fn() -> bot::Out>::call_once",
                "core::ops::function::FnOnce::call_once",
            ),
            ("{async_fn#0}", "{async_fn#0}"),
            ("clock_nanosleep", "clock_nanosleep"),
            ("", ""),
        ] {
            assert_eq!(readable(name), expected, "{name}");
        }
    }

    #[test]
    fn an_argument_names_what_the_compiler_made_of_it() {
        for (function, outer, expected) in [
            (
                "shop::cases::{async_fn#0}",
                "tokio::runtime::task::core::{closure#0}<extra::cases::nap::{async_fn_env#0}, alloc::sync::Arc<()>>",
                Some("extra::cases::nap::{async_fn#0}"),
            ),
            (
                "shop::cases::{async_block#0}",
                "tokio::time::timeout::poll<extra::cases::run::{async_block#6}::{async_block_env#0}>",
                Some("extra::cases::run::{async_block#6}::{async_block#0}"),
            ),
            (
                "shop::cases::{async_fn#0}<&str>",
                "poll<extra::cases::config::{impl#0}::deep::{async_fn_env#0}<&str>>",
                Some("extra::cases::config::{impl#0}::deep::{async_fn#0}"),
            ),
            ("shop::{async_fn#0}", "poll<bot::nap::{async_fn_env#0}>", Some("bot::nap::{async_fn#0}")),
            // Another kind, another number, another file, or one of two.
            ("shop::cases::{async_fn#0}", "poll<extra::cases::run::{async_block_env#0}>", None),
            ("shop::cases::{async_fn#0}", "poll<extra::cases::run::{async_fn_env#1}>", None),
            ("shop::cases::{async_fn#0}", "poll<extra::other::run::{async_fn_env#0}>", None),
            (
                "shop::cases::{async_fn#0}",
                "poll<(extra::cases::one::{async_fn_env#0}, extra::cases::two::{async_fn_env#0})>",
                None,
            ),
            ("shop::cases::{async_fn#0}", "shop::cases::{async_block#0}", None),
            ("{async_fn#0}", "poll<bot::nap::{async_fn_env#0}>", None),
        ] {
            assert_eq!(name_in_arguments(function, outer).as_deref(), expected, "{function} in {outer}");
        }
    }
}
