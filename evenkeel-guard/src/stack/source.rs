//! Which function a line of a source file lies in.
//!
//! Where a release build has line tables and nothing more, an `async fn` that was compiled into its caller has no name
//! in the program at all: it is `{async_fn#0}` of some file and line. The file itself tells, if it is there and no
//! younger than the program.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs;
use std::time::SystemTime;

/// A longer file is none that somebody wrote.
const MOST_BYTES: u64 = 4 << 20;
/// How many files are remembered.
const REMEMBERED: usize = 256;

/// The functions of the files that were asked for.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// When the program was built, once that was asked for. A file that changed later may have other lines.
    built: OnceCell<Option<SystemTime>>,
    files: HashMap<String, Vec<Function>>,
    /// The names of the crates that lie in folders, where their manifests say so.
    crates: HashMap<String, Option<String>>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    /// Modules of the file, types and functions around it, its own name: `config::Store::load`.
    path: String,
    /// From the end of its signature's first word to its closing brace, each as line and column.
    from: (u32, u32),
    to: (u32, u32),
}

impl Sources {
    /// Asked by the thread that reads sources, and not by anyone who makes an executor: it blocks.
    fn built(&self) -> Option<SystemTime> {
        let ask = || fs::metadata(std::env::current_exe().ok()?).ok()?.modified().ok();
        *self.built.get_or_init(ask)
    }

    /// The name of the crate that a file belongs to, from the manifest beside its `src`. Line tables have the folder
    /// only.
    pub(super) fn crate_of(&mut self, file: &str) -> Option<&str> {
        let (folder, inside) = file.rsplit_once("/src/")?;
        if inside.starts_with("bin/") {
            return None;
        }
        if self.crates.len() >= REMEMBERED && !self.crates.contains_key(folder) {
            self.crates.clear();
        }
        if !self.crates.contains_key(folder) {
            let name =
                fs::read_to_string(format!("{folder}/Cargo.toml")).ok().and_then(|text| crate_name(&text));
            self.crates.insert(folder.to_owned(), name);
        }
        self.crates.get(folder)?.as_deref()
    }

    /// The path, inside the file's own module, of the innermost function around a place.
    pub(super) fn function(&mut self, file: &str, line: u32, column: u32) -> Option<&str> {
        if self.files.len() >= REMEMBERED && !self.files.contains_key(file) {
            self.files.clear();
        }
        if !self.files.contains_key(file) {
            let functions = self.read(file).map(|text| functions(&text)).unwrap_or_default();
            self.files.insert(file.to_owned(), functions);
        }
        let at = (line, column);
        let around =
            self.files.get(file)?.iter().filter(|function| (function.from..=function.to).contains(&at));
        around.max_by_key(|function| function.from).map(|function| &*function.path)
    }

    fn read(&self, file: &str) -> Option<String> {
        let about = fs::metadata(file).ok()?;
        let is_older = about.modified().ok()? <= self.built()?;
        if !is_older || !about.is_file() || about.len() > MOST_BYTES {
            return None;
        }
        fs::read_to_string(file).ok()
    }
}

/// The library's name, else the package's, as paths write it.
fn crate_name(manifest: &str) -> Option<String> {
    let (mut table, mut package, mut library) = ("", None, None);
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            table = line;
        }
        let Some((_, value)) = line.split_once('=').filter(|(key, _)| key.trim() == "name") else { continue };
        let name = value.trim().trim_matches('"').replace('-', "_");
        match table {
            "[package]" => package = Some(name),
            "[lib]" => library = Some(name),
            _ => {}
        }
    }
    library.or(package)
}

/// Something between braces.
struct Block {
    /// A module, a type or a function; `None` where braces have no name.
    name: Option<String>,
    /// Where a function began.
    function: Option<(u32, u32)>,
}

/// What the next opening brace belongs to.
enum Header {
    Module(String),
    Function(String, (u32, u32)),
    /// The words after `impl` or `trait`.
    Type(String),
}

