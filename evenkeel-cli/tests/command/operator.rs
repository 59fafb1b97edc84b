//! Dead letters and jobs from the terminal, beside a bot that runs and after it has stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use evenkeel::journal::sqlite::{SqliteJournal, SqliteOptions};
use evenkeel::journal::{DeadFilter, Entry, EventEntry, Journal, Reason, ReplyEntry};
use evenkeel::operator::DeadLetters;
use evenkeel::sandbox::Sandbox;
use evenkeel::{
    App, Args, Bot, Context, Conversation, Error, Event, Job, Message, MessageId, Outbound, Reply, Result,
    Router, SendKey, Sender, State,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::running::{directory, evenkeel, finished};

/// In everything that people and the bot write.
const SECRET: &str = "SECRET";
/// When the bots' clocks begin, in milliseconds since 1970.
const START_MS: u64 = 1_700_000_000_000;
const HOUR_MS: u64 = 3_600_000;
/// A reminder after this many hours fails.
const BROKEN_HOURS: u64 = 9;

/// What the handlers find.
#[derive(Clone)]
struct World {
    is_up: Arc<AtomicBool>,
    clock_ms: Arc<AtomicU64>,
    /// What the handlers did; the test holds the other end.
    done: mpsc::UnboundedSender<String>,
}

/// A bot in this process, on a file.
struct Tended {
    file: PathBuf,
    world: World,
    sandbox: Sandbox,
    done: mpsc::UnboundedReceiver<String>,
    letters: DeadLetters,
    stop: oneshot::Sender<()>,
    bot: JoinHandle<Result<()>>,
}

async fn weather(State(world): State<World>) -> Result<&'static str> {
    if !world.is_up.load(Ordering::SeqCst) {
        return Err(Error::new("connection refused").context("asking the weather\nservice"));
    }
    let _ = world.done.send("weather".into());
    Ok("sunny")
}

async fn news(State(world): State<World>) -> Result<&'static str> {
    weather(State(world)).await
}

async fn amend() -> Reply {
    Reply::edit(MessageId::new("never sent"), format!("{SECRET} amended"))
}

async fn remind(cx: Context, Args(hours): Args<u64>) -> Result<&'static str> {
    cx.after(Duration::from_secs(3_600 * hours), ring, (hours, format!("{SECRET} tea")))?;
    Ok("I will")
}

async fn ring(State(world): State<World>, Job((hours, _)): Job<(u64, String)>) -> Result<()> {
    if hours == BROKEN_HOURS {
        return Err(Error::new("the bell is broken"));
    }
    let _ = world.done.send(format!("rang after {hours} h"));
    Ok(())
}

async fn sweep() {}

fn app(world: World) -> App {
    let router = Router::new().command("!weather", weather).command("!news", news).command("!amend", amend);
    router.command("!remind", remind).job(ring).schedule("daily 03:00", sweep).with_state(world)
}

impl Tended {
    fn start(file: PathBuf) -> Self {
        let (done, receiver) = mpsc::unbounded_channel();
        let clock_ms = Arc::new(AtomicU64::new(START_MS));
        let world = World { is_up: Arc::default(), clock_ms, done };
        Self::start_in(file, world, receiver)
    }

    fn start_in(file: PathBuf, world: World, done: mpsc::UnboundedReceiver<String>) -> Self {
        let (sandbox, (stop, stopped)) = (Sandbox::new(), oneshot::channel::<()>());
        let clock_ms = Arc::clone(&world.clock_ms);
        let journal = SqliteJournal::open(&file).expect("the folder is there");
        let bot = Bot::new(app(world.clone())).transport(sandbox.clone()).with_journal(journal);
        let bot = bot.with_clock(move || UNIX_EPOCH + Duration::from_millis(clock_ms.load(Ordering::SeqCst)));
        let bot = bot.with_shutdown(async { drop(stopped.await) });
        let letters = bot.dead_letters();
        let bot = tokio::spawn(bot.serve());
        Self { file, world, sandbox, done, letters, stop, bot }
    }

    fn say(&self, text: &str) {
        self.sandbox.say("alice", "alice", text).expect("alice is there");
    }

