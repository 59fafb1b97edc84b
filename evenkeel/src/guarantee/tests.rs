use super::*;

const BEGIN: &str = "<!-- guarantees: begin -->\n";
const END: &str = "<!-- guarantees: end -->\n";

fn connected() -> DeliveryMode {
    DeliveryMode::AtMostOnceWhileConnected { how: "a WebSocket".into(), connections: 1 }
}

fn usual() -> Guarantees {
    Guarantees::new(&connected(), false, &file(), OnUnknown::Dead)
}

/// As a bot has it unless told otherwise.
fn file() -> Durability {
    Durability::file("evenkeel.db").with_window(Some(30), 5_000_000)
}

fn encrypted() -> Durability {
    Durability::encrypted_file("evenkeel.db").with_window(Some(30), 5_000_000)
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
    let file_alone = file();
    let receive = |delivery_mode| Guarantees::new(&delivery_mode, false, &file_alone, OnUnknown::Dead);
    let how = || "a queue".to_owned();
    let kept = Duration::from_secs(120);
    let two = DeliveryMode::AtMostOnceWhileConnected { how: "a WebSocket".into(), connections: 2 };
    text += &differing("two connections", &receive(two));
    text += &differing("acknowledgements", &receive(DeliveryMode::AcknowledgedAfterCommit { how: how() }));
    text += &differing("a network in memory", &receive(DeliveryMode::KeptInMemory { how: how() }));
    text += &differing("replay", &receive(DeliveryMode::ReplayedFrom { how: "a session".into(), kept }));
    let replies = |is_safe, on_unknown| Guarantees::new(&connected(), is_safe, &file_alone, on_unknown);
    text += &differing("keys that the network knows", &replies(true, OnUnknown::Dead));
    text += &differing("`on_unknown`", &replies(false, OnUnknown::Resend));
    text += &differing("`on_unknown`", &replies(false, OnUnknown::Drop));
    let with = |durability| Guarantees::new(&connected(), false, &durability, OnUnknown::Dead);
    text += &differing("encryption", &with(encrypted()));
    text += &differing("a file in memory (tmpfs)", &with(file().with_file_in_memory()));
    text + &differing("a journal in memory", &with(Durability::memory(65_536)))
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
    let all = [
        Durability::memory(7),
        Durability::disk(Promise::kept("elsewhere", "it is far away")),
        file(),
        file().without_sync(),
        file().with_file_in_memory(),
    ];
    for durability in all {
        for choice in [OnUnknown::Dead, OnUnknown::Resend, OnUnknown::Drop] {
            for row in Guarantees::new(&connected(), false, &durability, choice).rows() {
                assert!(!row.promise.is_empty() && !row.why.is_empty(), "{row:?}");
                assert!(!format!("{}{}", row.promise, row.why).contains(['|', '\n']), "{row:?}");
            }
        }
    }
}

#[test]
fn what_is_not_synced_or_not_kept_is_a_limit() {
    let limits = |durability: &Durability| {
        let promised = Guarantees::new(&connected(), true, durability, OnUnknown::Dead);
        let limits = promised.rows().iter().filter(|row| row.is_limit).map(|row| row.what);
        limits.collect::<Vec<_>>()
    };
    assert_eq!(
        limits(&encrypted()),
        ["while the bot is away", "a power cut", "what a handler does elsewhere"]
    );
    let unsynced = limits(&encrypted().without_sync());
    assert!(unsynced.contains(&"acceptance"), "{unsynced:?}");
    let volatile = limits(&file().with_file_in_memory());
    assert!(volatile.contains(&"acceptance") && !volatile.contains(&"kill -9 or a crash"), "{volatile:?}");
    let memory = limits(&Durability::memory(65_536));
    assert!(memory.contains(&"kill -9 or a crash") && memory.contains(&"jobs"), "{memory:?}");
}

#[test]
fn only_a_network_that_outlives_the_process_keeps_what_comes_while_the_bot_is_away() {
    let how = || "a queue".to_owned();
    let away = |delivery_mode: &DeliveryMode| {
        let promised = Guarantees::new(delivery_mode, true, &file(), OnUnknown::Dead);
        promised.rows().iter().find(|row| row.what == AWAY).expect("there is such a row").is_limit
    };
    assert!(!away(&DeliveryMode::AcknowledgedAfterCommit { how: how() }));
    assert!(away(&DeliveryMode::KeptInMemory { how: how() }) && away(&connected()));
}

#[test]
fn a_journal_of_another_kind_says_in_its_own_words_what_differs() {
    let text = "as kill -9; another machine has it";
    let record = Promise::limit("a database", "anyone who reads its tables reads the texts");
    let foreign =
        Durability::disk(record).with_power_cut(Promise::kept(text, "each commit is on two machines"));
    let promised = Guarantees::new(&connected(), false, &foreign, OnUnknown::Dead);
    let told = |what: &str| promised.rows().iter().find(|row| row.what == what).map(|row| &*row.promise);
    assert_eq!((told("a power cut"), told("the record itself")), (Some(text), Some("a database")));
    assert_eq!(promised.rows().len(), usual().rows().len());
    assert_eq!((foreign.path(), file().path()), (None, Some(std::path::Path::new("evenkeel.db"))));
}