/// Reads a file's functions, inner ones after the outer.
fn functions(text: &str) -> Vec<Function> {
    let (mut found, mut blocks, mut header) = (Vec::new(), Vec::<Block>::new(), None);
    let mut nesting = 0_usize;
    let mut before = String::new();
    for (word, at) in words(text) {
        if let Some(Header::Type(words)) = &mut header
            && word != "{"
        {
            words.push_str(word);
            words.push(' ');
        }
        match word {
            "(" | "[" => nesting += 1,
            ")" | "]" => nesting = nesting.saturating_sub(1),
            "{" => blocks.push(block(header.take())),
            "}" => {
                let Some(block) = blocks.pop() else { continue };
                if let Some(from) = block.function {
                    let around = blocks.iter().filter_map(|block| block.name.as_deref());
                    let names: Vec<_> = around.chain(block.name.as_deref()).collect();
                    found.push(Function { path: names.join("::"), from, to: at });
                }
            }
            ";" if nesting == 0 => header = None,
            "impl" | "trait" if header.is_none() && nesting == 0 => {
                header = Some(Header::Type(String::new()));
            }
            _ if before == "fn" && is_name(word) => {
                header = Some(Header::Function(word.trim_start_matches("r#").to_owned(), at));
            }
            _ if before == "mod" && is_name(word) => header = Some(Header::Module(word.to_owned())),
            _ => {}
        }
        before.clear();
        before.push_str(word);
    }
    found
}

fn block(header: Option<Header>) -> Block {
    match header {
        Some(Header::Module(name)) => Block { name: Some(name), function: None },
        Some(Header::Function(name, from)) => Block { name: Some(name), function: Some(from) },
        Some(Header::Type(words)) => Block { name: type_name(&words), function: None },
        None => Block { name: None, function: None },
    }
}

/// `Store` of `< T > Load for shop :: Store < T > where ..`.
fn type_name(words: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut name = None;
    for word in words.split(' ') {
        match word {
            "<" => depth += 1,
            ">" => depth = depth.saturating_sub(1),
            "for" if depth == 0 => name = None,
            "where" | ":" if depth == 0 => break,
            "dyn" | "mut" | "const" | "unsafe" => {}
            _ if depth == 0 && is_name(word) => name = Some(word.to_owned()),
            _ => {}
        }
    }
    name
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The words and marks of a text, each with its line and column, without comments, strings and lifetimes.
fn words(text: &str) -> impl Iterator<Item = (&str, (u32, u32))> {
    let (mut at, mut line, mut start) = (0, 1, 0);
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
            let (length, is_word) = token(rest);
            let (token, place) = (&rest[..length], (line, u32::try_from(at - start + 1).unwrap_or(u32::MAX)));
            if let Some(last) = token.rfind('\n') {
                line += u32::try_from(token.matches('\n').count()).unwrap_or(0);
                start = at + last + 1;
            }
            at += length;
            if is_word {
                return Some((token, place));
            }
        }
    })
}

/// The length of what a text begins with, and whether it is a word or a mark.
fn token(rest: &str) -> (usize, bool) {
    let first = rest.chars().next().unwrap_or(' ');
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (comment(rest), false);
    }
    if let Some(length) = raw_text(rest) {
        return (length, false);
    }
    let prefix = ["b\"", "c\"", "\""].iter().find(|prefix| rest.starts_with(**prefix));
    if let Some(prefix) = prefix {
        return (prefix.len() + closed(&rest[prefix.len()..], '"'), false);
    }
    if first == '\'' {
        return (letter_or_lifetime(rest), false);
    }
    if let Some(name) = rest.strip_prefix("r#").filter(|name| name.starts_with(is_letter)) {
        return (2 + name.find(|letter| !is_letter(letter)).unwrap_or(name.len()), true);
    }
    if is_letter(first) {
        return (rest.find(|letter| !is_letter(letter)).unwrap_or(rest.len()), true);
    }
    if ["::", "->", "=>"].iter().any(|mark| rest.starts_with(mark)) {
        return (2, true);
    }
    (first.len_utf8(), !first.is_whitespace())
}

