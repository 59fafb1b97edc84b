//! Turns addresses of code into frames with names, files and lines.

mod source;

use std::collections::HashMap;
use std::env;
use std::ptr;

use crate::frame::claim::Claims;
use crate::frame::home::{is_own, qualified, shortened, within};
use crate::frame::name::{is_bare, name_in_arguments};
use crate::report::Frame;
use source::Sources;

/// How many addresses are remembered. A program blocks at few places; a full memory is emptied and fills again.
const REMEMBERED: usize = 4096;

/// A place in the code, found on a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    /// The instruction.
    pub(crate) at: usize,
    /// Whether the thread stands at this very instruction. Otherwise it will return there, and the call before it
    /// is what counts: that call may be the last instruction of another line, or of another function.
    pub(crate) is_exact: bool,
}

impl Address {
    /// Where a call returns to, as an unwinder gives it.
    pub(crate) fn returned_to(at: usize) -> Self {
        Self { at, is_exact: false }
    }

    /// Where a thread was interrupted.
    #[cfg(test)]
    pub(crate) fn exact(at: usize) -> Self {
        Self { at, is_exact: true }
    }
}

/// Looks addresses up, and remembers them.
///
/// For a thread of its own that writes reports: the first address of a program may take 100 ms, since that is when
/// its debug information is read.
#[derive(Debug)]
pub(crate) struct Symbols {
    known: HashMap<Address, Vec<Found>>,
    sources: Sources,
    /// Where the program was started, with `/` between folders: files below it are named from there on.
    folder: Option<String>,
}

/// What is known of one step of a path by itself.
#[derive(Clone, Debug)]
struct Found {
    frame: Frame,
    /// Whether the compiler made the function out of another one, of which nothing here says the name.
    is_nameless: bool,
}

impl Symbols {
    pub(crate) fn new() -> Self {
        let folder = env::current_dir().ok().and_then(|folder| Some(folder.to_str()?.replace('\\', "/")));
        Self { known: HashMap::new(), sources: Sources::default(), folder }
    }

    /// The frames of a stack, innermost first, functions that were compiled into their callers included.
    ///
    /// An address in no known function gives one frame with nothing in it, so that the gap shows.
    pub(crate) fn resolve(&mut self, addresses: &[Address], claims: Claims<'_>) -> Vec<Frame> {
        let mut found: Vec<_> = addresses.iter().flat_map(|address| self.at(*address).to_vec()).collect();
        for at in 1..found.len() {
            let (inner, outer) = found.split_at_mut(at);
            if let (Some(inner), Some(outer)) = (inner.last_mut(), outer.first()) {
                inner.is_named_by(&outer.frame);
            }
        }
        let mut frames: Vec<_> = found.into_iter().map(|found| found.frame).collect();
        // Not with what is remembered of an address: labels of several authors may lead there.
        claims.mark(&mut frames);
        frames
    }

    fn at(&mut self, address: Address) -> &[Found] {
        if self.known.len() >= REMEMBERED && !self.known.contains_key(&address) {
            self.known.clear();
        }
        let (folder, sources) = (self.folder.as_deref(), &mut self.sources);
        self.known.entry(address).or_insert_with(|| look_up(address, sources, folder))
    }
}

impl Found {
    /// Takes a name from the arguments of the generic function that called this one.
    fn is_named_by(&mut self, outer: &Frame) {
        if !self.is_nameless {
            return;
        }
        let (Some(function), Some(outer)) = (self.frame.function.as_deref(), outer.function.as_deref())
        else {
            return;
        };
        if let Some(name) = name_in_arguments(function, outer) {
            self.frame.function = Some(name);
        }
    }
}

/// Puts the program's debug information away, which takes much memory. What was looked up stays known.
pub(crate) fn forget_tables() {
    backtrace::clear_symbol_cache();
}

fn look_up(address: Address, sources: &mut Sources, folder: Option<&str>) -> Vec<Found> {
    // `backtrace` takes every address for one that is returned to, and looks one byte before it.
    let at = if address.is_exact { address.at.wrapping_add(1) } else { address.at };
    let mut frames = Vec::new();
    if at != 0 {
        backtrace::resolve(ptr::without_provenance_mut(at), |symbol| {
            frames.push(told(symbol, sources, folder));
        });
    }
    if frames.is_empty() {
        let frame = Frame::default();
        frames.push(Found { frame, is_nameless: false });
    }
    frames
}

fn told(symbol: &backtrace::Symbol, sources: &mut Sources, folder: Option<&str>) -> Found {
    let file = symbol.filename().map(|file| file.to_string_lossy().replace('\\', "/"));
    let function = symbol.name().map(|name| format!("{name:#}")).filter(|name| !name.is_empty());
    // Line 0 is how debug information says that an instruction comes from no line.
    let line = symbol.lineno().filter(|line| *line > 0);
    let mut is_nameless = false;
    let function = match (function, &file) {
        (Some(function), Some(file)) if is_bare(&function) && is_own(file) => {
            let column = symbol.colno().unwrap_or(u32::MAX);
            let around = line.and_then(|line| sources.function(file, line, column));
            let inside = around.and_then(|around| inside(around, &function));
            is_nameless = function.starts_with('{') && inside.is_none();
            let path = within(inside.as_deref().unwrap_or(&function), file);
            Some(match (sources.crate_of(file), path.split_once("::")) {
                (Some(name), Some((_, rest))) => format!("{name}::{rest}"),
                _ => path,
            })
        }
        // The folder above `src` names the crate, so the path is taken before the file is shortened.
        (Some(function), Some(file)) => Some(qualified(&function, file)),
        (function, _) => function,
    };
    let file = file.map(|file| shortened(&file, folder));
    Found { frame: Frame { function, file, line, ..Frame::default() }, is_nameless }
}

