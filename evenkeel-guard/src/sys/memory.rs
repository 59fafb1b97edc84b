//! This process's own memory, copied by the kernel, and the modules that are loaded in it.

use std::ffi::{CStr, c_void};
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// Never closed, because a signal handler may read it at any time.
fn memory() -> Option<&'static File> {
    static MEMORY: OnceLock<Option<File>> = OnceLock::new();
    MEMORY.get_or_init(|| File::open("/proc/self/mem").ok()).as_ref()
}

/// The file behind [`read_memory`].
pub(super) fn memory_descriptor() -> Option<RawFd> {
    memory().map(File::as_raw_fd)
}

/// Copies memory from an address on, and says how many bytes there were. The kernel does the copying, so that
/// an address where nothing is mapped ends the copy, and harms nobody.
pub(crate) fn read_memory(at: u64, into: &mut [u8]) -> usize {
    let Some(memory) = memory() else { return 0 };
    let mut length = 0;
    while length < into.len() {
        match memory.read_at(&mut into[length..], at.saturating_add(length as u64)) {
            Ok(0) | Err(_) => break,
            Ok(more) => length += more,
        }
    }
    length
}

/// A program or library that is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// What was added to the file's addresses.
    pub(crate) bias: u64,
    /// From the first to the last executable byte.
    pub(crate) code: Range<u64>,
    /// The index of the unwind table: the program header `PT_GNU_EH_FRAME`.
    pub(crate) index: Range<u64>,
    /// Where the segments end, in no order.
    pub(crate) segments: Vec<Range<u64>>,
    /// The file, as the loader has it; empty for the program itself.
    pub(crate) name: String,
    /// Where its notes lie: the program headers `PT_NOTE`.
    pub(crate) notes: Vec<Range<u64>>,
}

impl Module {
    /// What the linker named this build by, as the tools for debug information write it.
    pub(crate) fn build_id(&self) -> Option<String> {
        self.notes.iter().find_map(|range| {
            let length = usize::try_from(range.end.saturating_sub(range.start)).ok()?.min(4096);
            let mut notes = vec![0; length];
            let read = read_memory(range.start, &mut notes);
            let id = build_id(notes.get(..read)?)?;
            Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
        })
    }
}

/// The bytes of the note that the linker leaves, among other notes.
///
/// *Shape*: length of the name, length of what follows, kind, each four bytes; both are padded to four bytes.
fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const BUILD_ID: usize = 3;
    loop {
        let (header, rest) = notes.split_at_checked(12)?;
        let number =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let [name, content, kind] = [0, 4, 8].map(|at| usize::try_from(number(at)).unwrap_or(usize::MAX));
        let (owner, rest) = rest.split_at_checked(name.checked_next_multiple_of(4)?)?;
        if kind == BUILD_ID && owner == b"GNU\0" {
            return rest.get(..content);
        }
        notes = rest.get(content.checked_next_multiple_of(4)?..)?;
    }
}

/// Counts how often a module was loaded or unloaded.
pub(crate) fn module_changes() -> u64 {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        changes: *mut c_void,
    ) -> libc::c_int {
        // SAFETY: the loader passes a valid description, and the pointer given to it below.
        let (info, changes) = unsafe { (&*info, &mut *changes.cast::<u64>()) };
        *changes = info.dlpi_adds.wrapping_add(info.dlpi_subs);
        1
    }
    let mut changes = 0_u64;
    // SAFETY: the callback takes the pointer for what it is, and does not keep it.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut changes).cast()) };
    changes
}

/// Lists the modules that have code and an unwind table.
pub(crate) fn modules() -> Vec<Module> {
    unsafe extern "C" fn add(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        modules: *mut c_void,
    ) -> libc::c_int {
        // SAFETY: the loader passes a valid description, and the pointer given to it below.
        let (info, modules) = unsafe { (&*info, &mut *modules.cast::<Vec<Module>>()) };
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        // SAFETY: the loader's description says where the program headers are, and how many.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        // SAFETY: the loader's names end in a zero, and there is none for some modules.
        let name = unsafe { (!info.dlpi_name.is_null()).then(|| CStr::from_ptr(info.dlpi_name)) };
        let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        modules.extend(describe(info.dlpi_addr, headers, name));
        0
    }
    let mut modules = Vec::<Module>::new();
    // SAFETY: the callback takes the pointer for what it is, and does not keep it.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut modules).cast()) };
    modules
}

fn describe(bias: u64, headers: &[libc::Elf64_Phdr], name: String) -> Option<Module> {
    let range = |header: &libc::Elf64_Phdr| {
        let start = bias.wrapping_add(header.p_vaddr);
        start..start.saturating_add(header.p_memsz)
    };
    let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let code = loaded().filter(|header| header.p_flags & libc::PF_X != 0).map(range);
    let code = code.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end))?;
    let index = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME).map(range)?;
    let notes = headers.iter().filter(|header| header.p_type == libc::PT_NOTE).map(range).collect();
    Some(Module { bias, code, index, segments: loaded().map(range).collect(), name, notes })
}
