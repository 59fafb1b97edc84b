//! The order of the house, as `STYLE.md` has it: what a reader meets in a module, was explained above it.

use std::fs;
use std::path::{Path, PathBuf};

/// How long a file may be without its tests.
const MOST_LINES: usize = 450;

/// Longer ones, with the reason.
const LONG: &[(&str, &str)] = &[
    ("evenkeel/src/event.rs", "one plain type for each kind of event, mostly their docs"),
    ("evenkeel-guard/src/advice/table.rs", "a table that is made to be added to"),
];

/// How long a function may be.
const MOST_FUNCTION_LINES: usize = 60;

/// Folders whose rooms lean on each other, with the reason.
const ENTWINED: &[(&str, &str)] =
    &[("evenkeel-signal/src/standin", "a server made for tests: its rooms are one machine")];

/// Folders whose rooms reach up to their parent's secrets or down to a sibling, with the reason.
const REACHING: &[(&str, &str)] =
    &[("evenkeel-signal/src/standin", "a server made for tests: its rooms are one machine")];

/// A room made of parts that keep their state to themselves.
struct Closed {
    room: &'static str,
    /// The folder in it that passes on what the parts say, and the modules that are doors to the whole: they alone may name it.
    knowing: &'static [&'static str],
    /// The files of plain data, whose fields anybody there may change.
    plain: &'static [&'static str],
}

const CLOSED: &[Closed] = &[
    Closed {
        room: "evenkeel/src/engine",
        knowing: &["steps"],
        plain: &["attempt", "request", "outside", "job", "delivery", "port", "attempts/in_flight"],
    },
    Closed { room: "evenkeel/src/serve/core", knowing: &[], plain: &[] },
    Closed {
        room: "evenkeel/src/journal/sqlite",
        knowing: &["look", "warning", "admin"],
        plain: &["counters", "retention", "look", "warning"],
    },
];

/// Crates with rooms for `unsafe`, which then say so room by room.
const UNSAFE: &[(&str, &[&str])] = &[("evenkeel-guard", &["hook", "sys"])];

/// What no file may hold, tests included.
const BANNED: &[(&str, &str)] = &[
    ("todo!", "finish it"),
    ("unimplemented!", "finish it"),
    ("dbg!", "take it out"),
    ("#[ignore", "a test runs or does not exist"),
];

/// A crate as it lies on disk.
struct House {
    name: String,
    files: Vec<Source>,
}

struct Source {
    /// From the crate's folder on, `src/route/help.rs` for example.
    path: String,
    text: String,
    /// The same lines without comments, strings and test modules.
    code: String,
}

impl Source {
    fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let bare = bare(&text);
        Self { path: path.into(), code: without_tests(&bare), text }
    }

    /// The modules that lead to this file: `["route", "help"]`.
    fn modules(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("src/").unwrap_or_default();
        inside.trim_end_matches(".rs").split('/').collect()
    }

    /// Whether it is the other one, or a module inside it.
    fn is_inside(&self, other: &Source) -> bool {
        self.modules().starts_with(&other.modules())
    }

    /// Whether only tests see it.
    fn is_test(&self) -> bool {
        !self.path.starts_with("src/") || self.modules().contains(&"tests")
    }
}

impl House {
    fn complaint(&self, file: &Source, offset: usize, what: &str) -> String {
        let line = file.code[..offset].matches('\n').count() + 1;
        format!("{}/{}:{line}: {what}", self.name, file.path)
    }

    /// The root of the library, or of a program that has none.
    fn root(&self) -> Option<&Source> {
        let file = |path| self.files.iter().find(|file| file.path == path);
        file("src/lib.rs").or_else(|| file("src/main.rs"))
    }

    /// The modules that the root declares, in order.
    fn rooms(&self) -> Vec<&str> {
        self.root().map_or(Vec::new(), |root| declared(&root.code))
    }

