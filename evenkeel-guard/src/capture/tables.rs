//! The unwind tables of all modules, copied from where they are loaded.
//!
//! Taken from memory, not from files: a file may have been replaced since it was loaded, and the kernel's own
//! little library has none.

use std::ops::Range;
use std::sync::Arc;

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, MayAllocateDuringUnwind, Module as Unwindable, Unwinder,
    UnwinderNative,
};

use crate::sys::{Module, module_changes, modules, read_memory};

pub(super) type Native = UnwinderNative<Arc<[u8]>, MayAllocateDuringUnwind>;
pub(super) type Cache = CacheNative<MayAllocateDuringUnwind>;

/// A module larger than this is none that we know how to read.
const MOST_BYTES: u64 = 1 << 30;

pub(super) struct Tables {
    pub(super) unwinder: Native,
    modules: Vec<Known>,
    /// What [`module_changes`] said when the tables were read.
    changes: u64,
}

/// A module with its index of functions.
struct Known {
    code: Range<u64>,
    index: Arc<[u8]>,
    /// Where the index lies; what it holds counts from here.
    index_at: u64,
}

impl Tables {
    pub(super) fn new() -> Self {
        let changes = module_changes();
        let mut tables = Self { unwinder: Native::new(), modules: Vec::new(), changes };
        for module in modules() {
            tables.add(&module);
        }
        tables
    }

    /// Whether no module was loaded or unloaded since.
    pub(super) fn are_current(&self) -> bool {
        self.changes == module_changes()
    }

    fn add(&mut self, module: &Module) {
        let Some(Sections { index, table, table_at }) = read_sections(module) else { return };
        let Range { start, end } = module.code.clone();
        let at = |address: u64, length: usize| {
            let start = address.wrapping_sub(module.bias);
            Some(start..start.saturating_add(length as u64))
        };
        let sections = ExplicitModuleSectionInfo {
            base_svma: 0,
            eh_frame_svma: at(table_at, table.len()),
            eh_frame: Some(table),
            eh_frame_hdr_svma: at(module.index.start, index.len()),
            eh_frame_hdr: Some(Arc::clone(&index)),
            ..ExplicitModuleSectionInfo::default()
        };
        self.unwinder.add_module(Unwindable::new(String::new(), start..end, module.bias, sections));
        self.modules.push(Known { code: start..end, index, index_at: module.index.start });
    }

    fn module(&self, address: u64) -> Option<&Known> {
        self.modules.iter().find(|module| module.code.contains(&address))
    }

    pub(super) fn is_code(&self, address: u64) -> bool {
        self.module(address).is_some()
    }

    /// Where the function lies that holds an address, with what follows it up to the next one.
    pub(super) fn function(&self, address: u64) -> Option<Range<u64>> {
        let module = self.module(address)?;
        // Pairs of 32 bits, sorted: a function's distance from the index, and that of its table entry.
        let (pairs, _) = module.index.get(HEADER_BYTES..)?.as_chunks::<8>();
        let start = |pair: &[u8; 8]| {
            let [a, b, c, d, ..] = *pair;
            module.index_at.wrapping_add_signed(i32::from_le_bytes([a, b, c, d]).into())
        };
        let after = pairs.partition_point(|pair| start(pair) <= address);
        let end = pairs.get(after).map_or(module.code.end, start);
        Some(start(pairs.get(after.checked_sub(1)?)?)..end)
    }
}

/// The bytes of an index before its pairs.
const HEADER_BYTES: usize = 12;

struct Sections {
    index: Arc<[u8]>,
    table: Arc<[u8]>,
    table_at: u64,
}

/// Source: the Linux Standard Base, "Exception Frames": version 1; then how three values are written, which
/// every linker of today does in one way: the table's place relative to where it is written, the number of
/// functions, and pairs relative to the index.
fn read_sections(module: &Module) -> Option<Sections> {
    const KNOWN: [u8; 4] = [1, 0x1B, 0x03, 0x3B];
    let index = read(module.index.clone())?;
    let (header, rest) = index.split_first_chunk::<4>()?;
    if *header != KNOWN {
        return None;
    }
    let distance = i32::from_le_bytes(*rest.first_chunk::<4>()?);
    let table_at = (module.index.start + 4).wrapping_add_signed(distance.into());
    // No header says where the table ends; its last entry does, and the segment does for certain.
    let segment = module.segments.iter().find(|segment| segment.contains(&table_at))?;
    let mut table = read(table_at..segment.end)?;
    table.truncate(end_of_table(&table));
    Some(Sections { index: index.into(), table: table.into(), table_at })
}

fn read(range: Range<u64>) -> Option<Vec<u8>> {
    let length = range.end.checked_sub(range.start).filter(|&length| length <= MOST_BYTES)?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    let length = read_memory(range.start, &mut bytes);
    bytes.truncate(length);
    Some(bytes)
}

/// Each entry begins with its length; the one after the last is of length zero.
fn end_of_table(table: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = table.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        match u32::from_le_bytes(*length) {
            0 => return at + 4,
            // A length of 64 bits follows; nobody writes one here.
            u32::MAX => break,
            length => at = at.saturating_add(length as usize + 4),
        }
    }
    table.len()
}
