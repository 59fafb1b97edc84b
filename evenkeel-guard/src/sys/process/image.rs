//! The program as it lies in memory.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr::with_exposed_provenance;
use std::slice;

use super::{Constructor, OnceLock};

/// The program's own file, without the libraries that are loaded at its start.
#[derive(Debug, Default)]
pub(super) struct Image {
    start: usize,
    /// Where its code is, in addresses.
    code: Vec<Range<usize>>,
    /// Where its file is, as far as it is in memory.
    bytes: Vec<Range<usize>>,
    /// Where the table of its constructors is, in addresses; empty in a program without a dynamic section.
    constructors: Range<usize>,
}

/// One entry of a dynamic section, `Elf64_Dyn` in `elf.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Dynamic {
    tag: u64,
    value: u64,
}

/// `DT_NULL`, which ends the section, `DT_INIT_ARRAY` and `DT_INIT_ARRAYSZ` of `elf.h`.
const END: u64 = 0;
const CONSTRUCTORS: u64 = 25;
const CONSTRUCTORS_SIZE: u64 = 27;

impl Image {
    pub(super) fn of_program() -> &'static Self {
        static IMAGE: OnceLock<Image> = OnceLock::new();
        IMAGE.get_or_init(Self::read)
    }

    fn read() -> Self {
        let mut image = Self::default();
        // SAFETY: `first` gets back the image it expects, and nobody else uses it meanwhile.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut image).cast()) };
        image
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Whether an address is one of the program's code.
    pub(super) fn has_code(&self, address: usize) -> bool {
        self.code.iter().any(|code| code.contains(&address))
    }

    /// Whether this many bytes of the program's file lie at an address.
    pub(super) fn has_bytes(&self, address: usize, length: usize) -> bool {
        let Some(end) = address.checked_add(length) else { return false };
        self.bytes.iter().any(|bytes| bytes.start <= address && end <= bytes.end)
    }

    /// How far code lies from the start; `None` if it is not the program's.
    pub(super) fn distance(&self, address: usize) -> Option<usize> {
        self.has_code(address).then(|| address - self.start)
    }

    /// The constructors that the loader would call next.
    pub(super) fn constructors_after(&self, this: Constructor) -> &'static [Constructor] {
        let count = self.constructors.len() / size_of::<Constructor>();
        if count == 0 {
            return &[];
        }
        let table = with_exposed_provenance::<usize>(self.constructors.start);
        // SAFETY: the table is mapped for as long as the program runs, and nobody writes to it.
        let addresses = unsafe { slice::from_raw_parts(table, count) };
        let Some(at) = addresses.iter().position(|address| *address == this as usize) else { return &[] };
        // Linkers may leave 0 or -1 as gaps. Rather none than a jump to one of those.
        let rest = &addresses[at + 1..];
        if !rest.iter().all(|address| self.has_code(*address)) {
            return &[];
        }
        // SAFETY: all are addresses of code, and the loader calls each with these arguments.
        unsafe { slice::from_raw_parts(rest.as_ptr().cast(), rest.len()) }
    }

    fn note(&mut self, program: &libc::dl_phdr_info) {
        self.start = program.dlpi_addr as usize;
        // SAFETY: the loader gives as many headers as it says.
        let headers = unsafe { slice::from_raw_parts(program.dlpi_phdr, usize::from(program.dlpi_phnum)) };
        for header in headers {
            let from = self.start + header.p_vaddr as usize;
            if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_R != 0 {
                self.bytes.push(from..from + header.p_filesz as usize);
            }
            match header.p_type {
                libc::PT_LOAD if header.p_flags & libc::PF_X != 0 => {
                    self.code.push(from..from + header.p_memsz as usize);
                }
                libc::PT_DYNAMIC => self.constructors = self.constructors(with_exposed_provenance(from)),
                _ => {}
            }
        }
    }

    fn constructors(&self, mut section: *const Dynamic) -> Range<usize> {
        let (mut from, mut size) = (0, 0);
        loop {
            // SAFETY: the section goes on up to its `END`.
            let entry = unsafe { section.read() };
            match entry.tag {
                END => return from..from + size,
                CONSTRUCTORS => from = self.start + entry.value as usize,
                CONSTRUCTORS_SIZE => size = entry.value as usize,
                _ => {}
            }
            // SAFETY: behind an entry that is not the `END`, there is another.
            section = unsafe { section.add(1) };
        }
    }
}

/// Notes the first object and stops: it is the program, says `dl_iterate_phdr(3)`.
extern "C" fn first(program: *mut libc::dl_phdr_info, _: usize, image: *mut c_void) -> c_int {
    // SAFETY: `Image::read` passes its image.
    let image = unsafe { &mut *image.cast::<Image>() };
    // SAFETY: the loader passes an object that lives until this returns.
    image.note(unsafe { &*program });
    1
}

#[cfg(test)]
impl Image {
    pub(super) fn end(&self) -> usize {
        self.bytes.iter().map(|bytes| bytes.end).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CONSTRUCTOR, before_main};
    use super::*;

    #[test]
    fn code_of_the_program_is_told_from_that_of_a_library() {
        let image = Image::of_program();
        let own = code_of_the_program_is_told_from_that_of_a_library as *const () as usize;
        assert_eq!(image.distance(own), Some(own - image.start()));
        assert_eq!(image.distance(libc::getpid as *const () as usize), None);
        assert_eq!(image.distance((&raw const own) as usize), None);
    }

    #[test]
    fn bytes_of_the_program_are_told_from_others() {
        let image = Image::of_program();
        let constant = (&raw const CONSTRUCTOR).addr();
        assert!(image.has_bytes(constant, 8) && image.has_bytes(image.start(), 4));
        let (local, boxed) = (0_u64, Box::new(0_u64));
        assert!(!image.has_bytes((&raw const local).addr(), 8));
        assert!(!image.has_bytes((&raw const *boxed).addr(), 8));
        assert!(!image.has_bytes(usize::MAX, 8) && !image.has_bytes(constant, usize::MAX));
    }

    #[test]
    fn the_own_constructor_is_in_the_table() {
        let image = Image::of_program();
        let table = image.constructors.clone();
        assert!(table.contains(&((&raw const CONSTRUCTOR) as usize)), "{image:?}");
        let after = image.constructors_after(before_main).len();
        assert!(after < table.len() / size_of::<Constructor>());
    }
}
