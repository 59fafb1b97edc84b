//! The calling thread's own stack, taken without allocating and without a lock: an allocator may be among its callers.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Addresses that are kept of one stack.
pub(crate) const MOST: usize = 512;
/// This many of a longer one are the innermost; the rest are the outermost, where its author is.
const INNER: usize = 128;
/// This many are looked at before a deep stack may be taken for one that was seen in the same poll.
const INNER_END: usize = 32;
/// Places of the table that finds an address again.
const PLACES: usize = 1024;

/// Where the caller of a wrapper begins: frames further in are the guard's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// An address on the stack, in the guard's outermost frame but for the wrapper itself.
    pub(crate) stack: usize,
    /// Where the wrapper's code begins.
    pub(crate) wrapper: usize,
}

/// A stack, innermost address first. An address that comes again further out is left out, so that one recursion is one
/// stack, however deep.
pub(crate) struct Stack {
    addresses: [usize; MOST],
    length: usize,
    /// Addresses that found no room, and took the place of others.
    beyond: usize,
    /// Where in `addresses` an address may be, and one more; zero where none is.
    places: [u16; PLACES],
}

impl Stack {
    pub(crate) const fn new() -> Self {
        Self { addresses: [0; MOST], length: 0, beyond: 0, places: [0; PLACES] }
    }

    /// The stack of the caller of the wrapper that made the mark. Ends early if `is_known` says so of a number for its inner end,
    /// and answers that number and how many addresses were looked at.
    pub(crate) fn take(&mut self, mark: Mark, is_known: impl Fn(u64) -> bool) -> (u64, usize) {
        let (mut is_inside, mut count, mut inner_end) = (true, 0, 0);
        let note = |frame: &backtrace::Frame| {
            if is_inside && (frame.sp().addr() <= mark.stack || frame.symbol_address().addr() == mark.wrapper)
            {
                return true;
            }
            is_inside = false;
            // The unwinder may end with a frame that has no address.
            let address = frame.ip().addr();
            if address != 0 {
                self.push(address);
            }
            count += 1;
            if count == INNER_END {
                inner_end = self.inner_end();
                return address != 0 && !is_known(inner_end);
            }
            address != 0
        };
        // SAFETY: the unwinder itself may run on several threads at once; the lock that is left out guards
        // symbolisation, which this does not do.
        #[cfg(target_os = "linux")]
        unsafe {
            backtrace::trace_unsynchronized(note);
        }
        #[cfg(not(target_os = "linux"))]
        backtrace::trace(note);
        if self.beyond > 0 {
            self.addresses[INNER..].rotate_left(self.beyond % (MOST - INNER));
        }
        (inner_end, count)
    }

    /// A number for what was taken so far; none is zero.
    fn inner_end(&self) -> u64 {
        self.addresses().iter().fold(0, |before, address| mixed(before, *address)) as u64 | 1
    }

    fn push(&mut self, address: usize) {
        let mut place = mixed(0, address) % PLACES;
        for _ in 0..8 {
            let Some(at) = usize::from(self.places[place]).checked_sub(1) else { break };
            if self.addresses[at] == address {
                return;
            }
            place = (place + 1) % PLACES;
        }
        let at = if self.length < MOST { self.length } else { INNER + self.beyond % (MOST - INNER) };
        self.beyond += usize::from(self.length == MOST);
        self.length = (self.length + 1).min(MOST);
        self.addresses[at] = address;
        self.places[place] = at as u16 + 1;
    }

    pub(crate) fn addresses(&self) -> &[usize] {
        &self.addresses[..self.length]
    }

    /// A stack that was taken otherwise, in the same form.
    pub(crate) fn of(addresses: impl IntoIterator<Item = usize>) -> Self {
        let mut stack = Self::new();
        addresses.into_iter().for_each(|address| stack.push(address));
        if stack.beyond > 0 {
            stack.addresses[INNER..].rotate_left(stack.beyond % (MOST - INNER));
        }
        stack
    }
}

