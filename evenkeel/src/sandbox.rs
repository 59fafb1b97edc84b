//! A chat network in memory: a bot with no account, no server and no internet.
//!
//! A [`Sandbox`] holds people, conversations and everything that was said. On one side tests and the page speak as
//! any person; on the other side it is a [`Transport`](crate::Transport), and any bot runs over it.
//!
//! ```
//! use evenkeel::sandbox::Sandbox;
//!
//! let sandbox = Sandbox::new(); // Alice, Bob, Carol, and the group "Crew"
//! let hello = sandbox.say("alice", "crew", "hello @Bob")?;
//! sandbox.react("bob", &hello, "👋")?;
//! assert!(sandbox.say("mallory", "crew", "hello").is_err(), "nobody knows Mallory");
//! # Ok::<(), evenkeel::Error>(())
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::capability::Capabilities;
use crate::error::{Error, Result};
use crate::event::{Attachment, Conversation, Deletion, Edit, MessageId, Reaction, Sender, Typing};
use crate::reply::{Draft, File, Quoting};

mod log;
mod answers;
mod changes;
mod network;
mod answering;
mod reader;
mod bot;
#[cfg(feature = "page")]
mod page;

pub use changes::{Change, Room};
pub use log::{LogEntry, Reactions};
#[cfg(feature = "page")]
pub use page::{Page, Sign, Step};
pub use reader::{Changes, Lagged};

use answers::Answers;
use network::{Network, No, State};

/// How many of the newest messages a [`Scene`] shows.
const LIMIT_SCENE: usize = 1_000;

/// A chat network in memory. Clones are the same network.
///
/// The newest 10,000 messages and 64 MiB of files are kept. What people write while no bot is connected waits for
/// one, in the same process: all of this ends with it, but for what a bot's journal has.
#[derive(Clone, Debug)]
pub struct Sandbox {
    network: Arc<Network>,
    #[cfg(feature = "page")]
    page: Option<Arc<Page>>,
}

/// Everything that a newcomer sees, at one moment.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Scene {
    /// The bot, as a member of every conversation.
    pub bot: Sender,
    /// The conversations: one with each person, and the groups.
    pub rooms: Vec<Room>,
    /// The newest messages of all conversations, oldest first, at most 1,000.
    pub entries: Vec<Arc<LogEntry>>,
    /// Who is typing, and where.
    pub typing: Vec<(Conversation, Sender)>,
    /// Whether a bot is connected.
    pub is_connected: bool,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

/// Making one.
impl Sandbox {
    /// A network with Alice, Bob and Carol, who also meet in the group `crew`.
    pub fn new() -> Self {
        let sandbox = Self::empty();
        sandbox.network.change(|state| {
            let cast = [("alice", "Alice"), ("bob", "Bob"), ("carol", "Carol")];
            let cast = cast.map(|(id, name)| Sender::known_as(id, Some(name), None::<&str>));
            for person in &cast {
                state.open(Conversation::direct(person.id()), person.display_name(), vec![person.clone()]);
            }
            state.open(Conversation::group("crew"), "Crew", cast.to_vec());
        });
        sandbox
    }

    /// A network with nobody in it but the bot.
    pub fn empty() -> Self {
        Self {
            network: Arc::new(Network::new()),
            #[cfg(feature = "page")]
            page: None,
        }
    }

    /// Adds a person, and returns the conversation between that person and the bot.
    ///
    /// # Errors
    ///
    /// When a person or a group of that id exists.
    pub fn add_person(&self, id: &str, name: &str) -> Result<Conversation> {
        let person = Sender::known_as(id, Some(name), None::<&str>);
        self.open(Conversation::direct(id), name, vec![person])
    }

    /// Adds a group of these people and the bot.
    ///
    /// # Errors
    ///
    /// When a person or a group of that id exists, or one of the members does not.
    pub fn add_group(&self, id: &str, name: &str, members: &[&str]) -> Result<Conversation> {
        let members = {
            let state = self.network.lock();
            let members = members.iter().map(|member| state.person(member));
            members.collect::<Result<_, _>>().map_err(Error::new)?
        };
        self.open(Conversation::group(id), name, members)
    }

