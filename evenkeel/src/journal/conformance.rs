//! The promises of a [`Store`] as a suite that any store can run (feature `conformance`).
//!
//! Add the feature for tests alone, say how the store is opened, and run [`check`]. Each promise is looked at by itself, in a
//! store that is opened for it; what is not kept is told by name, with what was expected and what was seen. Histories that look
//! random are compared with the store in memory; they have fixed seeds, and one that fails tells its own.
//!
//! ```
//! use evenkeel::journal::conformance::{self, Opening};
//! use evenkeel::journal::memory::MemoryStore;
//!
//! # fn main() {
//! # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
//! let mut kept = MemoryStore::default();
//! conformance::check(async |opening| {
//!     if opening == Opening::Fresh {
//!         kept = MemoryStore::default();
//!     }
//!     Ok(kept.clone())
//! })
//! .await;
//! # }) }
//! ```
//!
//! What it cannot look at is whether what was synced survives a power cut, and what two processes do at the same time.
//! A commit is dropped in the middle, but only where the store waits for something.

mod broken;
mod random;
mod made;
mod shown;
mod subject;
mod numbers;
mod work;
mod effects;
mod rows;
mod lists;
mod kept;
mod odd;
mod step;
mod history;

use super::store::Store;
use crate::error::Result;
pub use broken::Broken;
use effects::Make;
use subject::Subject;

/// How the store under test is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A new one, with nothing in it.
    Fresh,
    /// The one that was opened last, with what is in it. It has been closed, or dropped as when a process is killed.
    Again,
}

/// Looks at every promise of a store, which `open` opens in its process as its only owner.
///
/// # Panics
///
/// When a promise is not kept: the message names each of them.
///
/// # Cancel safety
///
/// Dropping the future leaves a store that is half tested; nothing else.
pub async fn check<S: Store>(open: impl AsyncFnMut(Opening) -> Result<S>) {
    let broken: Vec<_> = broken(open).await.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "the store breaks promises, {} of them:\n{}", broken.len(), broken.join("\n"));
}

/// Looks at every promise of a store as [`check`] does, and answers those that are not kept.
///
/// # Cancel safety
///
/// As [`check`].
pub async fn broken<S: Store>(open: impl AsyncFnMut(Opening) -> Result<S>) -> Vec<Broken> {
    broken_among(PROMISES, open).await
}

/// Looks at what a store promises of effects on a `T`, in addition to [`check`]: `write` writes a name where nothing else is, as an
/// effect does, and `look` says whether it is there.
///
/// ```
/// use evenkeel::journal::conformance::{self, Opening};
/// use evenkeel::journal::memory::{MemoryStore, Notes};
///
/// # fn main() {
/// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
/// let mut kept = MemoryStore::default();
/// let open = async |opening| {
///     if opening == Opening::Fresh {
///         kept = MemoryStore::default();
///     }
///     Ok(kept.clone())
/// };
/// let write = |notes: &Notes, name: &str| Ok(notes.put(name, "is here"));
/// conformance::check_effects(open, write, async |store, name| Ok(store.notes().get(name).is_some())).await;
/// # }) }
/// ```
///
/// # Panics
///
/// When a promise is not kept, as [`check`]; and effects panic on purpose, which a hook for panics sees.
///
/// # Cancel safety
///
/// As [`check`].
pub async fn check_effects<S: Store, T: 'static>(
    open: impl AsyncFnMut(Opening) -> Result<S>,
    write: impl Fn(&T, &str) -> Result<()> + Clone + Send + Sync + 'static,
    look: impl AsyncFnMut(&mut S, &str) -> Result<bool>,
) {
    let broken: Vec<_> = broken_effects(open, write, look).await.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "the store breaks promises of effects:\n{}", broken.join("\n"));
}

