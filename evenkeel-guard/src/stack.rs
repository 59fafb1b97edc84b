//! Turns addresses of code into frames with names, files and lines.

use std::collections::HashMap;
use std::env;
use std::ptr;

use crate::frame::home::{qualified, shortened};
use crate::report::Frame;

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
    known: HashMap<Address, Vec<Frame>>,
    /// Where the program was started, with `/` between folders: files below it are named from there on.
    folder: Option<String>,
}

impl Symbols {
    pub(crate) fn new() -> Self {
        let folder = env::current_dir().ok().and_then(|folder| Some(folder.to_str()?.replace('\\', "/")));
        Self { known: HashMap::new(), folder }
    }

    /// The frames of a stack, innermost first, functions that were compiled into their callers included.
    ///
    /// An address in no known function gives one frame with nothing in it, so that the gap shows.
    pub(crate) fn resolve(&mut self, addresses: &[Address]) -> Vec<Frame> {
        addresses.iter().flat_map(|address| self.at(*address).to_vec()).collect()
    }

    fn at(&mut self, address: Address) -> &[Frame] {
        if self.known.len() >= REMEMBERED && !self.known.contains_key(&address) {
            self.known.clear();
        }
        let folder = self.folder.as_deref();
        self.known.entry(address).or_insert_with(|| look_up(address, folder))
    }
}

/// Puts the program's debug information away, which takes much memory. What was looked up stays known.
pub(crate) fn forget_tables() {
    backtrace::clear_symbol_cache();
}

fn look_up(address: Address, folder: Option<&str>) -> Vec<Frame> {
    // `backtrace` takes every address for one that is returned to, and looks one byte before it.
    let at = if address.is_exact { address.at.wrapping_add(1) } else { address.at };
    let mut frames = Vec::new();
    if at != 0 {
        backtrace::resolve(ptr::without_provenance_mut(at), |symbol| frames.push(told(symbol, folder)));
    }
    if frames.is_empty() {
        frames.push(Frame { function: None, file: None, line: None });
    }
    frames
}

fn told(symbol: &backtrace::Symbol, folder: Option<&str>) -> Frame {
    let file = symbol.filename().map(|file| file.to_string_lossy().replace('\\', "/"));
    let function = symbol.name().map(|name| format!("{name:#}")).filter(|name| !name.is_empty());
    // The folder above `src` names the crate, so the path is taken before the file is shortened.
    let function = match (function, &file) {
        (Some(function), Some(file)) => Some(qualified(&function, file)),
        (function, _) => function,
    };
    let file = file.map(|file| shortened(&file, folder));
    // Line 0 is how debug information says that an instruction comes from no line.
    Frame { function, file, line: symbol.lineno().filter(|line| *line > 0) }
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
        let frames = Symbols::new().resolve(&addresses);
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
        let frames = Symbols::new().resolve(&addresses);
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
        let frames = Symbols::new().resolve(&here());
        let file = frames[0].file.as_deref().expect("line tables");
        assert!(file.starts_with("backtrace-0.3.") && file.contains("/src/"), "{file}");
        assert_eq!(origin(&frames[0]), Origin::Runtime);
    }

    #[test]
    fn an_exact_address_is_in_the_function_that_begins_there() {
        let addresses = [Address::exact(here as fn() -> Vec<Address> as usize)];
        let frames = Symbols::new().resolve(&addresses);
        assert!(is_in(&frames[0], "*::here"), "{frames:?}");
    }

    #[test]
    fn an_address_outside_of_all_code_is_an_empty_frame() {
        let nothing = Frame { function: None, file: None, line: None };
        let addresses = [Address::returned_to(0), Address::exact(8), Address::exact(usize::MAX)];
        assert_eq!(Symbols::new().resolve(&addresses), vec![nothing; 3]);
    }

    #[test]
    fn the_memory_of_addresses_is_bounded_and_gives_the_same_again() {
        let mut symbols = Symbols::new();
        let known = here();
        let first = symbols.resolve(&known);
        assert_eq!(symbols.resolve(&known), first);
        assert_eq!(symbols.known.len(), known.iter().collect::<std::collections::HashSet<_>>().len());
        let many: Vec<_> = (1..2 * REMEMBERED).map(Address::returned_to).collect();
        symbols.resolve(&many);
        assert!(symbols.known.len() <= REMEMBERED);
        assert_eq!(symbols.resolve(&known), first);
    }
}
