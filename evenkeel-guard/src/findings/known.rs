//! Stacks that were seen before, and what was found of them.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::report::Class;
use crate::slot::Role;
use crate::sys::stack::{Stack, mixed};

/// Stacks that are known at a time; a power of two.
const ENTRIES: usize = 4096;
/// Places in which one may be.
const TRIES: usize = 16;

/// Nobody has looked into it yet.
const PENDING: u8 = 0;
/// It is right where it is.
const ALLOWED: u8 = 1;
/// It was to be looked into, and is not.
const FORGOTTEN: u8 = 2;
/// A class, by its number.
const JUDGED: u8 = 16;

/// What is known of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    New,
    Pending,
    Allowed,
    Judged(Class),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// The caller is the first.
    New,
    Known,
}

/// A table without lock. What finds no place in it is new each time.
pub(crate) struct Known {
    entries: Box<[Entry]>,
    count: AtomicUsize,
}

#[derive(Default)]
struct Entry {
    key: AtomicU64,
    state: AtomicU8,
}

/// What a stack is remembered by, together with the call at its inner end. Never zero.
pub(crate) fn key(symbol: &str, class: Class, role: Role, stack: &Stack) -> u64 {
    let symbol = symbol.bytes().fold(0, |mixed_so_far, byte| mixed(mixed_so_far, byte.into()));
    // On threads of a runtime it matters what else lies on the stack.
    let start = mixed(symbol, usize::from(class.number()) << 1 | usize::from(role == Role::Guest));
    stack.addresses().iter().fold(start, |before, address| mixed(before, *address)) as u64 | 1
}

impl Known {
    pub(super) fn new() -> Self {
        Self { entries: (0..ENTRIES).map(|_| Entry::default()).collect(), count: AtomicUsize::new(0) }
    }

    fn places(&self, key: u64) -> impl Iterator<Item = &Entry> {
        let start = (key >> 1) as usize;
        (start..start + TRIES).map(|at| &self.entries[at % ENTRIES])
    }

    fn find(&self, key: u64) -> Option<&Entry> {
        let mut places = self.places(key).take_while(|entry| entry.key.load(Ordering::Acquire) != 0);
        places.find(|entry| entry.key.load(Ordering::Relaxed) == key)
    }

    pub(crate) fn look(&self, key: u64) -> Sight {
        match self.find(key).map(|entry| entry.state.load(Ordering::Acquire)) {
            None | Some(FORGOTTEN) => Sight::New,
            Some(PENDING) => Sight::Pending,
            Some(ALLOWED) => Sight::Allowed,
            Some(class) => Sight::Judged(Class::of(class - JUDGED)),
        }
    }

    pub(super) fn claim(&self, key: u64) -> Claim {
        for entry in self.places(key) {
            match entry.key.compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.count.fetch_add(1, Ordering::Relaxed);
                    return Claim::New;
                }
                Err(found) if found == key => {
                    let again =
                        entry.state.compare_exchange(FORGOTTEN, PENDING, Ordering::AcqRel, Ordering::Relaxed);
                    return if again.is_ok() { Claim::New } else { Claim::Known };
                }
                Err(_) => {}
            }
        }
        Claim::New
    }

    pub(super) fn forget(&self, key: u64) {
        if let Some(entry) = self.find(key) {
            let _only_if_pending =
                entry.state.compare_exchange(PENDING, FORGOTTEN, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// What was found of a stack.
    pub(crate) fn judge(&self, key: u64, sight: Sight) {
        let state = match sight {
            Sight::New => FORGOTTEN,
            Sight::Pending => PENDING,
            Sight::Allowed => ALLOWED,
            Sight::Judged(class) => JUDGED + class.number(),
        };
        if let Some(entry) = self.find(key) {
            entry.state.store(state, Ordering::Release);
        }
    }

    /// Whether new stacks soon find no place any more.
    pub(crate) fn is_crowded(&self) -> bool {
        self.count.load(Ordering::Relaxed) > ENTRIES / 2
    }

    /// Forgets all. Only the reader does so.
    pub(crate) fn clear(&self) {
        for entry in &self.entries {
            // A state without its key is nobody's; a key that comes in between begins as pending.
            entry.state.store(PENDING, Ordering::Relaxed);
            entry.key.store(0, Ordering::Release);
        }
        self.count.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_see_a_stack_is_told_so_and_no_other() {
        let known = Known::new();
        assert_eq!((known.look(7), known.claim(7)), (Sight::New, Claim::New));
        assert_eq!((known.look(7), known.claim(7)), (Sight::Pending, Claim::Known));
        known.judge(7, Sight::Judged(Class::Join));
        assert_eq!(known.look(7), Sight::Judged(Class::Join));
        known.judge(7, Sight::Allowed);
        assert_eq!(known.look(7), Sight::Allowed);
        known.forget(7);
        assert_eq!(known.look(7), Sight::Allowed, "what is judged is not forgotten");
    }

    #[test]
    fn what_was_forgotten_is_new_again() {
        let known = Known::new();
        known.claim(7);
        known.forget(7);
        assert_eq!((known.look(7), known.claim(7)), (Sight::New, Claim::New));
    }

    #[test]
    fn a_full_table_knows_what_it_knew_and_can_be_cleared() {
        let known = Known::new();
        for key in 1..=ENTRIES as u64 {
            known.claim(key << 1 | 1);
            known.judge(key << 1 | 1, Sight::Allowed);
        }
        assert!(known.is_crowded());
        let allowed = (1..=ENTRIES as u64).filter(|key| known.look(key << 1 | 1) == Sight::Allowed).count();
        assert!(allowed > ENTRIES * 9 / 10, "{allowed}");
        known.clear();
        assert!(!known.is_crowded());
        assert_eq!((known.look(3), known.claim(3)), (Sight::New, Claim::New));
    }

    #[test]
    fn call_class_and_stack_make_the_key() {
        let stack = Stack::of([1, 2, 3]);
        let one = key("read", Class::File, Role::Worker, &stack);
        assert_eq!(one, key("read", Class::File, Role::Quarantine, &stack));
        for other in [
            key("write", Class::File, Role::Worker, &stack),
            key("read", Class::Network, Role::Worker, &stack),
            key("read", Class::File, Role::Guest, &stack),
            key("read", Class::File, Role::Worker, &Stack::of([1, 2, 4])),
        ] {
            assert_ne!(one, other);
        }
    }
}