    /// Waits until this many were given up.
    async fn has_dead(&self, count: usize) {
        while self.letters.list(DeadFilter::default()).await.expect("the bot runs").len() != count {
            tokio::task::yield_now().await;
        }
    }

    /// Three dead letters: two events and a reply.
    async fn with_trouble(name: &str) -> Self {
        let tended = Self::start(directory(name).join("evenkeel.db"));
        tended.say(&format!("!weather {SECRET} town"));
        tended.has_dead(1).await;
        tended.say(&format!("!news {SECRET} paper"));
        tended.has_dead(2).await;
        tended.say(&format!("!amend {SECRET} words"));
        tended.has_dead(3).await;
        tended
    }

    async fn heard(&mut self) -> String {
        self.done.recv().await.expect("the world holds the other end")
    }

    /// The same bot this many hours after the beginning. It starts anew: one that runs follows a clock that was set after a
    /// minute, one that starts at once.
    async fn later(self, hours: u64) -> Self {
        let (file, world, done) = self.stop().await;
        world.clock_ms.store(START_MS + hours * HOUR_MS, Ordering::SeqCst);
        Self::start_in(file, world, done)
    }

    async fn stop(self) -> (PathBuf, World, mpsc::UnboundedReceiver<String>) {
        drop(self.stop);
        self.bot.await.expect("no panic").expect("a good end");
        // A child of another test that is not yet another program holds a copy of the lock.
        let look = || SqliteOptions::new().look(&self.file).expect("a journal").expect("it is there");
        while look().is_in_use {
            tokio::task::yield_now().await;
        }
        (self.file, self.world, self.done)
    }
}

/// Runs the command on a file: exit code, standard output, standard error.
pub(crate) fn tend(file: &Path, line: &str) -> (Option<i32>, String, String) {
    let mut command = evenkeel(line.split_whitespace());
    command.env("EVENKEEL_JOURNAL", file);
    finished(command)
}

#[track_caller]
fn check(file: &Path, line: &str, parts: &[&str]) -> String {
    let (code, out, err) = tend(file, line);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{line}: {out}");
    for part in parts {
        assert!(out.contains(part), "{line}: `{part}` is missing in:\n{out}");
    }
    assert_eq!(out.contains(SECRET), line.contains("--text"), "{line}:\n{out}");
    out
}