    /// A module uses only modules above it, by their own names.
    fn upward(&self) -> Vec<String> {
        let rooms = self.rooms();
        let mut complaints = Vec::new();
        for file in self.files.iter().filter(|file| !file.is_test()) {
            let modules = file.modules();
            let Some(place) = rooms.iter().position(|room| *room == modules[0]) else { continue };
            for (offset, name) in named_after(&file.code, "crate::") {
                let problem = match rooms.iter().position(|room| *room == name) {
                    Some(used) if used <= place => continue,
                    Some(_) => format!("`{}` uses `{name}`, which the root declares below it", modules[0]),
                    None => format!("`crate::{name}` is a re-export: name its module"),
                };
                complaints.push(self.complaint(file, offset, &problem));
            }
            let far = "super::".repeat(modules.len());
            if let Some(offset) = file.code.find(&far) {
                let problem = format!("`{far}` reaches the root of the crate: write `crate::`");
                complaints.push(self.complaint(file, offset, &problem));
            }
        }
        complaints
    }

    /// Of two rooms in one folder, at most one uses the other.
    fn one_way(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for file in self.files.iter().filter(|file| !file.is_test()) {
            let (folder, name) = file.path.rsplit_once('/').unwrap_or_default();
            let name = name.trim_end_matches(".rs");
            if ENTWINED.iter().any(|(entwined, _)| *entwined == format!("{}/{folder}", self.name)) {
                continue;
            }
            for (offset, used) in named_after(&file.code, "super::") {
                let path = format!("{folder}/{used}.rs");
                let Some(other) = self.files.iter().find(|other| other.path == path) else { continue };
                let is_mutual = named_after(&other.code, "super::").iter().any(|(_, back)| *back == name);
                if folder != "src" && is_mutual {
                    let problem = format!("`{name}` and `{used}` use each other");
                    complaints.push(self.complaint(file, offset, &problem));
                }
            }
        }
        complaints
    }

    /// Inside a room a module uses no sibling that its parent declares below it, and nothing that its parent keeps to itself.
    /// Each complaint comes with the folder of the room.
    fn reaching(&self) -> Vec<(String, String)> {
        let mut complaints = Vec::new();
        for file in self.files.iter().filter(|file| !file.is_test()) {
            let modules = file.modules();
            for depth in 1..modules.len() {
                let Some(parent) = self.module(&modules[..depth]) else { continue };
                let folder = format!("{}/src/{}", self.name, modules[..depth].join("/"));
                let (own, declared) = (modules[depth], declared(&parent.code));
                let place = |wanted| declared.iter().position(|name| *name == wanted);
                let up = "super::".repeat(modules.len() - depth);
                let down = format!("crate::{}::", modules[..depth].join("::"));
                for (offset, used) in [named_after(&file.code, &up), named_after(&file.code, &down)].concat()
                {
                    let how = if secrets(&parent.code).contains(&used) {
                        "keeps to itself"
                    } else if place(own).zip(place(used)).is_some_and(|(own, used)| own < used) {
                        "declares below it"
                    } else {
                        continue;
                    };
                    let problem = format!("`{own}` uses `{used}`, which `{}` {how}", parent.path);
                    complaints.push((folder.clone(), self.complaint(file, offset, &problem)));
                }
            }
        }
        complaints
    }

    fn inward(&self) -> Vec<String> {
        let is_allowed = |folder: &String| REACHING.iter().any(|(reaching, _)| reaching == folder);
        self.reaching().into_iter().filter(|(folder, _)| !is_allowed(folder)).map(|(_, said)| said).collect()
    }

    /// The file of a module.
    fn module(&self, modules: &[&str]) -> Option<&Source> {
        let path = format!("src/{}.rs", modules.join("/"));
        self.files.iter().find(|file| file.path == path)
    }

