//! A journal that cannot be used ends the bot with one line and a hint, before the network hears of it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use evenkeel::Outbound;
use evenkeel::config::Config;
use evenkeel::journal::Journal;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::transport::{Inbox, SendError, Sent, Start};
use evenkeel::{App, Bot, Error, Result, Router, Transport};

use crate::home::{End, Home};

/// A network that notes whether anybody asked for it.
#[derive(Clone, Default)]
struct Unheard(Arc<AtomicBool>);

impl Unheard {
    fn hears(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Transport for Unheard {
    fn name(&self) -> &'static str {
        "unheard"
    }

    async fn open(&self, _: &Start<'_>) -> Result<String> {
        self.hears();
        Ok(String::new())
    }

    async fn receive(&self, _: Inbox) -> Result<()> {
        self.hears();
        Ok(())
    }

    async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
        self.hears();
        Ok(Sent::done())
    }
}

async fn ping() -> &'static str {
    "pong"
}

fn app() -> App {
    Router::new().command("!ping", ping).with_state(())
}

/// A bot on this file does not start.
async fn refused(file: &Path, key: Option<&str>) -> Error {
    let transport = Unheard::default();
    let path = file.display().to_string();
    let key = key.map(|key| ("EVENKEEL_JOURNAL_KEY", key));
    let settings = [("EVENKEEL_JOURNAL", path.as_str())].into_iter().chain(key);
    let bot =
        Bot::new(app()).transport(transport.clone()).with_settings(&Config::from_pairs(settings)).unwrap();
    let error = bot.on_this_runtime().serve().await.expect_err("the journal is refused");
    assert!(!transport.0.load(Ordering::Relaxed), "the network was told something");
    error
}

/// The same, with this line and a hint, and nothing in the folder is changed.
async fn check(home: &Home, file: &Path, key: Option<&str>, line: &str) {
    let before = content(home);
    let error = refused(file, key).await;
    let text = error.chain();
    assert!(text.starts_with("the journal could not be opened: ") && text.contains(line), "{text}");
    assert!(!text.contains('\n') && error.hint().is_some(), "{text} ({:?})", error.hint());
    assert!(key.is_none_or(|key| !format!("{error:?} {text} {:?}", error.hint()).contains(key)), "{text}");
    assert!(content(home) == before, "it touched something");
}

fn content(home: &Home) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(home.folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_none_or(|ending| ending != "lock"));
    let mut files: Vec<_> =
        files.map(|path| (path.display().to_string(), fs::read(&path).unwrap_or_default())).collect();
    files.sort();
    files
}

/// A journal in its file, closed.
async fn made(home: &Home) {
    let mut journal = SqliteJournal::open(home.file()).unwrap();
    journal.recover().await.unwrap();
    journal.close().await;
}

/// Writes four bytes into the header of the file.
fn patch(home: &Home, at: usize, number: i32) {
    let mut bytes = fs::read(home.file()).unwrap();
    bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
    fs::write(home.file(), bytes).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_bot_on_the_file_is_refused_and_the_first_goes_on() {
    let home = Home::new("second");
    let mut bot = home.start(app());
    bot.say("alice", "!ping");
    assert_eq!(bot.hears().await, "pong");
    let error = refused(&home.file(), None).await;
    let text = error.chain();
    assert!(text.contains("is in use by another process") && !text.contains('\n'), "{text}");
    assert!(error.hint().is_some());
    bot.say("alice", "!ping");
    assert_eq!(bot.hears().await, "pong");
    bot.end(End::Stop).await;
    check_start(&home).await;
}

/// A bot starts on the file.
async fn check_start(home: &Home) {
    let mut bot = home.start(app());
    bot.say("bob", "!ping");
    assert_eq!(bot.hears().await, "pong");
    bot.end(End::Stop).await;
}

#[tokio::test(start_paused = true)]
async fn a_bot_on_a_file_of_something_else_is_refused() {
    let home = Home::new("foreign");
    fs::write(home.file(), "a diary\n".repeat(1000)).unwrap();
    check(&home, &home.file(), None, "is not a journal").await;
    fs::remove_file(home.file()).unwrap();
    made(&home).await;
    patch(&home, 68, 0);
    check(&home, &home.file(), None, "is a database of another program").await;
}

#[tokio::test(start_paused = true)]
async fn a_bot_on_a_journal_of_a_newer_version_is_refused() {
    let home = Home::new("newer");
    made(&home).await;
    patch(&home, 60, 999);
    check(&home, &home.file(), None, "newer version (schema 999").await;
    patch(&home, 60, 2);
    check_start(&home).await;
}

#[tokio::test(start_paused = true)]
async fn a_bot_in_a_folder_that_cannot_be_written_is_refused() {
    let home = Home::new("folder");
    // Where even root may not write.
    check(&home, Path::new("/proc/journal.db"), None, "/proc").await;
    check(&home, Path::new("/proc/evenkeel-no-such-folder/journal.db"), None, "/proc").await;
}

#[tokio::test(start_paused = true)]
async fn a_bot_with_a_key_on_a_file_without_one_is_refused() {
    let home = Home::new("key");
    made(&home).await;
    let line = if cfg!(feature = "sqlcipher") { "is not encrypted" } else { "cannot encrypt" };
    check(&home, &home.file(), Some("hunter2"), line).await;
    check_start(&home).await;
}

#[cfg(feature = "sqlcipher")]
#[tokio::test(start_paused = true)]
async fn a_bot_with_a_wrong_key_is_refused() {
    use evenkeel::config::Secret;
    use evenkeel::journal::sqlite::SqliteOptions;
    let home = Home::new("cipher");
    let mut journal = SqliteOptions::new().key(Secret::new("hunter2")).open(home.file()).unwrap();
    journal.recover().await.unwrap();
    journal.close().await;
    check(&home, &home.file(), Some("hunter3"), "the key does not open").await;
    check(&home, &home.file(), None, "or an encrypted one").await;
}

/// A network that lets one account in.
struct Gate {
    account: &'static str,
    lets_in: &'static str,
}

impl Transport for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn identity(&self) -> Option<String> {
        Some(self.account.to_owned())
    }

    async fn open(&self, _: &Start<'_>) -> Result<String> {
        if self.account == self.lets_in { Ok(String::new()) } else { Err(Error::new("no such account")) }
    }

    async fn receive(&self, _: Inbox) -> Result<()> {
        Ok(())
    }

    async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
        Ok(Sent::done())
    }
}

#[tokio::test]
async fn an_account_that_the_network_does_not_let_in_takes_no_journal() {
    let home = Home::new("mistyped");
    let start = async |account, lets_in| {
        let journal = SqliteJournal::open(home.file()).unwrap();
        Bot::new(app())
            .transport(Gate { account, lets_in })
            .with_journal(journal)
            .on_this_runtime()
            .serve()
            .await
    };
    let mistyped = start("0", "1").await.expect_err("nobody knows it").chain();
    assert!(mistyped.contains("no such account"), "{mistyped}");
    start("1", "1").await.expect("the journal is still nobody's");
    let other = start("2", "2").await.expect_err("now it is another's").to_string();
    assert!(other.contains("belongs to another account"), "{other}");
    start("1", "1").await.expect("and stays that one's");
}