/// Everything that only looks.
fn look(file: &Path) {
    let error = "asking the weather service: connection refused";
    let out =
        check(file, "dead", &["!weather", "!news", "!amend", "failed", "refused", error, "3 dead letters"]);
    assert_eq!(out.lines().count(), 5, "{out}");
    let out = check(file, "dead list --command !news", &["!news", "1 dead letter\n"]);
    assert!(!out.contains("!weather"), "{out}");
    check(file, "dead list --reason panicked", &["0 dead letters"]);
    check(file, "dead --conversation alice --limit 2", &["2 dead letters"]);
    let out = check(
        file,
        "dead --json",
        &[r#""id":"1","kind":"message","reason":"failed""#, r#""sender":"alice""#],
    );
    assert_eq!(out.lines().count(), 3, "{out}");
    check(file, "dead show 1", &["what          message", "attempts      1", "left out: `--text` shows it"]);
    check(
        file,
        "dead show 1 --text",
        &["error         asking the weather\n", "text          !weather SECRET town"],
    );
    check(file, "dead show 3.0", &["what          edit of a reply", "reason        refused"]);
    check(file, "dead show 3.0 --text", &["text          SECRET amended"]);
    check(file, "dead replay --all --dry-run", &["3 dead letters would be replayed"]);
    check(file, "dead discard --reason refused --dry-run", &["1 dead letter would be discarded"]);
    assert_eq!(check(file, "dead export", &[r#""command":"!amend""#]).lines().count(), 3);
    assert_eq!(check(file, "dead export -", &[]), check(file, "dead export", &[]), "`-` is standard output");
    assert_eq!(check(file, "dead export --text", &["SECRET amended", "SECRET paper"]).lines().count(), 3);
    let (code, out, err) = tend(file, "dead show 99");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("there is no dead letter 99"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_seen_beside_the_bot_and_after_it_without_anybodys_words() {
    let tended = Tended::with_trouble("operator look").await;
    look(&tended.file);
    let (file, ..) = tended.stop().await;
    look(&file);
}

/// What a terminal would obey, or would not show.
const HOSTILE: &str = "\u{202e}evil\u{9b}2J\u{1b}]0;title\u{7}\u{feff}\rover";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_wrote_is_made_visible_for_people_and_kept_exact_for_programs() {
    let tended = Tended::start(directory("operator hostile").join("evenkeel.db"));
    tended.sandbox.add_person(HOSTILE, HOSTILE).expect("any name");
    tended.sandbox.say(HOSTILE, HOSTILE, format!("!weather {HOSTILE}\n\tnext")).expect("they are there");
    tended.has_dead(1).await;
    let (file, ..) = tended.stop().await;
    for line in ["dead", "dead show 1", "dead show 1 --text", "jobs"] {
        let (code, out, _) = tend(&file, line);
        assert_eq!(code, Some(0), "{line}: {out}");
        let is_harmless = |letter: char| matches!(letter, '\n' | '\t') || !letter.is_control();
        assert!(out.chars().all(is_harmless), "{line}: {out:?}");
        assert!(!out.contains(['\u{202e}', '\u{feff}']), "{line}: {out:?}");
    }
    let (_, out, _) = tend(&file, "dead show 1 --text");
    assert!(out.contains("\\u{202e}evil\\u{9b}2J\\u{1b}]0;title\\u{7}\\u{feff}\\u{d}over\n"), "{out}");
    let (_, lines, _) = tend(&file, "dead export --text");
    let found: serde_json::Value = serde_json::from_str(&lines).expect("a line of JSON");
    let text = format!("!weather {HOSTILE}\n\tnext");
    assert!(found.to_string().contains(&serde_json::to_string(&text).expect("a string")), "{lines}");
    assert!(lines.contains('\u{202e}'), "a program gets it as it is");
    let (code, _, err) = tend(&file, &format!("jobs cancel {}", HOSTILE.replace('\r', "")));
    assert!(code == Some(1) && err.contains("\\u{202e}evil") && !err.contains('\u{202e}'), "{err:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_of_a_console_is_printed_for_all_who_may_read_the_journal() {
    use std::os::unix::fs::PermissionsExt;
    let file = directory("operator console").join("evenkeel.db");
    let (code, _, err) = tend(&file, "console");
    assert!(code == Some(2) && err.contains("there is no journal"), "{err}");
    let console = evenkeel::console::Console::bind("127.0.0.1:0").expect("a free port");
    let (url, (stop, stopped)) = (console.url(), oneshot::channel::<()>());
    let bot = Bot::new(Router::new()).transport(Sandbox::new()).with_console(console);
    let bot = bot.with_journal(SqliteJournal::open(&file).expect("the folder is there"));
    let bot = bot.with_shutdown(async { drop(stopped.await) });
    let status = bot.status();
    let bot = tokio::spawn(bot.serve());
    status.snapshot().await.expect("the bot runs");
    assert_eq!(tend(&file, "console"), (Some(0), format!("{url}\n"), String::new()));
    let kept = file.with_file_name("evenkeel.db.console");
    assert_eq!(std::fs::metadata(&kept).expect("it is there").permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let (code, out, err) = tend(&file, "console");
    assert!(code == Some(1) && out.is_empty() && err.contains("others on this computer"), "{err}");
    drop(stop);
    bot.await.expect("no panic").expect("a good end");
    let (code, out, err) = tend(&file, "console");
    assert!(code == Some(1) && out.is_empty() && err.contains("EVENKEEL_CONSOLE"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_a_new_file_with_texts_only_on_demand() {
    let (file, ..) = Tended::with_trouble("operator export").await.stop().await;
    let folder = file.parent().expect("it lies in a folder");
    let export = |arguments: &[&str]| {
        let mut command = evenkeel(arguments);
        command.current_dir(folder);
        finished(command)
    };
    let (code, out, _) = export(&["dead", "export", "bare.jsonl"]);
    assert_eq!(code, Some(0));
    assert_eq!(out, "3 dead letters written to bare.jsonl, without texts: `--text` writes them, too\n");
    let (code, ..) = export(&["dead", "export", "whole.jsonl", "--text", "--command", "!news"]);
    assert_eq!(code, Some(0));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it was written");
    assert!(!read("bare.jsonl").contains(SECRET));
    assert_eq!(read("whole.jsonl").matches("SECRET paper").count(), 1);
    let (code, _, err) = export(&["dead", "export", "whole.jsonl"]);
    assert_eq!(
        (code, err.as_str()),
        (Some(2), "evenkeel: `whole.jsonl` is there already: name a new file\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_taken_up_by_the_bot_that_runs_or_by_the_next_start() {
    let mut tended = Tended::with_trouble("operator replay").await;
    tended.world.is_up.store(true, Ordering::SeqCst);
    let running = "the running bot has done it";
    check(&tended.file, "dead replay 1", &["replayed: 1 dead letter (1 event, 0 replies); ", running]);
    assert_eq!(tended.heard().await, "weather");
    tended.has_dead(2).await;
    let (file, world, done) = tended.stop().await;
    let (code, out, err) = tend(&file, "dead replay 2 1");
    let stopped = "no bot is running: the next start takes this up";
    assert_eq!(out, format!("replayed: 1 dead letter (1 event, 0 replies); {stopped}\n"));
    assert_eq!((code, err.as_str()), (Some(1), "evenkeel: there is no dead letter 1\n"));
    check(&file, "dead", &["!amend", "1 dead letter\n"]);
    let mut tended = Tended::start_in(file, world, done);
    assert_eq!(tended.heard().await, "weather");
    check(&tended.file, "dead replay --reason refused", &["replayed: 1 dead letter (0 events, 1 reply)"]);
    tended.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_replayed_and_fails_again_has_a_new_id_as_the_help_says() {
    let tended = Tended::with_trouble("operator again").await;
    check(&tended.file, "dead replay 1", &["replayed: 1 dead letter"]);
    tended.has_dead(3).await;
    let (_, out, err) = tend(&tended.file, "dead show 1");
    assert!(out.is_empty() && err.contains("there is no dead letter 1"), "{out}{err}");
    check(&tended.file, "dead --command !weather", &["1 dead letter\n"]);
    check(&tended.file, "help dead", &["What is replayed and fails again has a new ID"]);
    tended.stop().await;
}

#[tokio::test]
async fn a_reply_that_is_named_together_with_its_event_goes_with_it() {
    let file = directory("operator together").join("journal.db");
    let mut journal = SqliteJournal::open(&file).expect("it opens");
    journal.recover().await.expect("it is new");
    let (alice, message) = (Conversation::direct("alice"), Message::text("1", "!now"));
    let event = Event::new("1", alice.clone(), Sender::new("alice"), message);
    let (action, key) = (Reply::text("at once").actions()[0].clone(), SendKey { sequence: 1, index: 0 });
    let outbound = Outbound::new(alice, action, key);
    let (error, command, now_ms) = ("no".to_owned(), "!now".to_owned(), START_MS);
    journal.write(vec![Entry::Accept { event, now_ms, begins: true }]).await.expect("it is written");
    let batch = vec![
        Entry::Promise { outbound, command: command.clone(), begins: true },
        Entry::Reply(
            key,
            ReplyEntry::DeadLetter {
                reason: Reason::Unknown,
                error: error.clone(),
                command: command.clone(),
                now_ms,
            },
        ),
        Entry::Event(1, EventEntry::DeadLetter { reason: Reason::Failed, error, command, now_ms }),
    ];
    journal.write(batch).await.expect("it is written");
    journal.close().await;
    let replayed = "replayed: 2 dead letters (1 event, 1 reply); no bot is running";
    check(&file, "dead replay 1.0 1", &[replayed]);
    let mut journal = SqliteJournal::open(&file).expect("it opens");
    let left = journal.recover().await.expect("it can be read");
    assert_eq!((left.events.len(), left.replies.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_discarded_is_gone_for_the_bot_that_runs_and_for_the_next() {
    let tended = Tended::with_trouble("operator discard").await;
    check(
        &tended.file,
        "dead discard --command !weather --yes",
        &["discarded: 1 dead letter; the running bot has done it"],
    );
    tended.has_dead(2).await;
    let (file, world, done) = tended.stop().await;
    check(&file, "dead discard 3.0", &["discarded: 1 dead letter\n"]);
    let tended = Tended::start_in(file, world, done);
    tended.has_dead(1).await;
    let (file, ..) = tended.stop().await;
    check(&file, "dead discard --all --yes", &["discarded: 1 dead letter"]);
    check(&file, "dead discard --all", &["discarded: 0 dead letters\n"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_named_one_by_one_is_not_changed_without_a_yes() {
    let (file, ..) = Tended::with_trouble("operator yes").await.stop().await;
    for (line, says) in [
        ("dead discard --all", "this would discard 3 dead letters for good, "),
        ("dead discard --command !news", "this would discard 1 dead letter for good, "),
        ("dead discard --all --limit 2", "this would discard 2 dead letters for good, "),
        ("dead replay --all", "this would replay 3 dead letters, "),
    ] {
        let (code, out, err) = tend(&file, line);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(2), "", 1), "{line}: {err}");
        assert!(err.contains(says) && err.contains("add `--yes`"), "{line}: {err}");
    }
    check(&file, "dead", &["3 dead letters\n"]);
    check(&file, "dead discard --all --dry-run", &["3 dead letters would be discarded"]);
    check(&file, "dead replay --command !weather", &["replayed: 1 dead letter"]);
    check(&file, "dead discard 2", &["discarded: 1 dead letter"]);
    check(&file, "dead discard --all --yes", &["discarded: 1 dead letter"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_cancelled_by_the_name_that_is_shown_or_by_what_means_one_alone() {
    let tended = Tended::start(directory("operator names").join("evenkeel.db"));
    (1..=3).for_each(|hours| tended.say(&format!("!remind {hours}")));
    while !check(&tended.file, "jobs", &[]).contains("4 jobs\n") {
        tokio::task::yield_now().await;
    }
    let (file, ..) = tended.stop().await;
    let (code, _, err) = tend(&file, "jobs cancel ring");
    assert_eq!(code, Some(1));
    assert!(err.contains("`ring` may be any of 3 jobs: `1.1`, `2.1`, `3.1`"), "{err}");
    assert!(err.contains("name one of them: `evenkeel jobs cancel 1.1`"), "{err}");
    for (several, hint) in [
        ("1.1 2.1", "one job at a time: `evenkeel jobs cancel 1.1`, `evenkeel jobs cancel 2.1`"),
        ("9.1 3", "one job at a time: `evenkeel jobs cancel 3`"),
        ("9.1 8.1", "`evenkeel jobs` lists those that there are"),
    ] {
        let (code, _, err) = tend(&file, &format!("jobs cancel {several}"));
        assert!(
            code == Some(1) && err.contains(&format!("no job `{several}`")) && err.contains(hint),
            "{err}"
        );
    }
    check(&file, "jobs cancel 2", &["cancelled 2.1\n"]);
    check(&file, "jobs cancel 1.1", &["cancelled 1.1\n"]);
    check(&file, "jobs cancel ring", &["cancelled 3.1\n"]);
    let listed = check(&file, "jobs", &["1 job\n"]);
    let row = listed.lines().nth(1).expect("the schedule");
    let shown = row.split("  ").next().expect("its name");
    // As it stands there, without quotation marks.
    check(&file, &format!("jobs cancel {shown}"), &["cancelled schedule ", "its next start brings it back"]);
    let (code, _, err) = tend(&file, "jobs cancel sweep");
    assert!(code == Some(1) && err.contains("there is no job `sweep`"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_what_is_in_the_journal_beside_the_bot_and_after_it() {
    let tended = Tended::with_trouble("operator doctor").await;
    let look = |file: &Path, held: &str, user: &str| {
        check(file, "doctor", &["ok    file: `", held, user, "warn  dead letters: 3 wait for a decision"]);
    };
    // The apologies may be on their way.
    look(&tended.file, " to be sent, 1 job\n", "ok    bot: one runs on this journal");
    let (file, ..) = tended.stop().await;
    let held = ": 0 events to be handled, 0 replies to be sent, 1 job\n";
    look(&file, held, "ok    bot: none runs on this journal");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_is_an_error_and_nothing_else() {
    let tended = Tended::with_trouble("operator full").await;
    for action in ["discard", "replay"] {
        // No file may grow, as on a disk without room.
        let mut command = std::process::Command::new("sh");
        command.args(["-c", r#"trap "" XFSZ; ulimit -f 0; exec "$0" dead "$1" --all --yes"#]);
        command.args([env!("CARGO_BIN_EXE_evenkeel"), action]);
        command.env_clear().env("EVENKEEL_JOURNAL", &tended.file);
        let (code, out, err) = finished(command);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains("the journal") && err.contains("hint: "), "{err}");
    }
    check(&tended.file, "dead", &["3 dead letters\n"]);
    tended.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_cancelled_is_not_done_by_the_bot_that_runs_nor_by_the_next() {
    let tended = Tended::start(directory("operator jobs").join("evenkeel.db"));
    (1..=4).for_each(|hours| tended.say(&format!("!remind {hours}")));
    while !check(&tended.file, "jobs", &[]).contains("5 jobs\n") {
        tokio::task::yield_now().await;
    }
    let listed = check(
        &tended.file,
        "jobs list",
        &["1.1 ", "2023-11-14 23:13:20 UTC", "alice", "ring", "schedule ", " daily 03:00 "],
    );
    let mut lines = listed.lines();
    let due = lines.next().and_then(|header| header.find("DUE"));
    let rows = lines.filter(|row| row.contains(" UTC "));
    assert!(rows.clone().count() == 5, "{listed}");
    assert!(
        rows.map(|row| row.find("2023-")).all(|column| column == due),
        "long names move no column:\n{listed}"
    );
    let lines = [r#"{"name":"1.1","due_ms":17000036"#, r#""schedule":"daily 03:00""#];
    check(&tended.file, "jobs --json", &lines);
    check(&tended.file, "jobs cancel 1.1", &["cancelled 1.1\n"]);
    let mut tended = tended.later(2).await;
    assert_eq!(tended.heard().await, "rang after 2 h");
    let (file, world, done) = tended.stop().await;
    check(&file, "jobs cancel 3.1", &["cancelled 3.1\n"]);
    let (code, out, err) = tend(&file, "jobs cancel 3.1");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("there is no job `3.1`"), "{err}");
    let mut sweep = evenkeel(["jobs", "cancel", &format!("schedule {}", std::any::type_name_of_val(&sweep))]);
    sweep.env("EVENKEEL_JOURNAL", &file);
    let (code, out, _) = finished(sweep);
    assert!(code == Some(0) && out.contains("its next start brings it back"), "{out}");
    world.clock_ms.store(START_MS + 5 * HOUR_MS, Ordering::SeqCst);
    let mut tended = Tended::start_in(file, world, done);
    assert_eq!(tended.heard().await, "rang after 4 h");
    tended.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_given_up_is_shown_by_its_function_and_arguments() {
    let tended = Tended::start(directory("operator dead job").join("evenkeel.db"));
    tended.say(&format!("!remind {BROKEN_HOURS}"));
    while !check(&tended.file, "jobs", &[]).contains("2 jobs\n") {
        tokio::task::yield_now().await;
    }
    let tended = tended.later(BROKEN_HOURS).await;
    tended.has_dead(1).await;
    let id = tended.letters.list(DeadFilter::default()).await.expect("the bot runs")[0].id;
    check(&tended.file, &format!("dead show {id}"), &["what          job ", "left out: `--text` shows it"]);
    let arguments = format!(r#"arguments     [{BROKEN_HOURS},"{SECRET} tea"]"#);
    let out =
        check(&tended.file, &format!("dead show {id} --text"), &["function      ", "::ring\n", &arguments]);
    assert!(!out.contains("u0000") && !out.contains("content"), "{out}");
    tended.stop().await;
}
