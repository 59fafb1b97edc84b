//! The rules of the sandbox: who is there, who may do what, and what becomes of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::answers::Answers;
use super::changes::{Change, Recent, Room};
use super::log::{Files, LIMIT_FILE_BYTES, Log, LogEntry, Reactions};
use crate::capability::{Capabilities, TextLimit};
use crate::event::{Attachment, Conversation, Event, EventKind, Mention, Message, MessageId, Quote, Sender};
use crate::moment;
use crate::reply::{Draft, File, Quoting};
use crate::transport::FreshIds;

/// The longest text of one message.
pub(super) const LIMIT_TEXT_BYTES: usize = 64 << 10;
/// How many events wait for a bot before nobody may write any more.
const LIMIT_PENDING: usize = 10_000;
/// How many different emoji one message may carry.
const LIMIT_EMOJI: usize = 20;
/// The longest emoji: a family with skin tones has 41 bytes.
const LIMIT_EMOJI_BYTES: usize = 64;

/// Why something was not done, for anyone who asked.
pub(super) type No = String;

/// What all clones of a sandbox share.
#[derive(Debug)]
pub(super) struct Network {
    state: Mutex<State>,
    /// How many changes there have been; readers wait on it.
    news: watch::Sender<u64>,
    /// Wakes the bot's `receive` when an event is pending.
    pub(super) arrival: Notify,
    /// Wakes those who wait until no event is pending.
    pub(super) departure: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) bot: Sender,
    pub(super) rooms: Vec<Room>,
    pub(super) log: Log,
    pub(super) files: Files,
    pub(super) recent: Recent,
    /// Who is typing, and where.
    pub(super) typing: Vec<(Conversation, Sender)>,
    /// What no bot has accepted yet.
    pub(super) pending: VecDeque<Event>,
    pub(super) bots: usize,
    /// Messages that want answers in time, where the network wants that.
    pub(super) answers: Option<Answers>,
    pub(super) capabilities: Capabilities,
    ids: FreshIds,
    began: Instant,
    began_ms: u64,
}

impl Network {
    pub(super) fn new() -> Self {
        let began_ms = moment::now_ms();
        let state = State {
            bot: Sender::known_as("bot", Some("Evenkeel"), None::<&str>),
            rooms: Vec::new(),
            log: Log::default(),
            files: Files::default(),
            recent: Recent::default(),
            typing: Vec::new(),
            pending: VecDeque::new(),
            bots: 0,
            answers: None,
            capabilities: Capabilities::default()
                .with_text(TextLimit::Bytes(LIMIT_TEXT_BYTES))
                .with_files(usize::MAX, LIMIT_FILE_BYTES as u64),
            ids: FreshIds::new(),
            began: Instant::now(),
            began_ms,
        };
        Self {
            state: Mutex::new(state),
            news: watch::Sender::new(0),
            arrival: Notify::new(),
            departure: Notify::new(),
        }
    }

    /// For readers. Anyone who changes something uses [`Network::change`].
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock, so a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes the readers and the bot.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let answer = change(&mut state);
        let (count, is_pending) = (state.recent.count(), !state.pending.is_empty());
        drop(state);
        self.news.send_if_modified(|seen| {
            let is_new = *seen < count;
            *seen = count.max(*seen);
            is_new
        });
        if is_pending {
            self.arrival.notify_one();
        }
        answer
    }

    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }
}

/// Who is there.
impl State {
    pub(super) fn open(&mut self, conversation: Conversation, name: &str, mut members: Vec<Sender>) {
        members.push(self.bot.clone());
        let name = name.into();
        let room = Room { conversation, name, members };
        self.rooms.push(room.clone());
        self.recent.push(Change::Opened { room });
    }

    pub(super) fn room(&self, id: &str) -> Result<&Room, No> {
        self.rooms
            .iter()
            .find(|room| room.conversation.id() == id)
            .ok_or_else(|| format!("there is no conversation `{id}` in the sandbox"))
    }

    /// A person by id. Everybody has a direct conversation of that name.
    pub(super) fn person(&self, id: &str) -> Result<Sender, No> {
        self.rooms
            .iter()
            .filter(|room| !room.conversation.is_group())
            .find_map(|room| room.members.first().filter(|member| member.id() == id))
            .cloned()
            .ok_or_else(|| format!("there is no person `{id}` in the sandbox"))
    }

    /// A person and a conversation that the person is in.
    pub(super) fn member(&self, person: &str, conversation: &str) -> Result<(Sender, Conversation), No> {
        let person = self.person(person)?;
        let room = self.room(conversation)?;
        if !room.members.contains(&person) {
            let (name, room) = (person.display_name(), &room.name);
            return Err(format!("{name} is not in the conversation `{room}`"));
        }
        Ok((person, room.conversation.clone()))
    }
}

