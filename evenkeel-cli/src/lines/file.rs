//! A file with debug information: a program, what `objcopy --only-keep-debug` made of one, or a package beside it.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use addr2line::gimli::{self, DwarfPackage, EndianSlice, RunTimeEndian};
use addr2line::{Context, LookupContinuation, LookupResult};
use evenkeel::Error;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, SymbolKind};

type Bytes = EndianSlice<'static, RunTimeEndian>;

/// What a file says of its own addresses.
pub(super) struct DebugFile {
    context: Context<Bytes>,
    package: Option<DwarfPackage<Bytes>>,
    /// Where there is code. What a linker left out has addresses that lie elsewhere.
    code: Vec<Range<u64>>,
    /// Functions by address, with their lengths and full names.
    symbols: Vec<(u64, u64, String)>,
}

/// A function at an address, or one that it was compiled into.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) function: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
}

impl DebugFile {
    /// Reads a file and what belongs to it: a package `FILE.dwp`, and the debug file that a stripped program names.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        // A package alone has no addresses: they are in the program beside it.
        let (path, package) = match path.extension() {
            Some(end) if end == "dwp" => (path.with_extension(""), Some(path.to_owned())),
            _ => (path.to_owned(), package_beside(path)),
        };
        let (path, data) = with_debug_information(path)?;
        let file = parse(&path, data)?;
        let symbols = symbols(&file);
        let dwarf =
            gimli::Dwarf::load(|id| section(&file, id.name())).map_err(|error| broken(&path, &error))?;
        if !has_debug_information(&file) && symbols.is_empty() {
            return Err(Error::config(format!("{} has no debug information and no symbols", path.display()))
                .with_hint("name the program as it was before `strip`, or what `objcopy --only-keep-debug` made of it"));
        }
        let context = Context::from_dwarf(dwarf).map_err(|error| broken(&path, &error))?;
        let package = package.map(|path| read_package(&path)).transpose()?;
        Ok(Self { context, package, code: code(&file), symbols })
    }

    /// What is at an address, innermost function first; nothing where the file has no code there.
    pub(super) fn steps(&self, address: u64) -> Result<Vec<Step>, Error> {
        if !self.code.iter().any(|code| code.contains(&address)) {
            return Ok(Vec::new());
        }
        let unreadable = |error: gimli::Error| Error::config(format!("the lines of {address:#x}: {error}"));
        let mut lookup = self.context.find_frames(address);
        let mut frames = loop {
            match lookup {
                LookupResult::Output(frames) => break frames.map_err(unreadable)?,
                LookupResult::Load { load, continuation } => {
                    let package = self.package.as_ref();
                    let unit = package.map(|package| package.find_cu(load.dwo_id, &load.parent)).transpose();
                    lookup = continuation.resume(unit.map_err(unreadable)?.flatten().map(Arc::new));
                }
            }
        };
        let mut steps = Vec::new();
        while let Some(frame) = frames.next().map_err(unreadable)? {
            let function = frame.function.and_then(|name| name.demangle().ok().map(|name| name.into_owned()));
            let location = frame.location;
            let file = location.as_ref().and_then(|location| location.file).map(str::to_owned);
            steps.push(Step { function, file, line: location.and_then(|location| location.line) });
        }
        self.name_outermost(address, &mut steps);
        Ok(steps)
    }

    /// Line tables have short names; the table of symbols has the whole one of a function with code of its own.
    fn name_outermost(&self, address: u64, steps: &mut Vec<Step>) {
        let after = self.symbols.partition_point(|(start, ..)| *start <= address);
        let symbol = after.checked_sub(1).and_then(|at| self.symbols.get(at));
        let Some((start, length, name)) = symbol else { return };
        if address - start >= *length {
            return;
        }
        match steps.last_mut() {
            Some(step) => step.function = Some(name.clone()),
            None => steps.push(Step { function: Some(name.clone()), file: None, line: None }),
        }
    }

    /// For tests: where a function begins, and how long it is.
    #[cfg(test)]
    pub(super) fn function(&self, part: &str) -> Option<(u64, u64)> {
        self.symbols
            .iter()
            .find(|(_, _, name)| name.contains(part))
            .map(|(start, length, _)| (*start, *length))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.as_deref().unwrap_or("?"))?;
        match (&self.file, self.line.filter(|line| *line > 0)) {
            (Some(file), Some(line)) => write!(f, " ({file}:{line})"),
            (Some(file), None) => write!(f, " ({file})"),
            (None, _) => Ok(()),
        }
    }
}