/// Comments of this kind nest.
fn comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `r"..."`, `br#"..."#` and the like.
fn raw_text(rest: &str) -> Option<usize> {
    let inside = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = inside.len() - inside.trim_start_matches('#').len();
    let text = inside[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = text.find(&end).map_or(text.len(), |at| at + end.len());
    Some(rest.len() - text.len() + length)
}

/// The length of a text up to its closing mark and with it.
fn closed(text: &str, mark: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if letter == mark => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn letter_or_lifetime(rest: &str) -> usize {
    let inside = &rest[1..];
    let mut letters = inside.chars();
    let is_letter = match letters.next() {
        Some('\\') => true,
        Some(_) => letters.next() == Some('\''),
        None => false,
    };
    if is_letter { 1 + closed(inside, '\'') } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r##"
//! fn none() { in a comment
use std::fs;
mod other;
/* mod no { /* fn none() { */ */
const BRACE: &str = "}{ fn none() {"; const RAW: &str = r#"{"{"#; const LETTER: char = '{';
async fn load_config<'a>(path: &'a str) -> Vec<u8> {
    let half = '"'; let read = |path: &str| { std::fs::read(path) };
    async { read(path) }.await.unwrap_or_default()
}
pub(crate) mod config {
    pub struct Store<T> { path: T }
    impl<T: AsRef<str> + Fn(u8) -> [u8; 4]> Store<T> {
        pub async fn load(&self) -> impl Sized { fn inner() { work() } self.path() } async fn twice() { again() }
    }
    impl<T> super::Load for &mut Store<T> where T: Sized {
        fn later(&self, call: fn(u8) -> [u8; 2]) -> impl Future + use<'_, T> { async { 1 } }
    }
    trait Load: Sized {
        fn later(&self);
        fn now(&self) { self.later() }
    }
}
async fn r#type() { raw_name() }
fn last() { 1 }
"##;

    #[test]
    fn a_place_lies_in_the_function_that_its_author_wrote_around_it() {
        let functions = functions(TEXT);
        let place = |part: &str| {
            let at = TEXT.find(part).unwrap_or_else(|| panic!("no `{part}`"));
            let start = TEXT[..at].rfind('\n').map_or(0, |at| at + 1);
            ((TEXT[..at].matches('\n').count() + 1) as u32, (at - start + 1) as u32)
        };
        for (part, expected) in [
            ("std::fs::read(path)", Some("load_config")),
            ("read(path) }.await", Some("load_config")),
            ("work()", Some("config::Store::load::inner")),
            ("self.path()", Some("config::Store::load")),
            ("again()", Some("config::Store::twice")),
            ("async { 1 }", Some("config::Store::later")),
            ("self.later()", Some("config::Load::now")),
            ("raw_name()", Some("type")),
            ("use std::fs", None),
            ("struct Store", None),
        ] {
            let at = place(part);
            let around = functions.iter().filter(|function| (function.from..=function.to).contains(&at));
            let found = around.max_by_key(|function| function.from).map(|function| &*function.path);
            assert_eq!(found, expected, "{part} at {at:?} in {functions:#?}");
        }
        assert_eq!(functions.last().map(|function| &*function.path), Some("last"));
    }

    #[test]
    fn this_file_is_read_and_what_is_younger_than_the_program_is_not() {
        let mut sources = Sources::default();
        let (line, file) = (line!(), concat!(env!("CARGO_MANIFEST_DIR"), "/src/stack/source.rs"));
        let expected = "tests::this_file_is_read_and_what_is_younger_than_the_program_is_not";
        assert_eq!(sources.function(file, line, 9), Some(expected));
        let mut old = Sources { built: OnceCell::from(Some(SystemTime::UNIX_EPOCH)), ..Sources::default() };
        assert_eq!(old.function(file, line, 9), None);
        assert_eq!(sources.function("/nowhere/src/main.rs", 1, 1), None);
    }

    #[test]
    fn a_crate_is_named_by_its_manifest() {
        let package = "[package]\nname = \"my-shop\" \nversion = \"1\"\n[[bin]]\nname = \"tool\"\n";
        assert_eq!(crate_name(package).as_deref(), Some("my_shop"));
        let library = format!("{package}[lib]\nname = \"shop\"\n[dependencies]\nname = \"1\"");
        assert_eq!(crate_name(&library).as_deref(), Some("shop"));
        assert_eq!(crate_name("[workspace]"), None);
        let mut sources = Sources::default();
        let folder = env!("CARGO_MANIFEST_DIR");
        assert_eq!(sources.crate_of(&format!("{folder}/src/stack/source.rs")), Some("evenkeel_guard"));
        assert_eq!(sources.crate_of(&format!("{folder}/src/bin/tool.rs")), None);
        assert_eq!(sources.crate_of("/nowhere/src/main.rs"), None);
    }

    #[test]
    fn a_text_that_is_no_program_is_no_trouble() {
        for text in [
            "",
            "}}}}",
            "fn",
            "fn x(",
            "/*",
            "\"",
            "r#\"",
            "'",
            "'\\",
            "impl",
            "impl {",
            "ä fn ö() { ü",
            "b'",
            "mod {",
        ] {
            assert!(functions(text).len() <= 1, "{text}");
        }
    }
}