/// What anybody may do, the bot included.
impl State {
    pub(super) fn post(
        &mut self,
        author: &Sender,
        conversation: &Conversation,
        draft: Draft,
        uploaded: Vec<Attachment>,
    ) -> Result<Arc<LogEntry>, No> {
        check_text(&draft.text)?;
        if draft.text.is_empty() && draft.files.is_empty() && uploaded.is_empty() {
            return Err("a message needs words or a file".to_owned());
        }
        let files: Vec<Attachment> =
            draft.files.into_iter().map(|file| self.keep(file)).collect::<Result<_, _>>()?;
        let message = Message {
            id: MessageId::new(self.id("")),
            mentions: self.mentions(conversation, &draft.text, draft.mentions),
            text: draft.text,
            attachments: uploaded.into_iter().chain(files).collect(),
            quote: match draft.quote {
                Quoting::Message(quote) => Some(quote),
                Quoting::Asked | Quoting::Nothing => None,
            },
        };
        let entry = Arc::new(LogEntry {
            message,
            conversation: conversation.clone(),
            author: author.clone(),
            reactions: Vec::new(),
            choices: draft.choices,
            is_styled: draft.is_styled,
            is_edited: false,
            is_deleted: false,
            sent_ms: self.now_ms(),
        });
        self.set_typing(author, conversation, false);
        self.log.push(Arc::clone(&entry));
        let posted = Arc::clone(&entry);
        self.recent.push(Change::Posted { entry: posted });
        Ok(entry)
    }

    pub(super) fn edit(
        &mut self,
        author: &Sender,
        target: &MessageId,
        draft: Draft,
    ) -> Result<Arc<LogEntry>, No> {
        check_text(&draft.text)?;
        let conversation = self.own(author, target, "edit")?.conversation.clone();
        let mentions = self.mentions(&conversation, &draft.text, draft.mentions);
        let files: Vec<Attachment> =
            draft.files.into_iter().map(|file| self.keep(file)).collect::<Result<_, _>>()?;
        let changed = self.log.change(target, |entry| {
            entry.message.text = draft.text;
            entry.message.mentions = mentions;
            entry.message.attachments.extend(files);
            entry.is_styled = draft.is_styled;
            entry.is_edited = true;
        });
        let entry = changed.ok_or_else(|| gone(target))?;
        let edited = Arc::clone(&entry);
        self.recent.push(Change::Edited { entry: edited });
        Ok(entry)
    }

    pub(super) fn delete(&mut self, author: &Sender, target: &MessageId) -> Result<Arc<LogEntry>, No> {
        self.own(author, target, "delete")?;
        let changed = self.log.change(target, |entry| {
            let id = entry.message.id.as_str().to_owned();
            entry.message = Message::text(id, "");
            entry.reactions.clear();
            entry.is_deleted = true;
        });
        let entry = changed.ok_or_else(|| gone(target))?;
        let deleted = Arc::clone(&entry);
        self.recent.push(Change::Deleted { entry: deleted });
        Ok(entry)
    }

    /// Adds a reaction or takes it back; `None` when that changes nothing.
    pub(super) fn react(
        &mut self,
        by: &Sender,
        target: &MessageId,
        emoji: &str,
        is_removed: bool,
    ) -> Result<Option<Arc<LogEntry>>, No> {
        let entry = self.standing(target)?;
        let same = entry.reactions.iter().find(|reactions| reactions.emoji == emoji);
        if same.is_some_and(|same| same.people.contains(by)) != is_removed {
            return Ok(None);
        }
        if emoji.is_empty() || emoji.len() > LIMIT_EMOJI_BYTES {
            return Err(format!("a reaction has between 1 and {LIMIT_EMOJI_BYTES} bytes"));
        }
        if same.is_none() && entry.reactions.len() == LIMIT_EMOJI {
            return Err(format!("a message carries at most {LIMIT_EMOJI} different emoji"));
        }
        let changed = self.log.change(target, |entry| {
            recount(&mut entry.reactions, by, emoji, is_removed);
        });
        let entry = changed.ok_or_else(|| gone(target))?;
        self.recent.push(Change::Reacted {
            entry: Arc::clone(&entry),
            by: by.clone(),
            emoji: emoji.to_owned(),
            is_removed,
        });
        Ok(Some(entry))
    }

    /// Whether that changed anything.
    pub(super) fn set_typing(&mut self, by: &Sender, conversation: &Conversation, is_started: bool) -> bool {
        let before = self.typing.len();
        let is_this = |(place, who): &(Conversation, Sender)| place == conversation && who == by;
        if !is_started {
            self.typing.retain(|typing| !is_this(typing));
        } else if !self.typing.iter().any(is_this) {
            self.typing.push((conversation.clone(), by.clone()));
        }
        let has_changed = self.typing.len() != before;
        if has_changed {
            self.recent.push(Change::Typing {
                conversation: conversation.clone(),
                by: by.clone(),
                is_started,
            });
        }
        has_changed
    }