/// A number for a sequence of numbers; the same for the same one.
pub(crate) fn mixed(before: usize, next: usize) -> usize {
    let mixed = (before.rotate_left(5) ^ next).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
    mixed ^ (mixed >> (usize::BITS / 2))
}

/// Addresses that one thread writes and others read. Takes memory only once it is written to.
pub(crate) fn unwritten(count: usize) -> Box<[AtomicUsize]> {
    if count == 0 {
        return Box::default();
    }
    let layout = std::alloc::Layout::array::<AtomicUsize>(count).expect("a few thousand addresses");
    // SAFETY: the layout is of a size that is not zero.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    if memory.is_null() {
        std::alloc::handle_alloc_error(layout);
    }
    let slice = std::ptr::slice_from_raw_parts_mut(memory.cast::<AtomicUsize>(), count);
    // SAFETY: the memory is this slice's alone, of its layout, and all zeros are atomics of value zero.
    unsafe { Box::from_raw(slice) }
}

/// Writes a stack where others read it; answers its length.
pub(crate) fn write(stack: &[usize], into: &[AtomicUsize]) -> usize {
    for (to, address) in into.iter().zip(stack) {
        to.store(*address, Ordering::Relaxed);
    }
    stack.len().min(into.len())
}

/// Reads it.
pub(crate) fn read(from: &[AtomicUsize], length: usize) -> Vec<usize> {
    from.iter().take(length).map(|address| address.load(Ordering::Relaxed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recursion_is_one_stack_at_any_depth() {
        let deep = |depth: usize| {
            let recursion = std::iter::repeat_n([7, 8, 9], depth).flatten();
            Stack::of([1, 2].into_iter().chain(recursion).chain([20, 21])).addresses().to_vec()
        };
        assert_eq!(deep(1), [1, 2, 7, 8, 9, 20, 21]);
        assert!([2, 50, 10_000].iter().all(|depth| deep(*depth) == deep(1)));
    }

    #[inline(never)]
    fn deep(depth: usize, stack: &mut Stack, is_known: &dyn Fn(u64) -> bool) -> (u64, usize) {
        if depth == 0 {
            return stack.take(Mark::default(), is_known);
        }
        let taken = deep(depth - 1, stack, is_known);
        std::hint::black_box(taken)
    }

    #[test]
    fn a_deep_stack_is_left_where_its_inner_end_is_known() {
        let mut whole = Stack::new();
        let (inner_end, depth) = deep(1000, &mut whole, &|_| false);
        assert!(depth > 1000 && whole.addresses().len() < 200, "{depth}");
        let (again, looked_at) = deep(500, &mut Stack::new(), &|known| known == inner_end);
        assert_eq!((again, looked_at), (inner_end, INNER_END), "at any depth of the recursion");
    }

    #[test]
    fn of_a_long_stack_both_ends_are_kept() {
        let stack = Stack::of(1..=5000);
        let addresses = stack.addresses();
        assert_eq!(addresses.len(), MOST);
        assert!(addresses[..INNER].iter().copied().eq(1..=INNER));
        assert!(addresses[INNER..].iter().copied().eq(5001 - (MOST - INNER)..=5000));
    }

    #[test]
    fn addresses_that_fall_on_one_place_are_told_apart() {
        let many: Vec<usize> = (0..400).map(|n| 0x5555_0000_0000 + n * 16).collect();
        assert_eq!(Stack::of(many.iter().copied()).addresses(), many);
    }

    #[test]
    fn what_is_written_is_read() {
        let memory = unwritten(4);
        assert_eq!(read(&memory, 4), [0; 4]);
        let length = write(&[3, 2, 1], &memory);
        assert_eq!(read(&memory, length), [3, 2, 1]);
        assert!(unwritten(0).is_empty());
    }
}