/// The path of a function inside its file's module, from what the file says of the place and what it is called.
///
/// *Shape*: `load_config` and `{async_fn#0}` are `load_config::{async_fn#0}`; `Store::load` and `load<u8>` are
/// `Store::load<u8>`. A file that says something else speaks of another function.
fn inside(around: &str, function: &str) -> Option<String> {
    if function.starts_with('{') {
        return Some(format!("{around}::{function}"));
    }
    let (path, last) = around.rsplit_once("::").unwrap_or(("", around));
    let is_same = function.split('<').next() == Some(last);
    let join = if path.is_empty() { "" } else { "::" };
    is_same.then(|| format!("{path}{join}{function}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::poll::called;
    use crate::frame::{Origin, is_in, origin};

    /// The addresses of the stack at this line, innermost first.
    #[inline(never)]
    fn here() -> Vec<Address> {
        let mut addresses = Vec::new();
        backtrace::trace(|frame| {
            addresses.push(Address::returned_to(frame.ip().addr()));
            true
        });
        addresses
    }

    /// Tests of this very crate are known by their module's name, which a build with line tables alone does not have.
    fn author() -> Origin {
        if cfg!(debug_assertions) { Origin::Author } else { Origin::Runtime }
    }

    #[inline(always)]
    fn inlined() -> (u32, Vec<Address>) {
        (line!(), here())
    }

    trait Store {
        fn load(&self) -> (u32, Vec<Address>);
    }

    struct Disk;

    impl Store for Disk {
        #[inline(never)]
        fn load(&self) -> (u32, Vec<Address>) {
            (line!(), here())
        }
    }

    fn find<'a>(frames: &'a [Frame], function: &str) -> &'a Frame {
        let found = frames.iter().find(|frame| is_in(frame, &format!("*::{function}")));
        found.unwrap_or_else(|| panic!("no `{function}` in {frames:#?}"))
    }

    #[test]
    fn frames_have_the_authors_file_and_line_inlined_ones_too() {
        let ((inlined_line, addresses), line) = (inlined(), line!());
        let frames = Symbols::new().resolve(&addresses, Claims::default());
        let frame = find(&frames, "inlined");
        assert_eq!((frame.file.as_deref(), frame.line), (Some("src/stack.rs"), Some(inlined_line)));
        assert_eq!(origin(frame), author());
        let outer = find(&frames, "frames_have_the_authors_file_and_line_inlined_ones_too");
        assert_eq!((outer.file.as_deref(), outer.line), (Some("src/stack.rs"), Some(line)));
    }

    #[test]
    fn a_call_through_a_trait_or_the_standard_library_is_followed() {
        let store: Box<dyn Store> = Box::new(Disk);
        let (line, addresses) = [store].iter().map(|store| store.load()).next().expect("one store");
        let frames = Symbols::new().resolve(&addresses, Claims::default());
        assert_eq!(find(&frames, "load").line, Some(line));
        let adapter = find(&frames, "next");
        assert_eq!(origin(adapter), Origin::Standard, "{adapter:?}");
        let file = adapter.file.as_deref().expect("the library has line tables");
        assert!(file.starts_with("core/src/"), "{file}");
        if author() == Origin::Author {
            assert_eq!(called(&frames), [], "the innermost frame is this file's");
        }
    }

    #[test]
    fn packages_are_named_with_their_version() {
        let frames = Symbols::new().resolve(&here(), Claims::default());
        let file = frames[0].file.as_deref().expect("line tables");
        assert!(file.starts_with("backtrace-0.3.") && file.contains("/src/"), "{file}");
        assert_eq!(origin(&frames[0]), Origin::Runtime);
    }

    #[test]
    fn an_exact_address_is_in_the_function_that_begins_there() {
        let addresses = [Address::exact(here as fn() -> Vec<Address> as usize)];
        let frames = Symbols::new().resolve(&addresses, Claims::default());
        assert!(is_in(&frames[0], "*::here"), "{frames:?}");
    }

    #[test]
    fn an_address_outside_of_all_code_is_an_empty_frame() {
        let nothing = Frame::default();
        let addresses = [Address::returned_to(0), Address::exact(8), Address::exact(usize::MAX)];
        assert_eq!(Symbols::new().resolve(&addresses, Claims::default()), vec![nothing; 3]);
    }

    #[test]
    fn the_memory_of_addresses_is_bounded_and_gives_the_same_again() {
        let mut symbols = Symbols::new();
        let known = here();
        let first = symbols.resolve(&known, Claims::default());
        assert_eq!(symbols.resolve(&known, Claims::default()), first);
        assert_eq!(symbols.known.len(), known.iter().collect::<std::collections::HashSet<_>>().len());
        let many: Vec<_> = (1..2 * REMEMBERED).map(Address::returned_to).collect();
        symbols.resolve(&many, Claims::default());
        assert!(symbols.known.len() <= REMEMBERED);
        assert_eq!(symbols.resolve(&known, Claims::default()), first);
    }
}
