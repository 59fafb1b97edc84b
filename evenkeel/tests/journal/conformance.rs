//! Every store keeps the promises of the suite, and the suite sees the one that does not.

pub(crate) mod flawed;
mod plain;

use std::cell::RefCell;
use std::path::PathBuf;

use evenkeel::journal::conformance::{self, Broken, Opening};
use evenkeel::journal::memory::{MemoryStore, Notes};
use evenkeel::journal::sqlite::SqliteOptions;
use evenkeel::journal::{Journal, StoreJournal};
use rusqlite::Connection;

use crate::made::Folder;
use flawed::{Flawed, Mistake};
use plain::Plain;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn the_store_in_memory_keeps_all_promises() {
    let mut kept = MemoryStore::default();
    block_on(conformance::check(async |opening| {
        if opening == Opening::Fresh {
            kept = MemoryStore::default();
        }
        Ok(kept.clone())
    }));
}

/// It would take up what is in the first one alone.
#[tokio::test]
async fn a_bot_does_not_begin_with_a_store_of_several_partitions() {
    let error = StoreJournal::new(Plain::new(4)).recover().await.unwrap_err();
    assert!(error.to_string().contains("several partitions"), "{error}");
    StoreJournal::new(Plain::new(1)).recover().await.map(drop).unwrap();
}

#[test]
fn the_store_in_memory_keeps_the_promises_of_effects() {
    let mut kept = MemoryStore::default();
    block_on(conformance::check_effects(
        async |opening| {
            if opening == Opening::Fresh {
                kept = MemoryStore::default();
            }
            Ok(kept.clone())
        },
        note,
        async |store, name| Ok(store.notes().get(name).is_some()),
    ));
}

#[test]
fn the_store_on_a_file_keeps_the_promises_of_effects() {
    let folder = Folder::new("effects");
    let (mut count, path) = (0, RefCell::new(PathBuf::new()));
    let beside = || Connection::open(&*path.borrow()).unwrap();
    let open = async |opening| {
        if opening == Opening::Fresh {
            count += 1;
            *path.borrow_mut() = folder.path().join(format!("{count}.db"));
            drop(SqliteOptions::new().open_store(&*path.borrow())?);
            beside().execute("CREATE TABLE note(name TEXT PRIMARY KEY)", []).unwrap();
        }
        SqliteOptions::new().open_store(&*path.borrow())
    };
    let write = |connection: &Connection, name: &str| {
        connection.execute("INSERT OR REPLACE INTO note(name) VALUES (?1)", [name])?;
        Ok(())
    };
    block_on(conformance::check_effects(open, write, async |_, name| {
        Ok(beside().prepare("SELECT 1 FROM note WHERE name = ?1")?.exists([name])?)
    }));
}

#[test]
fn the_store_on_a_file_keeps_all_promises() {
    let folder = Folder::new("conformance");
    let mut count = 0;
    block_on(conformance::check(async |opening| {
        if opening == Opening::Fresh {
            count += 1;
        }
        SqliteOptions::new().open_store(folder.path().join(format!("{count}.db")))
    }));
}

#[test]
fn a_store_as_plain_as_can_be_keeps_all_promises_over_partitions() {
    for partitions in [1, 4] {
        let mut kept = Plain::new(partitions);
        block_on(conformance::check(async |opening| {
            if opening == Opening::Fresh {
                kept = Plain::new(partitions);
            }
            Ok(kept.clone())
        }));
    }
}

/// What takes longest: it is about what no mistake here is about.
const LONG: [&str; 4] = [
    "odd_texts_come_back_as_they_were",
    "odd_texts_are_no_other_names",
    "ten_thousand_changes_are_one_batch",
    HISTORIES,
];

const HISTORIES: &str = "any_history_leaves_what_it_leaves_in_memory";

fn note(notes: &Notes, name: &str) -> evenkeel::Result<()> {
    notes.put(name, "noted");
    Ok(())
}

fn broken_effects_by(mistake: Option<Mistake>) -> Vec<Broken> {
    let mut kept = Flawed::new(mistake);
    let open = async |opening| {
        kept = if opening == Opening::Fresh { Flawed::new(mistake) } else { kept.again() };
        Ok(kept.clone())
    };
    let look = async |store: &mut Flawed, name: &str| Ok(store.notes().get(name).is_some());
    block_on(conformance::broken_effects(open, note, look))
}

fn broken_by(mistake: Option<Mistake>, promises: &[&str]) -> Vec<Broken> {
    let mut kept = Flawed::new(mistake);
    block_on(conformance::broken_among(promises, async |opening| {
        kept = if opening == Opening::Fresh { Flawed::new(mistake) } else { kept.again() };
        Ok(kept.clone())
    }))
}

#[test]
fn what_only_passes_on_breaks_no_promise() {
    assert_eq!(broken_by(None, conformance::PROMISES), []);
    assert_eq!(broken_effects_by(None), []);
}

#[test]
fn each_mistake_is_seen_and_named() {
    let promises: Vec<_> =
        conformance::PROMISES.iter().copied().filter(|promise| !LONG.contains(promise)).collect();
    assert_eq!(promises.len() + LONG.len(), conformance::PROMISES.len());
    for mistake in Mistake::ALL {
        let promise = mistake.breaks();
        let mut broken = broken_by(Some(mistake), &promises);
        broken.extend(broken_effects_by(Some(mistake)));
        let names: Vec<_> = broken.iter().map(|broken| broken.promise).collect();
        assert!(names.contains(&promise), "{mistake:?} breaks `{promise}`, and what was seen is {names:?}");
        assert!(broken.iter().all(|broken| broken.seen != broken.expected), "{broken:?}");
    }
}

#[test]
fn random_histories_see_mistakes_by_themselves() {
    let unseen =
        Mistake::ALL.into_iter().filter(|mistake| broken_by(Some(*mistake), &[HISTORIES]).is_empty());
    // Nothing is dropped there in the middle, and nothing has effects; and numbers, partitions, epochs and readers are compared elsewhere.
    let expected = [
        Mistake::CursorBeforeItsEvents,
        Mistake::CursorAfterItsEvents,
        Mistake::WorkInTwo,
        Mistake::JobsOfOthers,
        Mistake::LoadsForAnybody,
        Mistake::StaleReader,
        Mistake::FailedEffectStays,
        Mistake::WorkOfFailedEffectStays,
        Mistake::FailedEffectFailsOthers,
        Mistake::FencedEffectStays,
        Mistake::EffectFirst,
        Mistake::UnknownEffectLeftOut,
    ];
    assert_eq!(unseen.collect::<Vec<_>>(), expected);
}
