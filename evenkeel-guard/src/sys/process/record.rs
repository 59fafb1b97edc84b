//! The functions with which a child may begin: a table that the compiler fills.
//!
//! Each use of `isolate` makes one record, a constant in the program's file. A child is told where a record lies, and
//! takes it for one only if it is: inside the program's file, with the magic number, the address of the seal and an
//! address of the program's code in their places. What the record calls is part of its type, so that no address of a
//! function travels, and none can be exchanged.

use std::marker::PhantomData;
use std::mem::transmute;
use std::os::unix::net::UnixStream;
use std::ptr::{from_ref, with_exposed_provenance};

use super::Serve;
use super::image::Image;

/// Random numbers. They are no secret: they tell a record from whatever else lies in the file.
const MAGIC: [u64; 2] = [0x9D1C_63E5_B47A_20F8, 0x47E0_A93B_5C16_8FD2];

/// Its address stands in every record, and behind [`MAGIC`] nowhere else: what a compiler makes of a comparison with
/// the magic number is no record.
static SEAL: u8 = 0x5E;

type Trampoline = fn(UnixStream);

/// A function of the program that is called in children, with all that has to be known of it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Record {
    magic: [u64; 2],
    seal: &'static u8,
    trampoline: Trampoline,
}

struct Call<F, A, T, S>(PhantomData<fn(F, A, T, S)>);

impl<F, A, T, S> Call<F, A, T, S>
where
    F: Fn(A) -> T + Copy + 'static,
    S: Serve<A, T>,
{
    const RECORD: Record = Record { magic: MAGIC, seal: &SEAL, trampoline: trampoline::<F, A, T, S> };
}

impl Record {
    /// The record of a function that is all in its type: an item, or a closure without captures.
    pub(crate) fn of<F, A, T, S>(_: F) -> &'static Self
    where
        F: Fn(A) -> T + Copy + 'static,
        S: Serve<A, T>,
    {
        assert!(size_of::<F>() == 0, "`isolate` takes no other");
        &const { Call::<F, A, T, S>::RECORD }
    }

    /// How far it lies from the start of the program; `None` if it is not in the program's own file.
    pub(super) fn distance(&'static self) -> Option<usize> {
        let distance = from_ref(self).expose_provenance().checked_sub(Image::of_program().start())?;
        let found = trampoline_at(distance)?;
        (found as usize == self.trampoline as usize).then_some(distance)
    }
}

fn trampoline<F, A, T, S>(socket: UnixStream)
where
    F: Fn(A) -> T + Copy + 'static,
    S: Serve<A, T>,
{
    // SAFETY: the type has no size, and the parent has one of its values, which may be copied.
    let function = unsafe { std::mem::transmute_copy::<(), F>(&()) };
    S::serve(socket, function);
}

/// What the record at a distance from the start of the program begins with; `None` if there is no record.
pub(super) fn trampoline_at(distance: usize) -> Option<Trampoline> {
    const WORDS: usize = size_of::<Record>() / size_of::<usize>();
    let image = Image::of_program();
    let address = image.start().checked_add(distance)?;
    if !address.is_multiple_of(align_of::<Record>()) || !image.has_bytes(address, size_of::<Record>()) {
        return None;
    }
    // SAFETY: the program's file is mapped there, aligned and readable, and no other thread writes to it.
    let words = unsafe { with_exposed_provenance::<[usize; WORDS]>(address).read() };
    let [first, second, seal, trampoline] = words;
    let is_record = [first as u64, second as u64] == MAGIC && seal == (&raw const SEAL).addr();
    if !is_record || !image.has_code(trampoline) {
        return None;
    }
    // SAFETY: only `Call` makes constants that hold both numbers and the seal, and a trampoline behind them.
    Some(unsafe { transmute::<*const (), Trampoline>(with_exposed_provenance(trampoline)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Serve<u8, u8> for Nothing {
        fn serve(_: UnixStream, _: impl Fn(u8) -> u8) {}
    }

    #[test]
    fn a_record_is_found_and_nothing_beside_it() {
        let record = Record::of::<_, _, _, Nothing>(|number: u8| number);
        let distance = record.distance().unwrap();
        assert_eq!(trampoline_at(distance).map(|found| found as usize), Some(record.trampoline as usize));
        for beside in (1..64).flat_map(|step| [distance.wrapping_sub(step), distance + step]) {
            assert!(trampoline_at(beside).is_none_or(|found| found as usize != record.trampoline as usize));
        }
    }

    #[test]
    fn no_other_place_of_the_program_is_a_record() {
        let own = Record::of::<_, _, _, Nothing>(|number: u8| number + 1);
        let is_known = |found: Trampoline| found as usize == own.trampoline as usize;
        let end = Image::of_program().end() - Image::of_program().start();
        let found: Vec<_> = (0..end + 64).step_by(8).filter_map(trampoline_at).collect();
        // Those of this module's tests; a constant may be there more than once.
        assert!(found.iter().copied().any(is_known) && found.len() <= 8, "{found:?}");
        assert!((0..end).step_by(8).all(|at| trampoline_at(at + 1).is_none()));
        assert!(trampoline_at(usize::MAX).is_none());
    }

    /// A copy of a record elsewhere in memory is none.
    #[test]
    fn a_record_outside_of_the_program_is_refused() {
        let record = Record::of::<_, _, _, Nothing>(|number: u8| number + 2);
        let copy: &'static Record = Box::leak(Box::new(Record { seal: &SEAL, ..*record }));
        assert!(copy.distance().is_none());
    }
}
