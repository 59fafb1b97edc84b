//! What a file's path says: whose it is, how a reader wants it, and which path its functions have.

use super::name::is_bare;

/// The crates that come with the compiler.
pub(super) const STANDARD: &[&str] =
    &["alloc", "backtrace", "core", "panic_abort", "panic_unwind", "proc_macro", "std", "test", "unwind"];
/// Folders of which each file is a crate.
const ONE_FILE_EACH: &[&str] = &["examples", "tests", "benches", "bin"];

/// What a file's path says about who wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Home<'a> {
    /// From the library's folder on, `std/src/fs.rs`.
    Library(&'a str),
    /// A crate that the standard library was built with, from its folder on.
    LibraryPart(&'a str),
    /// From the package's folder on, `tokio-1.48.0/src/fs.rs`.
    Package(&'a str),
    /// A repository's name, its revision (empty where the path is short already) and the path inside.
    Checkout(&'a str, &'a str, &'a str),
    /// A copied package, from its folder on.
    Vendored(&'a str),
    /// The C library.
    C,
    /// None of these, so the author's own.
    Own,
}

impl<'a> Home<'a> {
    /// Understands paths as debug information has them, and as [`shortened`] leaves them.
    pub(super) fn of(file: &'a str) -> Self {
        if let Some((before, inside)) = file.split_once("/library/")
            && (before.starts_with("/rustc/") || before.ends_with("/rustlib/src/rust"))
        {
            return Self::Library(inside);
        }
        if let Some(inside) = file.strip_prefix("/rust/deps/").or_else(|| file.strip_prefix("std/deps/")) {
            return Self::LibraryPart(inside);
        }
        if let Some(inside) = after(file, "/registry/src/").and_then(|rest| Some(rest.split_once('/')?.1)) {
            return Self::Package(inside);
        }
        if let Some(rest) = after(file, "/git/checkouts/") {
            let mut parts = rest.splitn(3, '/');
            let (name, revision) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
            return Self::Checkout(name, revision, parts.next().unwrap_or_default());
        }
        let first = file.split('/').next().unwrap_or_default();
        if is_library(file) {
            Self::Library(file)
        } else if is_versioned(first) {
            Self::Package(file)
        } else if let Some((name, _)) = first.split_once('@') {
            Self::Checkout(name, "", &file[first.len()..])
        } else if is_c(file) {
            Self::C
        } else if let Some(inside) = after(file, "vendor/").filter(|inside| inside.contains("/src/")) {
            Self::Vendored(inside)
        } else if let Some(package) = built_by(file) {
            Self::Vendored(package)
        } else {
            Self::Own
        }
    }
}

/// The package whose build script has copied or made a file of C, in `target/release/build/openssl-sys-0123456789abcdef/out/`.
///
/// What it has made of Rust is compiled into that package, which may be the author's.
fn built_by(file: &str) -> Option<&str> {
    let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (before, _) = file.split_once("/out/").filter(|(_, inside)| !inside.ends_with(".rs"))?;
    let package = after(before, "build/")?.rsplit("build/").next()?;
    package.rsplit_once(['-', '/']).filter(|(_, hash)| is_hash(hash)).map(|(name, _)| name)
}

pub(super) fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

/// Whether a short path lies in one of the compiler's crates.
fn is_library(file: &str) -> bool {
    let Some((first, rest)) = file.split_once('/') else { return false };
    STANDARD.contains(&first) && rest.starts_with("src/")
}

/// Whether a folder is named like `tokio-1.48.0`.
fn is_versioned(folder: &str) -> bool {
    name_and_version(folder).is_some()
}

fn name_and_version(folder: &str) -> Option<(&str, &str)> {
    let dashes = folder.match_indices('-');
    dashes.map(|(at, _)| (&folder[..at], &folder[at + 1..])).find(|(_, version)| {
        let numbers = version.split(['-', '+']).next().unwrap_or_default().split('.');
        let are_numbers = numbers.clone().all(|part| part.parse::<u64>().is_ok());
        are_numbers && numbers.count() == 3
    })
}

/// The C library's own files have paths from its build, such as `./nptl/futex-internal.c`.
fn is_c(file: &str) -> bool {
    let is_source = [".c", ".h", ".S"].iter().any(|ending| file.ends_with(ending));
    is_source && (file.starts_with("./") || file.starts_with("../sysdeps") || file.contains("glibc"))
}

/// The path as a reader wants it: from the current folder, the package or the standard library on.
///
/// A path of the author's that would then look like somebody else's keeps a `./` before it.
pub(crate) fn shortened(file: &str, folder: Option<&str>) -> String {
    let file = file.replace('\\', "/");
    match Home::of(&file) {
        Home::Library(inside) | Home::Package(inside) => inside.to_owned(),
        Home::LibraryPart(inside) => format!("std/deps/{inside}"),
        Home::Checkout(_, "", _) | Home::C | Home::Vendored(_) => from_folder(&file, folder).to_owned(),
        Home::Checkout(name, revision, inside) => format!("{name}@{revision}/{inside}"),
        Home::Own => {
            let own = from_folder(&file, folder);
            if matches!(Home::of(own), Home::Own) { own.to_owned() } else { format!("./{own}") }
        }
    }
}

pub(super) fn from_folder<'a>(file: &'a str, folder: Option<&str>) -> &'a str {
    let inside = folder.and_then(|folder| file.strip_prefix(folder)?.strip_prefix('/'));
    inside.unwrap_or(file)
}

/// Whether a file is of the program itself, and of no package, library or repository.
pub(crate) fn is_own(file: &str) -> bool {
    matches!(Home::of(file), Home::Own)
}

/// The crate that a file belongs to, where its path says so.
pub(super) fn crate_of_file(file: &str) -> Option<String> {
    let folder = match Home::of(file) {
        Home::Library(inside) | Home::Vendored(inside) => inside.split('/').next()?,
        Home::Package(inside) => name_and_version(inside.split('/').next()?)?.0,
        Home::LibraryPart(_) => "std",
        Home::C => return None,
        Home::Checkout(name, _, inside) => folder_above_source(inside).unwrap_or(name),
        Home::Own => crate_of_own_file(file)?,
    };
    let folder = name_and_version(folder).map_or(folder, |(name, _)| name);
    Some(folder.replace('-', "_"))
}

fn crate_of_own_file(file: &str) -> Option<&str> {
    let (folder, name) = file.rsplit_once('/')?;
    let last = folder.rsplit('/').next()?;
    if ONE_FILE_EACH.contains(&last) { name.strip_suffix(".rs") } else { folder_above_source(file) }
}

/// `bot` of `work/bot/src/run.rs`: the folder of a package is mostly named like it.
fn folder_above_source(file: &str) -> Option<&str> {
    let (above, _) = file.rsplit_once("/src/")?;
    above.rsplit('/').next().filter(|folder| !folder.is_empty() && *folder != ".")
}

/// Adds the path to a function that has none, from the file it is in.
///
/// *Shape*: `read<&str>` in `std/src/fs.rs` becomes `std::fs::read<&str>`. A type's name is lost for good:
/// `File::open` becomes `std::fs::open`. Where the crate's folder is unknown the path begins with `crate`.
pub(crate) fn qualified(function: &str, file: &str) -> String {
    if is_bare(function) { within(function, file) } else { function.to_owned() }
}

/// Adds the path of a file's module to a function inside it.
pub(crate) fn within(function: &str, file: &str) -> String {
    let Some(path) = file.strip_suffix(".rs") else { return function.to_owned() };
    let mut segments = vec![crate_of_file(file).unwrap_or_else(|| "crate".to_owned())];
    let inside = path.rsplit_once("/src/").map(|(_, inside)| inside).or_else(|| path.strip_prefix("src/"));
    let modules = inside.filter(|inside| !inside.starts_with("bin/")).unwrap_or_default().split('/');
    let modules = modules.filter(|module| !matches!(*module, "" | ".." | "lib" | "main" | "mod"));
    segments.extend(modules.map(str::to_owned));
    segments.push(function.to_owned());
    segments.join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_without_a_path_get_it_from_the_file() {
        for (function, file, expected) in [
            ("read<&str>", "/rustc/59807616e1/library/std/src/fs.rs", "std::fs::read<&str>"),
            ("connect", "/rustc/5980/library/std/src/sys/net/mod.rs", "std::sys::net::connect"),
            ("{async_fn#0}", "/code/my-bot/src/cmd.rs", "my_bot::cmd::{async_fn#0}"),
            ("main", "/code/my-bot/src/main.rs", "my_bot::main"),
            ("main", "/code/my-bot/src/bin/tool.rs", "tool::main"),
            ("answer", "/code/examples/01_hello.rs", "01_hello::answer"),
            ("load", "src/config/file.rs", "crate::config::file::load"),
            (
                "call",
                "/home/me/.cargo/registry/src/registry.example-0123456789abcdef/ureq-3.5.1/src/request.rs",
                "ureq::request::call",
            ),
            (
                "call",
                "/home/me/.cargo/git/checkouts/big-repo-0123456789abcdef/1a2b3c4/small-part/src/lib.rs",
                "small_part::call",
            ),
            ("unixOpen", "/x/registry/src/i/libsqlite3-sys-0.35.0/sqlite3/sqlite3.c", "unixOpen"),
            ("std::fs::read::inner", "/rustc/59807616e1/library/std/src/fs.rs", "std::fs::read::inner"),
            ("<std::fs::File>::open", "/rustc/59807616e1/library/std/src/fs.rs", "<std::fs::File>::open"),
        ] {
            assert_eq!(qualified(function, file), expected, "{function} in {file}");
        }
    }
}