    /// In a closed room no field is open but those of plain data, a struct has its `impl` blocks where it stands or below, and a
    /// part knows nothing of the whole.
    fn closed(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for Closed { room, knowing, plain } in CLOSED {
            let Some(path) = room.strip_prefix(&format!("{}/", self.name)) else { continue };
            let Some(whole) = self.files.iter().find(|file| file.path == format!("{path}.rs")) else {
                continue;
            };
            let parts = self.files.iter().filter(|file| file.path.starts_with(&format!("{path}/")));
            let files: Vec<_> = parts.filter(|file| !file.is_test()).chain([whole]).collect();
            for file in &files {
                let name = file.path.trim_start_matches(path).trim_matches('/').trim_end_matches(".rs");
                let open = open_field(&file.code).filter(|_| !plain.contains(&name));
                let open = open.map(|at| self.complaint(file, at, "a field that others may change"));
                let outside = implemented(&file.code).into_iter().filter(|(_, one)| {
                    let home = files.iter().find(|other| structs(&other.code).contains(one));
                    home.is_some_and(|home| !file.is_inside(home))
                });
                let outside = outside.map(|(at, one)| {
                    self.complaint(file, at, &format!("`{one}` changes outside its own module"))
                });
                let knows =
                    structs(&whole.code).into_iter().filter_map(|whole| position(&file.code, whole)).min();
                let may_know =
                    name.split('/').next().is_none_or(|part| part.is_empty() || knowing.contains(&part));
                let knows = knows.filter(|_| !may_know);
                let knows = knows.map(|at| self.complaint(file, at, "a part that knows the whole"));
                complaints.extend(open.into_iter().chain(outside).chain(knows));
            }
        }
        complaints
    }

    /// Unsafe code is forbidden, or has rooms of its own.
    fn safe(&self) -> Vec<String> {
        let Some(root) = self.root() else { return Vec::new() };
        let rooms = UNSAFE.iter().find(|(name, _)| *name == self.name).map_or(&[][..], |(_, rooms)| rooms);
        let is_forbidden = root.code.contains("#![forbid(unsafe_code)]");
        let is_denied = !rooms.is_empty() && root.code.contains("#![deny(unsafe_code)]");
        if !is_forbidden && !is_denied {
            return vec![self.complaint(root, 0, "`#![forbid(unsafe_code)]` is missing")];
        }
        let outside = self.files.iter().filter(|file| !rooms.contains(&file.modules()[0]) && !file.is_test());
        let loose = outside.filter_map(|file| {
            let offset = file.code.find("allow(unsafe_code")?;
            Some(self.complaint(file, offset, "unsafe code has rooms of its own"))
        });
        loose.collect()
    }

    /// No long files, no `mod.rs`, nothing unfinished.
    fn plain(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for file in &self.files {
            if file.path.ends_with("/mod.rs") {
                complaints.push(self.complaint(file, 0, "a folder's module is `folder.rs` beside it"));
            }
            let lines = file.code.trim_end().lines().count();
            let path = format!("{}/{}", self.name, file.path);
            if !file.is_test() && lines > MOST_LINES && !LONG.iter().any(|(long, _)| *long == path) {
                let problem = format!("{lines} lines without tests: two rooms, or a reason in `LONG`");
                complaints.push(self.complaint(file, 0, &problem));
            }
            for (offset, lines) in functions(&file.code) {
                if !file.is_test() && lines > MOST_FUNCTION_LINES {
                    complaints.push(self.complaint(file, offset, &format!("a function of {lines} lines")));
                }
            }
            let bare = bare(&file.text);
            for (banned, remedy) in BANNED {
                if let Some(offset) = bare.find(banned) {
                    let line = bare[..offset].matches('\n').count() + 1;
                    complaints.push(format!("{path}:{line}: `{banned}`: {remedy}"));
                }
            }
        }
        complaints
    }

    fn complaints(&self) -> Vec<String> {
        [self.upward(), self.one_way(), self.inward(), self.closed(), self.safe(), self.plain()].concat()
    }
}

