//! One poll with a waker that takes stacks.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use crate::stack::Address;
use crate::sys::{addresses_here, listening};

/// How many clones of the waker are heard in one poll.
const MOST: usize = 8;
/// How many addresses all of them have together; what is further out is not needed once the author's frames are.
const ADDRESSES: usize = 4096;

/// The stacks of clones, in memory that was taken before the poll: anyone who clones may hold a lock, and hears of no other.
struct Heard(Mutex<Stacks>);

struct Stacks {
    addresses: Vec<usize>,
    /// Where each stack ends.
    ends: Vec<usize>,
}

impl Heard {
    fn new() -> Self {
        Self(Mutex::new(Stacks { addresses: vec![0; ADDRESSES], ends: Vec::with_capacity(MOST) }))
    }

    /// Somebody clones the waker, here.
    fn note(&self) {
        let mut stacks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = stacks.ends.last().copied().unwrap_or(0);
        if stacks.ends.len() < MOST {
            let count = addresses_here(stacks.addresses.get_mut(begin..).unwrap_or_default());
            stacks.ends.push(begin + count);
        }
    }

    /// Each stack once, without what lies outside of the poll.
    fn into_stacks(self, outside: &[usize]) -> Vec<Vec<Address>> {
        let Stacks { addresses, ends } = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut stacks: Vec<Vec<Address>> = Vec::new();
        let mut begin = 0;
        for end in ends {
            let stack = addresses.get(begin..end).unwrap_or_default();
            begin = end;
            let same = stack.iter().rev().zip(outside.iter().rev()).take_while(|(one, other)| one == other);
            let inside = stack.len() - same.count();
            let stack = stack.iter().take(inside).map(|address| Address::returned_to(*address)).collect();
            if !stacks.contains(&stack) {
                stacks.push(stack);
            }
        }
        stacks
    }
}

/// Polls a future once, and gives the stack of each leaf that has to wait.
#[inline(never)]
pub(super) fn poll<F: Future>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> (Poll<F::Output>, Vec<Vec<Address>>) {
    let mut outside = vec![0; ADDRESSES];
    let count = addresses_here(&mut outside);
    outside.truncate(count);
    let heard = Heard::new();
    let polled =
        listening(cx.waker(), &|| heard.note(), |waker| future.poll(&mut Context::from_waker(waker)));
    let stacks = if polled.is_pending() { heard.into_stacks(&outside) } else { Vec::new() };
    (polled, stacks)
}