    /// Stores a file that a message will carry.
    pub(super) fn keep(&mut self, file: File) -> Result<Attachment, No> {
        if file.bytes.len() > LIMIT_FILE_BYTES {
            let (size, limit) = (file.bytes.len() >> 20, LIMIT_FILE_BYTES >> 20);
            return Err(format!("a file of {size} MiB does not fit: the sandbox keeps {limit} MiB"));
        }
        let id = self.id("file-").into();
        Ok(self.files.keep(id, file))
    }

    /// A message that is there and not deleted.
    pub(super) fn standing(&self, target: &MessageId) -> Result<&Arc<LogEntry>, No> {
        match self.log.get(target) {
            Some(entry) if entry.is_deleted => Err(format!("message `{}` was deleted", target.as_str())),
            Some(entry) => Ok(entry),
            None => Err(gone(target)),
        }
    }

    fn own(&self, author: &Sender, target: &MessageId, verb: &str) -> Result<&Arc<LogEntry>, No> {
        let entry = self.standing(target)?;
        if entry.author != *author {
            let (author, owner) = (author.display_name(), entry.author.display_name());
            return Err(format!("{author} cannot {verb} message `{}` of {owner}", target.as_str()));
        }
        Ok(entry)
    }

    /// The given mentions that fit the text; without any, every `@Name` of somebody in the conversation.
    fn mentions(&self, conversation: &Conversation, text: &str, given: Vec<Mention>) -> Vec<Mention> {
        let mut mentions = given;
        mentions.retain(|mention| text.get(mention.range.clone()).is_some());
        if mentions.is_empty()
            && let Ok(room) = self.room(conversation.id())
        {
            mentions = find_mentions(text, &room.members);
        }
        mentions
    }
}

/// What the bot gets to hear.
impl State {
    pub(super) fn check_room_for_event(&self) -> Result<(), No> {
        if self.pending.len() < LIMIT_PENDING {
            return Ok(());
        }
        Err(format!("{LIMIT_PENDING} events wait for the bot already"))
    }

    pub(super) fn tell_bot(&mut self, by: &Sender, conversation: &Conversation, what: impl Into<EventKind>) {
        let what = what.into();
        let id = match &what {
            EventKind::Message(message) => message.id.as_str().to_owned(),
            _ => self.id("event-"),
        };
        let names_somebody =
            matches!(&what, EventKind::Message(m) if !m.mentions.is_empty() || m.quote.is_some());
        let mut event = Event::new(id, conversation.clone(), by.clone(), what).with_sent_ms(self.now_ms());
        if names_somebody {
            event = event.with_bot(self.bot.clone());
        }
        if let Some(answers) = &mut self.answers {
            event = answers.expect(event);
        }
        self.pending.push_back(event);
    }

    /// What a quote of this message looks like.
    pub(super) fn quote(&self, target: &MessageId) -> Result<Quote, No> {
        let entry = self.standing(target)?;
        Ok(Quote { id: target.clone(), author: Some(entry.author.clone()), text: entry.message.text.clone() })
    }

    pub(super) fn now_ms(&self) -> u64 {
        let elapsed = Instant::now().saturating_duration_since(self.began);
        self.began_ms + u64::try_from(elapsed.as_millis()).unwrap_or(0)
    }

    fn id(&mut self, kind: &str) -> String {
        format!("{kind}{}", self.ids.fresh())
    }
}

fn check_text(text: &str) -> Result<(), No> {
    if text.len() <= LIMIT_TEXT_BYTES {
        return Ok(());
    }
    Err(format!("a message has at most {LIMIT_TEXT_BYTES} bytes of text, not {}", text.len()))
}

fn gone(target: &MessageId) -> No {
    format!("there is no message `{}`, or it is too old to be kept", target.as_str())
}

fn recount(reactions: &mut Vec<Reactions>, by: &Sender, emoji: &str, is_removed: bool) {
    match reactions.iter_mut().find(|same| same.emoji == emoji) {
        Some(same) if is_removed => same.people.retain(|person| person != by),
        Some(same) => same.people.push(by.clone()),
        None => reactions.push(Reactions { emoji: emoji.to_owned(), people: vec![by.clone()] }),
    }
    reactions.retain(|same| !same.people.is_empty());
}

fn find_mentions(text: &str, members: &[Sender]) -> Vec<Mention> {
    let mut mentions = Vec::new();
    for (at, _) in text.match_indices('@') {
        let rest = &text[at + 1..];
        let named = |member: &&Sender| {
            let name = member.display_name();
            let is_there = rest.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name));
            is_there && !rest[name.len()..].starts_with(char::is_alphanumeric)
        };
        // Of `Ann` and `Ann Lee`, the longer one is meant.
        let longest = members.iter().filter(named).max_by_key(|member| member.display_name().len());
        if let Some(who) = longest {
            let end = at + 1 + who.display_name().len();
            mentions.push(Mention { who: who.clone(), range: at..end });
        }
    }
    mentions
}