/// Replaces all between two offsets by space, and keeps the lines.
fn blank(text: &mut [u8], from: usize, to: usize) {
    for byte in &mut text[from..to] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// The code without its comments and the insides of its strings.
fn bare(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut bare = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let hashes = rest.iter().skip(1).take_while(|byte| **byte == b'#').count();
        let length = match rest {
            [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => find(rest, b"*/").map_or(rest.len(), |end| end + 2),
            [b'r', ..] if rest.get(1 + hashes) == Some(&b'"') && !is_word(at, bytes) => {
                let end = ["\"", &"#".repeat(hashes)].concat();
                let start = 2 + hashes;
                find(&rest[start..], end.as_bytes()).map_or(rest.len(), |found| start + found + end.len())
            }
            [b'"', ..] => quoted(rest),
            // A quote or a backslash as a letter; others do no harm, and lifetimes look alike.
            [b'\'', b'"', b'\'', ..] => 3,
            [b'\'', b'\\', _, b'\'', ..] => 4,
            _ => {
                at += 1;
                continue;
            }
        };
        blank(&mut bare, at, at + length);
        at += length;
    }
    String::from_utf8_lossy(&bare).into_owned()
}

/// Whether a letter goes on with a word.
fn is_word(at: usize, bytes: &[u8]) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// How long the string is that begins here, with its quotes.
fn quoted(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// The code without its test modules.
fn without_tests(bare: &str) -> String {
    let mut code = bare.as_bytes().to_vec();
    for (start, _) in bare.match_indices("#[cfg(test)]\nmod ") {
        let (mut depth, mut end) = (0, bare.len());
        for (offset, byte) in bare.bytes().enumerate().skip(start) {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b';' if depth == 0 => {}
                _ => continue,
            }
            if depth == 0 {
                end = offset + 1;
                break;
            }
        }
        blank(&mut code, start, end);
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// The modules that a file declares, in order.
fn declared(code: &str) -> Vec<&str> {
    let declared = code.lines().filter_map(|line| open(line.trim()).strip_prefix("mod ")?.strip_suffix(';'));
    declared.collect()
}

/// A line without its visibility.
fn open(line: &str) -> &str {
    match line.strip_prefix("pub(") {
        Some(rest) => rest.split_once(") ").map_or(line, |(_, rest)| rest),
        None => line.trim_start_matches("pub "),
    }
}

/// What a file defines for itself alone, at its left margin.
fn secrets(code: &str) -> Vec<&str> {
    const KINDS: [&str; 10] = [
        "const fn ",
        "async fn ",
        "fn ",
        "struct ",
        "enum ",
        "union ",
        "trait ",
        "type ",
        "const ",
        "static ",
    ];
    let names =
        code.lines().filter_map(|line| KINDS.iter().find_map(|kind| line.strip_prefix(kind)).map(word));
    names.collect()
}

/// The structs that a file defines.
fn structs(code: &str) -> Vec<&str> {
    code.lines().filter_map(|line| open(line).strip_prefix("struct ").map(word)).collect()
}

/// Where the first field stands that is not private to its module.
fn open_field(code: &str) -> Option<usize> {
    let mut is_inside = false;
    let mut at = 0;
    for line in code.split_inclusive('\n') {
        let opens = open(line).starts_with("struct ");
        is_inside = opens && line.trim_end().ends_with('{') || is_inside && !line.starts_with('}');
        let is_field = is_inside && line.starts_with("    pub");
        let is_open_tuple = opens && line.contains("(pub");
        if is_field || is_open_tuple {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// What a file has `impl` blocks of, traits aside, each with where it stands.
fn implemented(code: &str) -> Vec<(usize, &str)> {
    let mut at = 0;
    let mut found = Vec::new();
    for line in code.split_inclusive('\n') {
        if let Some(rest) = line.strip_prefix("impl").filter(|rest| !rest.contains(" for ")) {
            let name = match rest.strip_prefix('<') {
                // Bounds with arrows in them come after `where`.
                Some(bounds) => bounds.split_once("> ").map_or("", |(_, name)| name),
                None => rest.trim_start(),
            };
            found.push((at, word(name)));
        }
        at += line.len();
    }
    found
}

/// Where a whole word stands.
fn position(code: &str, wanted: &str) -> Option<usize> {
    let found = code.match_indices(wanted).find(|(at, _)| {
        let after = code.as_bytes().get(at + wanted.len());
        !is_word(*at, code.as_bytes())
            && !after.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    });
    found.map(|(at, _)| at)
}

/// Where each function begins, and how many lines it has from its name to its last brace.
fn functions(code: &str) -> Vec<(usize, usize)> {
    let starts = code.match_indices("fn ").filter(|(at, _)| !is_word(*at, code.as_bytes()));
    let found = starts.filter_map(|(at, _)| {
        let mut depth = 0_i32;
        let (end, last) = code[at..].char_indices().find(|(_, letter)| {
            depth += match letter {
                '{' | '(' | '[' => 1,
                '}' | ')' | ']' => -1,
                _ => 0,
            };
            // A declaration in a trait ends without a body.
            depth <= 0 && matches!(letter, '}' | ';')
        })?;
        (last == '}').then(|| (at, code[at..at + end].matches('\n').count() + 1))
    });
    found.collect()
}

/// The names that follow `root`, also those in braces, each with where it stands.
fn named_after<'a>(code: &'a str, root: &str) -> Vec<(usize, &'a str)> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(root) {
        let start = at + root.len();
        // `$crate` is the root as another crate's macro sees it: nothing but re-exports.
        let is_longer = code[..at].ends_with(['$', ':']) || is_word(at, code.as_bytes());
        if is_longer {
            continue;
        }
        match code[start..].strip_prefix('{') {
            Some(group) => names.extend(tops(group).into_iter().map(|name| (at, name))),
            None => names.push((at, word(&code[start..]))),
        }
    }
    names
}

/// The first word of each part of a group, up to its closing brace.
fn tops(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (offset, letter) in group.char_indices() {
        match letter {
            ',' | '}' if depth == 0 => {
                names.push(word(group[start..offset].trim_start()));
                start = offset + 1;
                if letter == '}' {
                    break;
                }
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn word(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    &text[..end.unwrap_or(text.len())]
}

/// All crates that lie in the folder of the workspace.
fn houses() -> Vec<House> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let is_root = |path: &Path| ["src/lib.rs", "src/main.rs"].iter().any(|root| path.join(root).is_file());
    let crates = folder(root).into_iter().filter(|path| is_root(path));
    let house = |path: PathBuf| {
        let name = path.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        let mut files = Vec::new();
        for part in ["src", "tests", "examples"] {
            collect(&path.join(part), &path, &mut files);
        }
        House { name, files }
    };
    crates.map(house).collect()
}

fn folder(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

fn collect(path: &Path, root: &Path, files: &mut Vec<Source>) {
    for path in folder(path) {
        if path.is_dir() {
            collect(&path, root, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a readable file");
            let inside = path.strip_prefix(root).expect("it was found there");
            let names: Vec<_> = inside.iter().map(|name| name.to_string_lossy()).collect();
            files.push(Source::new(names.join("/"), text));
        }
    }
}

#[test]
fn the_house_is_in_order() {
    let houses = houses();
    let names: Vec<_> = houses.iter().map(|house| &*house.name).collect();
    for name in ["bench", "evenkeel", "evenkeel-cli", "evenkeel-guard"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let complaints: Vec<_> = houses.iter().flat_map(House::complaints).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_exception_is_still_needed() {
    let reaching: Vec<_> = houses().iter().flat_map(House::reaching).map(|(folder, _)| folder).collect();
    for (folder, _) in REACHING {
        assert!(reaching.iter().any(|one| one == folder), "{folder} is in order now: take it off the list");
    }
    for Closed { room, knowing, plain } in CLOSED {
        let (name, path) = room.split_once('/').expect("a crate and a path");
        let houses = houses();
        let house = houses.iter().find(|house| house.name == name).expect("the crate is there");
        let whole = house.files.iter().find(|file| file.path == format!("{path}.rs"));
        let whole = structs(&whole.expect("the room is there").code);
        for part in *knowing {
            let under = format!("{path}/{part}");
            let mut files = house.files.iter().filter(|file| file.path.starts_with(&under));
            let knows = files.any(|file| whole.iter().any(|whole| position(&file.code, whole).is_some()));
            assert!(knows, "{part} of {room} does not name the whole: take it off the list");
        }
        for file in *plain {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../{room}/{file}.rs"));
            let text = fs::read_to_string(&path).expect("the file is there");
            assert!(
                open_field(&bare(&text)).is_some(),
                "{file} of {room} has no open field: take it off the list"
            );
        }
    }
    for (long, _) in LONG {
        let (name, path) = long.split_once('/').expect("a crate and a path");
        let houses = houses();
        let house = houses.iter().find(|house| house.name == name).expect("the crate is there");
        let file = house.files.iter().find(|file| file.path == path).expect("the file is there");
        assert!(
            file.code.trim_end().lines().count() > MOST_LINES,
            "{long} is short now: take it off the list"
        );
    }
}

/// What is said of a crate with modules `low` and `high`, in this order, and this file.
#[track_caller]
fn check(path: &str, text: &str, complaint: &str) {
    let library = "#![forbid(unsafe_code)]\nmod low;\npub mod high;\npub use low::Thing;\n";
    let beside = Source::new("src/high/left.rs", "use super::right::Right;\n");
    let files = vec![Source::new("src/lib.rs", library), beside, Source::new(path, text)];
    let said = House { name: "house".into(), files }.complaints().join("\n");
    assert!(said.contains(complaint), "{said}");
    assert!(!complaint.is_empty() || said.is_empty(), "{said}");
}

#[test]
fn a_use_of_a_lower_module_is_a_complaint() {
    let complaint = "house/src/low.rs:2: `low` uses `high`, which the root declares below it";
    check("src/low.rs", "\nuse crate::high::Roof;", complaint);
    check("src/low.rs", "\nuse crate::{low, high::Roof};", complaint);
    check("src/low.rs", "\nfn roof() -> crate::high::Roof {}", complaint);
    check(
        "src/low/cellar.rs",
        "\nuse crate::high::Roof;",
        complaint.replace("low.rs", "low/cellar.rs").as_str(),
    );
    check("src/high.rs", "use crate::low::Thing;\nuse crate::{low::{Thing, other}};", "");
    check("src/low.rs", "// use crate::high::Roof;\nconst A: &str = \"crate::high\";", "");
    check("src/low.rs", "#[cfg(test)]\nmod tests {\n    use crate::high::Roof;\n}", "");
    check("src/low/tests.rs", "use crate::high::Roof;", "");
}

#[test]
fn a_way_around_the_names_is_a_complaint() {
    check("src/high.rs", "use crate::Thing;", "`crate::Thing` is a re-export: name its module");
    check("src/high.rs", "macro_rules! thing { () => { $crate::Thing } }", "");
    check("src/low.rs", "use super::high::Roof;", "`super::` reaches the root of the crate");
    check("src/low/cellar.rs", "use super::super::high::Roof;", "reaches the root of the crate");
}

#[test]
fn rooms_that_use_each_other_are_a_complaint() {
    check("src/high/right.rs", "use super::left::Left;", "`right` and `left` use each other");
    check("src/high/right.rs", "use super::middle::Left;", "");
}

/// What is said of a room with modules `upper` and `lower`, in this order, and this file.
#[track_caller]
fn check_room(path: &str, text: &str, complaint: &str) {
    let library = "#![forbid(unsafe_code)]\nmod high;\n";
    let room = "mod upper;\npub(crate) mod lower;\nuse std::fmt;\nfn secret() {}\nstruct Hidden;\npub(super) struct Open;\n";
    let files =
        vec![Source::new("src/lib.rs", library), Source::new("src/high.rs", room), Source::new(path, text)];
    let said = House { name: "house".into(), files }.complaints().join("\n");
    assert!(said.contains(complaint), "{said}");
    assert!(!complaint.is_empty() || said.is_empty(), "{said}");
}

#[test]
fn a_use_of_a_sibling_that_is_declared_below_is_a_complaint() {
    let complaint = "`upper` uses `lower`, which `src/high.rs` declares below it";
    check_room("src/high/upper.rs", "use super::lower::Floor;", complaint);
    check_room("src/high/upper.rs", "use super::{Open, lower::Floor};", complaint);
    check_room("src/high/upper.rs", "use crate::high::lower::Floor;", complaint);
    check_room("src/high/upper/inner.rs", "use super::super::lower::Floor;", complaint);
    check_room("src/high/lower.rs", "use super::upper::{Floor, lower};\nuse super::Open;", "");
    check_room("src/high/upper.rs", "#[cfg(test)]\nmod tests {\n    use super::lower::Floor;\n}", "");
}

#[test]
fn a_use_of_what_the_parent_keeps_to_itself_is_a_complaint() {
    check_room("src/high/upper.rs", "use super::secret;", "`upper` uses `secret`, which `src/high.rs` keeps");
    check_room("src/high/upper.rs", "fn a() { super::secret() }", "`upper` uses `secret`");
    check_room("src/high/lower/inner.rs", "use crate::high::{Hidden, Open};", "`lower` uses `Hidden`");
    check_room("src/high/upper.rs", "use super::{Open, fmt};", "");
}

/// What is said of a file of the engine's room, which has a whole, a part and plain data.
#[track_caller]
fn check_closed(path: &str, text: &str, complaint: &str) {
    let files = [
        ("src/lib.rs", "#![forbid(unsafe_code)]\nmod engine;\n"),
        (
            "src/engine.rs",
            "mod port;\nmod part;\nmod steps;\npub(crate) struct Whole {\n    part: Part,\n}\n",
        ),
        ("src/engine/port.rs", "pub(super) struct Plain {\n    pub(super) field: u8,\n}\n"),
        ("src/engine/part.rs", "pub(super) struct Part {\n    field: u8,\n}\nimpl Part {}\n"),
        (path, text),
    ];
    let files = files.into_iter().map(|(path, text)| Source::new(path, text)).collect();
    let said = House { name: "evenkeel".into(), files }.closed().join("\n");
    assert!(said.contains(complaint), "{said}");
    assert!(!complaint.is_empty() || said.is_empty(), "{said}");
}

#[test]
fn a_part_of_the_engine_that_others_may_change_is_a_complaint() {
    let open = "evenkeel/src/engine/other.rs:2: a field that others may change";
    for visibility in ["pub", "pub(super)", "pub(crate)", "pub(in crate::engine)"] {
        check_closed(
            "src/engine/other.rs",
            &format!("struct Other {{\n    {visibility} field: u8,\n}}"),
            open,
        );
        check_closed("src/engine/other.rs", &format!("\nstruct Other({visibility} u8);"), open);
    }
    check_closed(
        "src/engine/other.rs",
        "struct Other {\n    field: u8,\n}\npub(super) enum Kind {\n    A { b: u8 },\n}",
        "",
    );
    let outside = "`Part` changes outside its own module";
    check_closed("src/engine/other.rs", "use super::part::Part;\nimpl Part {\n}", outside);
    check_closed("src/engine/steps/one.rs", "impl<T: A<B>> Part {\n}", outside);
    check_closed("src/engine/part/inner.rs", "use super::Part;\nimpl Part {\n}", "");
    check_closed("src/engine/other.rs", "impl From<u8> for Part {\n}", "");
    check_closed("src/engine/other.rs", "use crate::engine::Whole;", "a part that knows the whole");
    check_closed("src/engine/other.rs", "struct WholeNumber;", "");
    check_closed("src/engine/steps/one.rs", "use crate::engine::Whole;\nimpl Whole {\n}", "");
}

#[test]
fn an_open_field_of_a_room_without_parts_is_a_complaint() {
    let core = "pub(super) struct Core {\n    pub(super) engine: u8,\n}";
    check_closed("src/serve/core.rs", core, "evenkeel/src/serve/core.rs:2: a field that others may change");
    check_closed("src/serve/core.rs", &core.replace("    pub(super) ", "    "), "");
    check_closed("src/serve/other.rs", core, "");
}

#[test]
fn a_program_has_the_same_order_as_a_library() {
    let root = "#![forbid(unsafe_code)]\nmod low;\nmod high;\nfn main() {}\n";
    let said = |low: &str| {
        let files = vec![Source::new("src/main.rs", root), Source::new("src/low.rs", low)];
        House { name: "house".into(), files }.complaints().join("\n")
    };
    assert!(said("use crate::high::Roof;").contains("`low` uses `high`, which the root declares below it"));
    assert_eq!(said("use crate::low::Floor;"), "");
}

#[test]
fn unsafe_code_outside_its_rooms_is_a_complaint() {
    let house = |name: &str, attribute: &str| {
        let files = vec![Source::new("src/lib.rs", attribute)];
        House { name: name.into(), files }.safe()
    };
    assert_eq!(house("evenkeel", "").len(), 1);
    assert_eq!(house("evenkeel", "#![deny(unsafe_code)]").len(), 1);
    assert_eq!(house("evenkeel", "// #![forbid(unsafe_code)]").len(), 1);
    assert!(house("evenkeel-guard", "#![deny(unsafe_code)]").is_empty());
    check("src/low.rs", "#![allow(unsafe_code)]", "unsafe code has rooms of its own");
}

#[test]
fn what_is_long_or_unfinished_is_a_complaint() {
    check("src/low.rs", &"fn a() {}\n".repeat(MOST_LINES + 1), "451 lines without tests");
    let tested = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn b() {}\n".repeat(MOST_LINES));
    check("src/low.rs", &tested, "");
    let body = |lines| format!("fn a<T>() -> Result<[u8; 4], T> {{\n{}}}\n", "    a();\n".repeat(lines));
    check("src/low.rs", &body(MOST_FUNCTION_LINES - 1), "a function of 61 lines");
    check("src/low.rs", &body(MOST_FUNCTION_LINES - 2), "");
    check("src/low.rs", &format!("trait A {{\n    fn a();\n{}}}", body(1).repeat(30)), "");
    check("tests/low.rs", &body(MOST_FUNCTION_LINES), "");
    check("src/low/mod.rs", "", "a folder's module is `folder.rs` beside it");
    for unfinished in ["fn a() { todo!() }", "fn a() { dbg!(1); }", "#[ignore]\nfn a() {}"] {
        check("src/low.rs", unfinished, "src/low.rs:1: `");
        check("tests/low.rs", unfinished, "tests/low.rs:1: `");
    }
    check("src/low.rs", "const A: &str = r#\"todo!(\"#; // dbg!", "");
}

/// Words that say whose room a line belongs to, and the crates that must not know them.
const FOREIGN: &[(&str, &[&str])] = &[
    ("evenkeel", &["signal-cli", "evenkeel_signal", "twilight", "redis"]),
    ("evenkeel-guard", &["transport", "reply", "signal-cli", "discord"]),
];

#[test]
fn no_crate_knows_what_it_must_not() {
    for (name, words) in FOREIGN {
        let houses = houses();
        let house = houses.iter().find(|house| house.name == *name).expect("the crate is there");
        for file in &house.files {
            let code = bare(&file.code);
            for word in *words {
                assert!(!code.contains(word), "{name}/{}: `{word}` belongs elsewhere", file.path);
            }
        }
    }
}
