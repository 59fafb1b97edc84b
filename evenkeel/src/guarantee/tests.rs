use super::*;

const BEGIN: &str = "<!-- guarantees: begin -->\n";
const END: &str = "<!-- guarantees: end -->\n";

fn connected() -> Reception {
    Reception::AtMostOnceWhileConnected { how: "a WebSocket".into(), connections: 1 }
}

fn usual() -> Guarantees {
    Guarantees::new(&connected(), false, &Keeping::sqlite("evenkeel.db"), OnUnknown::Dead)
}

fn volatile(path: &str) -> Keeping {
    Keeping { kind: Kind::Volatile(path.into()), ..Keeping::sqlite(path) }
}

/// The rows of `other` that say something else than the usual ones.
fn differing(when: &str, other: &Guarantees) -> String {
    let changed = other.rows().iter().filter(|row| !usual().rows().contains(row));
    changed.map(|row| format!("| {when} | {} | {} | {} |\n", row.what, row.promise, row.why)).collect()
}

/// The part of the guide that is made of these texts.
fn guide() -> String {
    let mut text = "| | promise | why |\n|---|---|---|\n".to_owned();
    for row in usual().rows() {
        text += &format!("| {} | {} | {} |\n", row.what, row.promise, row.why);
    }
    text += "\nWhere that differs:\n\n| with | | promise | why |\n|---|---|---|---|\n";
    let sqlite = Keeping::sqlite("evenkeel.db");
    let receive = |reception| Guarantees::new(&reception, false, &sqlite, OnUnknown::Dead);
    let how = || "a queue".to_owned();
    let kept = Duration::from_secs(120);
    let two = Reception::AtMostOnceWhileConnected { how: "a WebSocket".into(), connections: 2 };
    text += &differing("two connections", &receive(two));
    text += &differing("acknowledgements", &receive(Reception::AcknowledgedAfterCommit { how: how() }));
    text += &differing("a network in memory", &receive(Reception::KeptInMemory { how: how() }));
    text += &differing("replay", &receive(Reception::ReplayedFrom { how: "a session".into(), kept }));
    let replies = |is_safe, on_unknown| Guarantees::new(&connected(), is_safe, &sqlite, on_unknown);
    text += &differing("keys that the network knows", &replies(true, OnUnknown::Dead));
    text += &differing("`on_unknown`", &replies(false, OnUnknown::Resend));
    text += &differing("`on_unknown`", &replies(false, OnUnknown::Drop));
    let with = |keeping| Guarantees::new(&connected(), false, &keeping, OnUnknown::Dead);
    text += &differing("encryption", &with(Keeping { is_encrypted: true, ..sqlite.clone() }));
    text += &differing("a file in memory (tmpfs)", &with(volatile("evenkeel.db")));
    text + &differing("a journal in memory", &with(Keeping::memory(65_536)))
}

#[test]
fn the_guide_has_the_same_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md");
    let written = std::fs::read_to_string(path).expect("the guide is part of the package");
    let table = written.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table);
    let expected = guide();
    assert!(table == Some(&*expected), "write this between the two marks:\n{BEGIN}{expected}{END}");
}

#[test]
fn every_row_has_a_promise_and_a_reason_that_fit_into_a_table() {
    let keepings = [
        Keeping::memory(7),
        Keeping::sqlite("a"),
        Keeping { is_synced: false, ..Keeping::sqlite("a") },
        volatile("a"),
    ];
    for keeping in keepings {
        for choice in [OnUnknown::Dead, OnUnknown::Resend, OnUnknown::Drop] {
            for row in Guarantees::new(&connected(), false, &keeping, choice).rows() {
                assert!(!row.promise.is_empty() && !row.why.is_empty(), "{row:?}");
                assert!(!format!("{}{}", row.promise, row.why).contains(['|', '\n']), "{row:?}");
            }
        }
    }
}

#[test]
fn what_is_not_synced_or_not_kept_is_a_limit() {
    let limits = |keeping: &Keeping| {
        let promised = Guarantees::new(&connected(), true, keeping, OnUnknown::Dead);
        let limits = promised.rows().iter().filter(|row| row.is_limit).map(|row| row.what);
        limits.collect::<Vec<_>>()
    };
    let sqlite = Keeping { is_encrypted: true, ..Keeping::sqlite("a") };
    assert_eq!(limits(&sqlite), ["while the bot is away", "a power cut", "what a handler does elsewhere"]);
    let unsynced = limits(&Keeping { is_synced: false, ..sqlite });
    assert!(unsynced.contains(&"acceptance"), "{unsynced:?}");
    let volatile = limits(&volatile("a"));
    assert!(volatile.contains(&"acceptance") && !volatile.contains(&"kill -9 or a crash"), "{volatile:?}");
    let memory = limits(&Keeping::memory(65_536));
    assert!(memory.contains(&"kill -9 or a crash") && memory.contains(&"jobs"), "{memory:?}");
}

#[test]
fn only_a_network_that_outlives_the_process_keeps_what_comes_while_the_bot_is_away() {
    let how = || "a queue".to_owned();
    let away = |reception: &Reception| {
        let promised = Guarantees::new(reception, true, &Keeping::sqlite("a"), OnUnknown::Dead);
        promised.rows().iter().find(|row| row.what == AWAY).expect("there is such a row").is_limit
    };
    assert!(!away(&Reception::AcknowledgedAfterCommit { how: how() }));
    assert!(away(&Reception::KeptInMemory { how: how() }) && away(&connected()));
}

#[test]
fn numbers_are_grouped_by_thousands() {
    let grouped = [0, 7, 999, 1_000, 65_536, 5_000_000].map(thousands);
    assert_eq!(grouped, ["0", "7", "999", "1,000", "65,536", "5,000,000"]);
}