    fn open(&self, conversation: Conversation, name: &str, members: Vec<Sender>) -> Result<Conversation> {
        self.change(|state| {
            let id = conversation.id();
            if state.room(id).is_ok() || id == state.bot.id() {
                return Err(format!("the sandbox has a person or a group `{id}` already"));
            }
            state.open(conversation.clone(), name, members);
            Ok(conversation)
        })
    }

    /// Makes it a network that wants an answer to each message within this time, or a word that the bot works on it: after that it
    /// takes none. The bot says that word by itself, and its answer takes the place of that.
    ///
    /// ```
    /// use std::time::Duration;
    /// use evenkeel::sandbox::Sandbox;
    ///
    /// let sandbox = Sandbox::new().with_deadline(Duration::from_secs(3));
    /// sandbox.say("alice", "alice", "!report")?;
    /// assert_eq!(sandbox.missed_deadlines(), 0);
    /// # Ok::<(), evenkeel::Error>(())
    /// ```
    #[must_use]
    pub fn with_deadline(self, within: Duration) -> Self {
        self.network.lock().answers = Some(Answers::within(within));
        self
    }

    /// How many messages had neither an answer nor a word in time.
    pub fn missed_deadlines(&self) -> u64 {
        self.network.lock().answers.as_ref().map_or(0, Answers::missed)
    }

    /// Makes it a network that can carry no more than this.
    ///
    /// ```
    /// use evenkeel::capability::{Capabilities, TextLimit};
    /// use evenkeel::sandbox::Sandbox;
    ///
    /// let sandbox = Sandbox::new();
    /// let small = sandbox.capabilities().with_text(TextLimit::Characters(2_000)).without_reactions();
    /// let sandbox = sandbox.with_capabilities(small);
    /// assert!(!sandbox.capabilities().has_reactions);
    /// ```
    #[must_use]
    pub fn with_capabilities(self, capabilities: Capabilities) -> Self {
        self.network.lock().capabilities = capabilities;
        self
    }

    /// What it can carry.
    pub fn capabilities(&self) -> Capabilities {
        self.network.lock().capabilities
    }

    /// Shows this network on a page for as long as a bot is connected.
    #[cfg(feature = "page")]
    #[must_use]
    pub fn with_page(mut self, page: Page) -> Self {
        let capabilities = self.capabilities().with_buttons();
        self.network.lock().capabilities = capabilities;
        self.page = Some(Arc::new(page));
        self
    }
}

/// What people do. Each of these reaches the bot as an [`Event`](crate::Event).
impl Sandbox {
    /// Writes a message. The direct conversation with a person has that person's id; `@Name` mentions a member.
    ///
    /// # Errors
    ///
    /// When the person or the conversation does not exist, the person is not in it, the text is empty or longer than
    /// 64 KiB, or 10,000 events wait for a bot.
    pub fn say(&self, person: &str, conversation: &str, text: impl Into<String>) -> Result<MessageId> {
        let text = text.into();
        self.post(person, conversation, Draft { text, ..Draft::default() })
    }

    /// Writes a message with files, a quote, or mentions of one's own.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::say`], and when a file is larger than 64 MiB.
    pub fn post(&self, person: &str, conversation: &str, draft: Draft) -> Result<MessageId> {
        self.change(|state| state.post_as(person, conversation, draft, Vec::new()))
    }

    /// Writes a message that answers `target`.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::say`], and when there is no such message.
    pub fn answer(
        &self,
        person: &str,
        conversation: &str,
        target: &MessageId,
        text: impl Into<String>,
    ) -> Result<MessageId> {
        self.change(|state| {
            let quote = Quoting::Message(state.quote(target)?);
            let text = text.into();
            let draft = Draft { text, quote, ..Draft::default() };
            state.post_as(person, conversation, draft, Vec::new())
        })
    }

    /// Changes a message of this person.
    ///
    /// # Errors
    ///
    /// When the person or the message does not exist, or the message is somebody else's.
    pub fn edit(&self, person: &str, target: &MessageId, text: impl Into<String>) -> Result<()> {
        self.change(|state| {
            state.check_room_for_event()?;
            let person = state.person(person)?;
            let text = text.into();
            if text.is_empty() {
                return Err("an edited message needs words; delete it instead".to_owned());
            }
            let entry = state.edit(&person, target, Draft { text, ..Draft::default() })?;
            let edit = Edit { target: target.clone(), message: entry.message.clone() };
            state.tell_bot(&person, &entry.conversation, edit);
            Ok(())
        })
    }