macro_rules! promises_of_effects {
    ($($promise:ident)*) => {
        /// The names of all promises of effects, in the order in which they are looked at.
        pub const EFFECT_PROMISES: &[&str] = &[$(stringify!($promise)),*];

        /// Looks at the promises of effects as [`check_effects`] does, and answers those that are not kept.
        ///
        /// # Cancel safety
        ///
        /// As [`check`].
        pub async fn broken_effects<S: Store, T: 'static>(
            open: impl AsyncFnMut(Opening) -> Result<S>,
            write: impl Fn(&T, &str) -> Result<()> + Clone + Send + Sync + 'static,
            mut look: impl AsyncFnMut(&mut S, &str) -> Result<bool>,
        ) -> Vec<Broken> {
            let (make, mut subject) = (Make::new(write), Subject::new(open));
            let mut broken = Vec::new();
            $(if let Err(found) = Box::pin(subject.$promise(&make, &mut look)).await {
                broken.push(found.of(stringify!($promise)));
            })*
            broken
        }
    };
}

promises_of_effects! {
    an_effect_is_kept_with_its_work
    an_effect_that_fails_fails_its_work_alone
    an_effect_of_a_fenced_work_is_not_kept
    a_work_is_there_with_its_effect_or_not_at_all
}

macro_rules! promises {
    ($($promise:ident)*) => {
        /// The names of all promises, in the order in which they are looked at.
        pub const PROMISES: &[&str] = &[$(stringify!($promise)),*];

        /// Looks at the promises of these names alone, and answers those that are not kept.
        ///
        /// # Cancel safety
        ///
        /// As [`check`].
        pub async fn broken_among<S: Store>(
            promises: &[&str],
            open: impl AsyncFnMut(Opening) -> Result<S>,
        ) -> Vec<Broken> {
            let mut subject = Subject::new(open);
            let mut broken = Vec::new();
            $(if promises.contains(&stringify!($promise))
                && let Err(found) = Box::pin(subject.$promise()).await
            {
                broken.push(found.of(stringify!($promise)));
            })*
            broken
        }
    };
}

promises! {
    numbers_are_new_and_rise
    no_number_is_given_out_twice
    a_number_that_a_reply_was_put_under_is_not_given_out
    numbers_carry_a_partition_that_is_owned
    a_dedupe_key_is_known_once
    a_dedupe_key_stays_known_when_the_store_is_opened_again
    what_is_known_changes_nothing
    a_reply_that_comes_again_is_the_first_of_a_new_number
    replies_that_come_together_have_one_number_and_one_key
    facts_come_with_their_event
    what_comes_in_is_kept_with_its_cursors
    a_work_under_another_epoch_changes_nothing
    a_work_of_a_partition_that_is_not_owned_changes_nothing
    a_claim_fences_the_owner_before
    nothing_is_loaded_under_another_epoch
    each_work_has_a_verdict_of_its_own
    changes_come_before_what_comes_in
    changes_are_made_in_order
    a_change_of_what_is_not_there_is_no_error
    the_same_changes_may_be_made_twice
    an_empty_batch_is_answered
    an_effect_on_something_else_fails_its_work_alone
    the_last_time_that_was_told_is_kept
    what_is_lazy_outlives_the_process
    a_commit_that_is_dropped_is_there_whole_or_not_at_all
    an_event_comes_back_with_all_that_hangs_on_it
    bodies_come_back_as_they_were_written
    a_row_that_is_put_replaces_the_one_before
    a_mark_changes_numbers_and_no_body
    a_mark_without_a_death_keeps_the_command
    a_delete_takes_its_row_and_nothing_else
    files_go_when_they_are_deleted
    what_is_alive_is_loaded_by_number_in_pages
    all_of_a_thousand_are_loaded_once
    dead_letters_come_by_time_and_then_by_name
    each_part_of_a_filter_of_dead_letters_holds
    a_dead_letter_says_what_it_was
    what_lives_again_or_goes_is_no_dead_letter
    jobs_come_by_time_and_number
    the_jobs_of_a_partition_are_its_owners
    a_name_has_one_job
    a_job_is_moved_and_deleted_by_its_number
    values_of_different_scopes_do_not_mix
    a_command_waits_until_it_has_an_outcome
    a_reader_sees_what_is_committed_and_changes_nothing
    odd_texts_come_back_as_they_were
    odd_texts_are_no_other_names
    ten_thousand_changes_are_one_batch
    numbers_at_their_ends_come_back
    any_history_leaves_what_it_leaves_in_memory
}