/// `shop.dwp` beside `shop`.
fn package_beside(path: &Path) -> Option<PathBuf> {
    let mut added = path.as_os_str().to_owned();
    added.push(".dwp");
    [PathBuf::from(added), path.with_extension("dwp")].into_iter().find(|path| path.is_file())
}

/// The file, or the one that it names where it was stripped.
fn with_debug_information(path: PathBuf) -> Result<(PathBuf, &'static [u8]), Error> {
    let data = read(&path)?;
    let linked = {
        let file = parse(&path, data)?;
        let link = file.gnu_debuglink().ok().flatten().filter(|_| !has_debug_information(&file));
        let name = link.map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        let folder = path.parent().unwrap_or(Path::new(""));
        name.and_then(|name| {
            [folder.join(&name), folder.join(".debug").join(&name)].into_iter().find(|file| file.is_file())
        })
    };
    match linked {
        Some(linked) => read(&linked).map(|data| (linked, data)),
        None => Ok((path, data)),
    }
}

/// The whole file. It is kept until the command ends, which is soon: what is looked up lies in it.
fn read(path: &Path) -> Result<&'static [u8], Error> {
    fs::read(path)
        .map(|data| &*data.leak())
        .map_err(|error| Error::from(error).context(format!("reading {}", path.display())))
}

fn parse(path: &Path, data: &'static [u8]) -> Result<object::File<'static>, Error> {
    object::File::parse(data).map_err(|error| {
        Error::config(format!("{} is no program and no debug file: {error}", path.display()))
            .with_hint("name the program that reported, or the debug file of the same build")
    })
}

fn has_debug_information(file: &object::File<'static>) -> bool {
    file.section_by_name(".debug_info").is_some()
}

fn read_package(path: &Path) -> Result<DwarfPackage<Bytes>, Error> {
    let data = read(path)?;
    let file = parse(path, data)?;
    let endian = endian(&file);
    let load = |id: gimli::SectionId| match id.dwo_name() {
        Some(name) => section(&file, name),
        None => Ok(EndianSlice::new(&[], endian)),
    };
    DwarfPackage::load(load, EndianSlice::new(&[], endian)).map_err(|error| broken(path, &error))
}

fn section(file: &object::File<'static>, name: &str) -> Result<Bytes, gimli::Error> {
    let data = file.section_by_name(name).map(|section| section.uncompressed_data());
    // What a linker compressed that was told to is as good as not there.
    let data = match data {
        Some(Ok(Cow::Borrowed(data))) => data,
        Some(Ok(Cow::Owned(data))) => data.leak(),
        Some(Err(_)) | None => &[],
    };
    Ok(EndianSlice::new(data, endian(file)))
}

fn endian(file: &object::File<'static>) -> RunTimeEndian {
    if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big }
}

/// A debug file has the sections of its program, too, with nothing in them.
fn code(file: &object::File<'static>) -> Vec<Range<u64>> {
    let sections = file.sections().filter(|section| match section.flags() {
        SectionFlags::Elf { sh_flags } => sh_flags & u64::from(object::elf::SHF_EXECINSTR) != 0,
        _ => section.kind() == SectionKind::Text,
    });
    sections.map(|section| section.address()..section.address().saturating_add(section.size())).collect()
}

fn symbols(file: &object::File<'static>) -> Vec<(u64, u64, String)> {
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
    let named = functions.filter_map(|symbol| {
        let name = addr2line::demangle_auto(symbol.name().ok()?.into(), None).into_owned();
        Some((symbol.address(), symbol.size(), name))
    });
    let mut symbols: Vec<_> = named.collect();
    symbols.sort();
    symbols
}

fn broken(path: &Path, error: &gimli::Error) -> Error {
    Error::config(format!("the debug information of {}: {error}", path.display()))
}