    /// Deletes a message of this person for everyone.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::edit`].
    pub fn delete(&self, person: &str, target: &MessageId) -> Result<()> {
        self.change(|state| {
            state.check_room_for_event()?;
            let person = state.person(person)?;
            let entry = state.delete(&person, target)?;
            let target = target.clone();
            state.tell_bot(&person, &entry.conversation, Deletion { target });
            Ok(())
        })
    }

    /// Reacts to a message. Doing so twice is doing it once.
    ///
    /// # Errors
    ///
    /// When the person or the message does not exist, the person is not in its conversation, the emoji is empty or
    /// longer than 64 bytes, or the message carries 20 different ones already.
    pub fn react(&self, person: &str, target: &MessageId, emoji: &str) -> Result<()> {
        self.change(|state| state.react_as(person, target, emoji, false))
    }

    /// Takes a reaction back.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::react`].
    pub fn unreact(&self, person: &str, target: &MessageId, emoji: &str) -> Result<()> {
        self.change(|state| state.react_as(person, target, emoji, true))
    }

    /// Begins to type. Sending a message ends it.
    ///
    /// # Errors
    ///
    /// When the person or the conversation does not exist, or the person is not in it.
    pub fn start_typing(&self, person: &str, conversation: &str) -> Result<()> {
        self.change(|state| state.type_as(person, conversation, true))
    }

    /// Ceases to type.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::start_typing`].
    pub fn stop_typing(&self, person: &str, conversation: &str) -> Result<()> {
        self.change(|state| state.type_as(person, conversation, false))
    }

    /// The one way in for people: errors become [`Error`]s, readers and bot are woken.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, No>) -> Result<T> {
        self.network.change(change).map_err(Error::new)
    }
}

/// What there is to see.
impl Sandbox {
    /// A message as it is now.
    pub fn entry(&self, id: &MessageId) -> Option<Arc<LogEntry>> {
        self.network.lock().log.get(id).cloned()
    }

    /// A file that came with a message, while it is kept.
    pub fn file(&self, id: &str) -> Option<File> {
        self.network.lock().files.get(id).cloned()
    }

    /// Follows everything that happens from now on.
    pub fn changes(&self) -> Changes {
        let state = self.network.lock();
        self.follow(&state)
    }

    /// Everything there is, and whatever happens after that: nothing falls between the two.
    pub fn watch(&self) -> (Scene, Changes) {
        let state = self.network.lock();
        let scene = Scene {
            bot: state.bot.clone(),
            rooms: state.rooms.clone(),
            entries: state.log.newest(LIMIT_SCENE),
            typing: state.typing.clone(),
            is_connected: state.bots > 0,
        };
        (scene, self.follow(&state))
    }

    fn follow(&self, state: &State) -> Changes {
        Changes::new(Arc::clone(&self.network), state.recent.count(), self.network.news())
    }
}

/// What people do, under the lock.
impl State {
    fn post_as(
        &mut self,
        person: &str,
        conversation: &str,
        draft: Draft,
        uploaded: Vec<Attachment>,
    ) -> Result<MessageId, No> {
        self.check_room_for_event()?;
        let (person, conversation) = self.member(person, conversation)?;
        let entry = self.post(&person, &conversation, draft, uploaded)?;
        self.tell_bot(&person, &conversation, entry.message.clone());
        Ok(entry.message.id.clone())
    }

    fn react_as(
        &mut self,
        person: &str,
        target: &MessageId,
        emoji: &str,
        is_removed: bool,
    ) -> Result<(), No> {
        self.check_room_for_event()?;
        let conversation = self.standing(target)?.conversation.clone();
        let (person, conversation) = self.member(person, conversation.id())?;
        if self.react(&person, target, emoji, is_removed)?.is_some() {
            let reaction = Reaction { target: target.clone(), emoji: emoji.to_owned(), is_removed };
            self.tell_bot(&person, &conversation, reaction);
        }
        Ok(())
    }

    fn type_as(&mut self, person: &str, conversation: &str, is_started: bool) -> Result<(), No> {
        self.check_room_for_event()?;
        let (person, conversation) = self.member(person, conversation)?;
        if self.set_typing(&person, &conversation, is_started) {
            self.tell_bot(&person, &conversation, Typing { is_started });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
