//! Signal for Evenkeel, through [`signal-cli-rest-api`](https://github.com/bbernhard/signal-cli-rest-api).
//!
//! ```no_run
//! # async fn example() -> evenkeel::Result<()> {
//! use evenkeel::Transport;
//! use evenkeel::transport::Start;
//! use evenkeel_signal::Signal;
//!
//! // SIGNAL_PHONE_NUMBER and SIGNAL_API_URL, from the environment, `.env` or `evenkeel.toml`.
//! let signal = Signal::from_env()?;
//! println!("{}", signal.open(&Start::default()).await?);
//! # Ok(())
//! # }
//! ```
//!
//! `evenkeel::run(Signal::from_env()?, app())` makes a bot of it. The server must run with `MODE=json-rpc`; all
//! settings are in `docs/configuration.md`.
//!
//! # What to know
//!
//! - The server keeps nothing: a message that arrives while the bot is not connected is lost upstream. This crate reads
//!   without ever waiting, notices a dead connection, returns at once, and logs how long it was deaf.
//! - The server has no idempotency keys. A send whose outcome is unknown is never repeated on its own.
//! - A conversation with a person has their uuid as its id, else their number. A group has its internal id; both
//!   forms of a group's id are understood, see [`GroupId`].
//! - A person's [`Sender::alias`](evenkeel::Sender::alias) is their phone number, where they show it.
//! - What the account's owner writes on other devices counts only in "Note to Self", see [`OwnMessages`].
//! - Exceptions, error frames, garbage and broken messages are counted as undeliverable; receipts of other
//!   devices, contact syncs and empty envelopes carry nothing for a bot and pass in silence.
//!
//! # What it carries
//!
//! | | at most | from |
//! |---|---|---|
//! | text of a message, also of an edit | 64 KiB (65,536 bytes); more becomes several messages | `MAX_TOTAL_BODY_SIZE_BYTES` of Signal-Android, `MAX_BODY_ATTACHMENT_BYTE_LENGTH` of Signal-Desktop |
//! | files of a message | 31; more come in further messages | 32 of Signal-Android (`android.attachments.maxCount`), of which a text of more than 2,000 bytes takes one: signal-cli sends it as a file, and people read it in one piece |
//! | a file | 102,224,512 bytes; a larger one is refused to the handler | 100 MiB once it is encrypted and filled up (`global.attachments.maxBytes`); the server refuses more with 413 |
//!
//! Messages can be edited, deleted, reacted to and quoted, and typing is shown. There are no buttons: the choices of a question
//! are a list. Signal may change the numbers of files from afar, and has its own ideas of how old a message may be that is
//! edited or deleted, which its programs keep to themselves: nothing says that such a change was not shown.
//!
//! # The rooms
//!
//! ```text
//! config      settings and addresses
//! ids         names on the wire and ours
//! envelope    from a frame to an event: wire, people, content; loose and utf16 help it
//! api         connections and requests
//! receive     the WebSocket; reconnecting says how long it waits
//! send        from an action to a request (body), and what the answer means (answer)
//! open        the look before the start
//! limits      what Signal carries
//! signal      the transport: settings in, rooms wired together
//! standin     a server for tests (feature `standin`)
//! ```

#![forbid(unsafe_code)]

mod host;
mod config;
mod loose;
mod utf16;
mod limits;
mod ids;
mod own;
mod envelope;
mod connections;
mod api;
mod reconnecting;
mod receive;
mod send;
mod open;
mod signal;

#[cfg(feature = "standin")]
pub mod standin;

pub use config::OwnMessages;
pub use ids::GroupId;
pub use open::Examined;
pub use send::answer::RateLimited;
pub use signal::Signal;
