//! This process's own memory, copied by the kernel, and the modules that are loaded in it.

use std::ffi::{CStr, c_void};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::raw;

/// A copy ends between two of these. Real pages may be larger, never smaller.
const PAGE: usize = 4096;
/// No address of a program is higher, so that sums of addresses and lengths do not overflow.
const HIGHEST: usize = usize::MAX / 2;
const NOTHING: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

/// What a filter of system calls answers, and a kernel that was built without this one.
const REFUSALS: [isize; 3] = [-(libc::EPERM as isize), -(libc::EACCES as isize), -(libc::ENOSYS as isize)];

/// Whether the kernel has refused to copy memory.
static IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// Room for the description of a copy. It may be static, where a signal handler has little stack.
pub(super) struct Pages<const N: usize>([libc::iovec; N]);

impl<const N: usize> Pages<N> {
    /// So much can be copied at once, wherever in its first page it begins.
    pub(super) const MOST_BYTES: usize = (N - 1) * PAGE;

    pub(super) const fn new() -> Self {
        Self([NOTHING; N])
    }

    /// Copies memory of this process, up to the first page that is not mapped or not readable, and says how many
    /// bytes there were. Calls nothing but the kernel, so that a signal handler may use it.
    ///
    /// No file stands for the memory: one would go to every process forked from this one, whatever rights that gives
    /// up. The kernel lets every thread read its own memory by its own number, of which a fork makes another one.
    ///
    /// # Safety
    /// `into` is valid for writes of `length` bytes, which nobody else uses meanwhile.
    pub(super) unsafe fn copy(&mut self, at: usize, into: *mut u8, length: usize) -> usize {
        if at >= HIGHEST {
            return 0;
        }
        let length = length.min(Self::MOST_BYTES);
        let count = self.divide(at, length);
        let whole = libc::iovec { iov_base: into.cast(), iov_len: length };
        let (from, to) = (self.0.as_ptr() as usize, &raw const whole as usize);
        let arguments = [raw::current_thread(), to, 1, from, count, 0];
        // SAFETY: the vectors live until the call is over, and the caller vouches for where the bytes go.
        let copied = unsafe { raw::system_call(libc::SYS_process_vm_readv, arguments) };
        if REFUSALS.contains(&copied) {
            IS_REFUSED.store(true, Ordering::Relaxed);
        }
        usize::try_from(copied).unwrap_or(0)
    }

    /// Describes memory page by page: the kernel promises to copy each part whole or not at all.
    fn divide(&mut self, at: usize, length: usize) -> usize {
        let (mut at, end, mut count) = (at, at + length, 0);
        for part in &mut self.0 {
            if at == end {
                break;
            }
            let next = end.min((at / PAGE + 1) * PAGE);
            *part = libc::iovec { iov_base: std::ptr::without_provenance_mut(at), iov_len: next - at };
            (at, count) = (next, count + 1);
        }
        count
    }
}

/// Copies memory from an address on, and says how many bytes there were. The kernel does the copying, so that
/// an address where nothing is mapped ends the copy, and harms nobody.
pub(crate) fn read_memory(at: u64, into: &mut [u8]) -> usize {
    let Ok(at) = usize::try_from(at) else { return 0 };
    let mut length = 0;
    while length < into.len() {
        let (at, rest) = (at.saturating_add(length), &mut into[length..]);
        // Most reads are of a few bytes, which need few words to be described.
        let more = if rest.len() <= PAGE { read::<2>(at, rest) } else { read::<65>(at, rest) };
        if more == 0 {
            break;
        }
        length += more;
    }
    length
}

fn read<const N: usize>(at: usize, into: &mut [u8]) -> usize {
    // SAFETY: the slice is borrowed for as long as the copy takes.
    unsafe { Pages::<N>::new().copy(at, into.as_mut_ptr(), into.len()) }
}

/// Whether the kernel has refused a copy so far.
pub(crate) fn is_refused() -> bool {
    IS_REFUSED.load(Ordering::Relaxed)
}

/// Makes a copy, and says whether that works.
pub(crate) fn can_read_memory() -> bool {
    let (here, mut copy) = ([7_u8], [0]);
    read_memory(here.as_ptr() as u64, &mut copy) == 1 && copy == here
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
