//! Names on the wire, and what Evenkeel calls them.
//!
//! | thing | Evenkeel | wire |
//! |---|---|---|
//! | person | uuid in lower case, else phone number | `sourceUuid`, `sourceNumber`, `source`; what is neither is no name |
//! | group | internal id: base64 of 32 bytes | received: the same; sent: `group.` and base64 of it |
//! | message | `<timestamp>/<author>`, the bot itself being `self` | author and timestamp, apart |
//!
//! The conversion happens here and nowhere else. `self` stands for the bot's account, because the wire names it now
//! by its number and now by its uuid, and one message should have one name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use evenkeel::transport::Inbox;
use evenkeel::{Conversation, MessageId, Sender};

/// What a message id holds in place of the bot's own number or uuid.
const SELF: &str = "self";
const PREFIX: &str = "group.";
/// What a kept number is called, before the uuid.
const NUMBER_OF: &str = "number of ";

/// A group, by its internal id: the one that received messages carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupId(Arc<str>);

impl GroupId {
    /// Takes either form of a group's id: the internal one, or the one with `group.` that endpoints take.
    pub fn new(id: &str) -> Self {
        let internal = id
            .strip_prefix(PREFIX)
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        Self(internal.map_or_else(|| id.into(), Into::into))
    }

    /// Returns the internal id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form that endpoints take.
    pub fn rest_id(&self) -> String {
        let mut id = PREFIX.to_owned();
        STANDARD.encode_string(self.0.as_bytes(), &mut id);
        id
    }

    /// Returns the conversation in which this group's messages arrive.
    ///
    /// ```
    /// use evenkeel_signal::GroupId;
    ///
    /// let internal = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    /// let group = GroupId::new("group.QUFFQ0F3UUZCZ2NJQ1FvTERBME9EeEFSRWhNVUZSWVhHQmthR3h3ZEhoOD0=");
    /// assert_eq!(group.conversation().id(), internal);
    /// assert_eq!(group, GroupId::new(internal));
    /// ```
    pub fn conversation(&self) -> Conversation {
        Conversation::group(Arc::clone(&self.0))
    }
}

/// Whether this is the internal id of a group: base64 of 32 bytes, or of the 16 that groups of old had.
pub(crate) fn is_group_id(id: &str) -> bool {
    STANDARD.decode(id).is_ok_and(|bytes| matches!(bytes.len(), 16 | 32))
}

/// Longer than any number is, and shorter than any that is one.
const DIGITS: RangeInclusive<usize> = 5..=19;
/// Where the hyphens of a uuid are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The one spelling of a person's uuid; `None` is no uuid, or the one with which signal-cli names nobody.
pub(crate) fn person_uuid(text: &str) -> Option<Cow<'_, str>> {
    let is_right = |(at, byte): (usize, u8)| match HYPHENS.contains(&at) {
        true => byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    let is_uuid = text.len() == 36 && text.bytes().enumerate().all(is_right);
    let is_nobody = text.bytes().all(|byte| matches!(byte, b'0' | b'-'));
    if !is_uuid || is_nobody {
        return None;
    }
    let has_capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if has_capitals { text.to_ascii_lowercase().into() } else { text.into() })
}

/// A person's phone number, as signal-cli writes it; anything else is no name.
pub(crate) fn person_number(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('+')?;
    let is_number = DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

/// The bot's own account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) number: String,
    /// No endpoint tells it; it is learnt from the first frame that names it beside the number.
    uuid: OnceLock<String>,
    /// Tells accounts apart in the ids of events without showing the number.
    pub(crate) mark: u32,
    pub(crate) people: Pairs,
}

/// Who has which number: the wire does not always name both.
#[derive(Debug, Default)]
pub(crate) struct Pairs(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// A pair stands here from both sides.
    pairs: HashMap<Box<str>, Box<str>>,
    /// What the journal has yet to be told: a uuid and its number, or none if it is not known any more.
    news: Vec<(Box<str>, Option<Box<str>>)>,
}

/// This many people; beyond that one makes room for the next.
const MOST_PAIRS: usize = 50_000;

impl Known {
    /// A number that has changed hands is nobody else's any more, and neither is the number that this person had. That must
    /// hold however many are known: somebody may be allowed by a number.
    fn change(&mut self, number: &str, uuid: &str) {
        if let Some(former) = self.pairs.remove(number) {
            self.pairs.remove(&former);
            self.news.push((former, None));
        }
        if let Some(former) = self.pairs.remove(uuid) {
            self.pairs.remove(&former);
        }
        if !self.has_room() {
            self.forget_one();
        }
        self.add(number, uuid);
        self.news.push((uuid.into(), Some(number.into())));
    }

    /// Somebody makes room, no matter who it is: known again from the next frame on that names both.
    fn forget_one(&mut self) {
        let Some(one) = self.pairs.keys().find(|one| !one.starts_with('+')).cloned() else { return };
        if let Some(number) = self.pairs.remove(&one) {
            self.pairs.remove(&number);
        }
        self.news.push((one, None));
    }

    fn has_room(&self) -> bool {
        self.pairs.len() < 2 * MOST_PAIRS
    }

    fn add(&mut self, number: &str, uuid: &str) {
        self.pairs.insert(number.into(), uuid.into());
        self.pairs.insert(uuid.into(), number.into());
    }
}

impl Pairs {
    /// What was not taken yet of what has changed: uuids and their numbers, or `None` for those that have none any more.
    pub(crate) fn take_news(&self) -> Vec<(Box<str>, Option<Box<str>>)> {
        std::mem::take(&mut self.locked().news)
    }

    /// Takes up a pair of an earlier run. What this one has heard is newer.
    pub(crate) fn restore(&self, number: &str, uuid: &str) {
        let mut known = self.locked();
        let is_new = !known.pairs.contains_key(number) && !known.pairs.contains_key(uuid);
        if is_new && known.has_room() {
            known.add(number, uuid);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        // Nothing panics under this lock; a poisoned one would be as good as new.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of somebody, given what a frame says: number and uuid.
    pub(crate) fn complete(
        &self,
        number: Option<&str>,
        uuid: Option<&str>,
    ) -> (Option<String>, Option<String>) {
        let mut known = self.locked();
        let pairs = &known.pairs;
        let other = |one: Option<&str>| pairs.get(one?).map(|other| other.clone().into_string());
        match (number, uuid) {
            (Some(number), Some(uuid)) => {
                let is_known = pairs.get(uuid).is_some_and(|known| **known == *number)
                    && pairs.get(number).is_some_and(|known| **known == *uuid);
                if !is_known {
                    known.change(number, uuid);
                }
                (Some(number.to_owned()), Some(uuid.to_owned()))
            }
            (number, None) => (number.map(str::to_owned), other(number)),
            (None, uuid) => (other(uuid), uuid.map(str::to_owned)),
        }
    }
}

impl Account {
    pub(crate) fn new(number: String) -> Self {
        // FNV-1a: it has to be the same in the next run, which std's hashers do not promise.
        let mark = number
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self { number, uuid: OnceLock::new(), mark, people: Pairs::default() }
    }

    /// Writes down for the next starts who has which number, as far as that is new.
    pub(crate) fn keep(&self, inbox: &Inbox) {
        for (uuid, number) in self.people.take_news() {
            let number = number.map(|number| Bytes::from(number.into_string()));
            inbox.keep(format!("{NUMBER_OF}{uuid}"), number);
        }
    }

    /// Takes up what earlier runs wrote down.
    pub(crate) fn restore(&self, kept: &[(String, Bytes)]) {
        for (name, number) in kept {
            let (Some(uuid), Ok(number)) = (name.strip_prefix(NUMBER_OF), std::str::from_utf8(number)) else {
                continue;
            };
            // An earlier version kept whatever the wire said.
            let (Some(number), Some(uuid)) = (person_number(number), person_uuid(uuid)) else { continue };
            let uuid = &*uuid;
            self.people.restore(number, uuid);
            // Says who the bot is, if it is the bot.
            self.is(Some(number), Some(uuid));
        }
    }

    /// Tells accounts apart without showing the number, the same in each run: FNV-1a.
    pub(crate) fn fingerprint(&self) -> u64 {
        let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self.number.bytes().fold(0xcbf2_9ce4_8422_2325, add)
    }

    /// Whether either of these names the bot; remembers the uuid that comes with its number.
    pub(crate) fn is(&self, number: Option<&str>, uuid: Option<&str>) -> bool {
        if number == Some(&*self.number) {
            if let (Some(uuid), None) = (uuid, self.uuid.get()) {
                // Lost only to another thread that learnt the same.
                let _ = self.uuid.set(uuid.to_owned());
                // The next start knows it as well, and does not have to learn it from a mention.
                self.people.complete(number, Some(uuid));
            }
            return true;
        }
        uuid.is_some_and(|uuid| uuid == self.number || self.uuid.get().is_some_and(|own| own == uuid))
    }

    /// The bot, as far as its addresses are known.
    pub(crate) fn person(&self) -> Sender {
        let id = self.uuid.get().unwrap_or(&self.number);
        Sender::known_as(id.as_str(), None::<&str>, Some(&*self.number).filter(|number| number != id))
    }

    /// Names the message that `author` sent at `timestamp`.
    pub(crate) fn message_id(&self, timestamp: u64, number: Option<&str>, uuid: Option<&str>) -> MessageId {
        MessageId::new(self.message_name(timestamp, number, uuid))
    }

    /// The text of that message's id.
    pub(crate) fn message_name(&self, timestamp: u64, number: Option<&str>, uuid: Option<&str>) -> String {
        let author = if self.is(number, uuid) { SELF } else { uuid.or(number).unwrap_or("") };
        let mut name = String::with_capacity(64);
        // Writing to a `String` does not fail.
        let _ = write!(name, "{timestamp}/{author}");
        name
    }

    /// Names a message of the bot's own.
    pub(crate) fn own_message_id(timestamp: u64) -> MessageId {
        MessageId::new(format!("{timestamp}/{SELF}"))
    }

    /// The timestamp of a message of the bot's own.
    pub(crate) fn own_timestamp(id: &MessageId) -> Option<u64> {
        id.as_str().split_once('/')?.0.parse().ok()
    }

    /// Returns when the message was sent and by whom, as endpoints want it; `None` if it is no name of ours.
    pub(crate) fn target<'a>(&'a self, id: &'a MessageId) -> Option<(u64, &'a str)> {
        let (timestamp, author) = id.as_str().split_once('/')?;
        let author = if author == SELF { &*self.number } else { author };
        // The author may have had no name.
        Some((timestamp.parse().ok()?, author)).filter(|(_, author)| !author.is_empty())
    }

    /// Returns the recipient that endpoints take for a conversation.
    pub(crate) fn recipient(conversation: &Conversation) -> Cow<'_, str> {
        if conversation.is_group() {
            GroupId::new(conversation.id()).rest_id().into()
        } else {
            conversation.id().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "00000000-0000-4000-8000-000000000000";

    #[test]
    fn a_message_of_the_bot_has_one_name_by_number_and_by_uuid() {
        let account = Account::new("+15550100000".into());
        let by_both = account.message_id(7, Some("+15550100000"), Some(UUID));
        assert_eq!(by_both, Account::own_message_id(7));
        assert_eq!(account.message_id(7, None, Some(UUID)), by_both, "the uuid was learnt");
        assert_eq!(account.target(&by_both), Some((7, "+15550100000")));
        assert!(!account.is(None, None));
    }

    #[test]
    fn a_foreign_id_is_no_target() {
        let account = Account::new("+15550100000".into());
        for id in ["", "7", "x/y", "-1/y", "7/"] {
            assert_eq!(account.target(&MessageId::new(id)), None, "{id}");
        }
    }

    #[test]
    fn what_is_no_id_of_a_group_is_told() {
        assert!(is_group_id("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));
        assert!(is_group_id("AAECAwQFBgcICQoLDA0ODw=="));
        for id in ["", " ", "%%", "AAEC", "group.AAEC", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"] {
            assert!(!is_group_id(id), "{id}");
        }
    }

    #[test]
    fn who_was_seen_with_number_and_uuid_is_known_by_either() {
        let (number, uuid) = ("+15550100001", UUID);
        let pairs = Pairs::default();
        assert_eq!(pairs.complete(None, Some(uuid)), (None, Some(uuid.to_owned())));
        let both = pairs.complete(Some(number), Some(uuid));
        assert_eq!(pairs.complete(None, Some(uuid)), both);
        assert_eq!(pairs.complete(Some(number), None), both);
        pairs.complete(Some(number), Some("another"));
        assert_eq!(pairs.complete(None, Some(uuid)), (None, Some(uuid.to_owned())), "it has changed hands");
        assert_eq!(pairs.complete(None, None), (None, None));
    }

    #[test]
    fn a_number_that_changes_hands_is_lost_however_many_are_known() {
        let pairs = Pairs::default();
        pairs.complete(Some("+1"), Some("a"));
        pairs.complete(Some("+2"), Some("b"));
        for n in 0..MOST_PAIRS {
            pairs.complete(Some(&format!("+9{n}")), Some(&format!("many {n}")));
        }
        pairs.take_news();
        assert!(!pairs.locked().has_room());
        pairs.complete(Some("+1"), Some("c"));
        assert_eq!(pairs.complete(None, Some("a")), (None, Some("a".to_owned())), "it is another's");
        assert_eq!(pairs.complete(Some("+1"), None).1.as_deref(), Some("c"), "who takes the free place");
        pairs.complete(Some("+3"), Some("d"));
        assert_eq!(pairs.complete(None, Some("d")).0.as_deref(), Some("+3"), "somebody makes room");
        pairs.complete(Some("+1"), Some("b"));
        let news: Vec<_> =
            pairs.take_news().into_iter().map(|(uuid, number)| format!("{uuid} {number:?}")).collect();
        let forgotten = news.iter().filter(|one| one.starts_with("many") && one.ends_with("None")).count();
        for known in ["a None", "c Some(\"+1\")", "d Some(\"+3\")", "b Some(\"+1\")"] {
            assert!(news.iter().any(|one| one == known), "{known}: {news:?}");
        }
        assert!(news.len() <= 8 && forgotten >= 1, "{news:?}");
        assert_eq!(pairs.complete(Some("+2"), None).1, None, "the number that `b` had is nobody's");
        assert!(pairs.locked().pairs.len() <= 2 * MOST_PAIRS);
    }

    #[test]
    fn a_person_is_a_uuid_or_a_number() {
        assert_eq!(person_uuid(UUID).as_deref(), Some(UUID));
        let upper = "AbCdEf01-2345-4789-8ABC-DEF012345678";
        assert_eq!(person_uuid(upper).as_deref(), Some("abcdef01-2345-4789-8abc-def012345678"));
        assert_eq!(person_number("+15550100001"), Some("+15550100001"));
        for nobody in [
            "",
            "null",
            "+",
            "../x",
            "u:name.01",
            "\0x",
            "+1555",
            "+15550100001\n",
            " +15550100001",
            "+1 555 0100001",
            "+\u{661}\u{661}\u{661}\u{661}\u{661}",
            "+12345678901234567890",
            "00000000-0000-0000-0000-000000000000",
            "00000000000040008000000000000000abcd",
            "0000000-00000-4000-8000-00000000000a",
            "PNI:11111111-1111-4111-8111-111111111111",
        ] {
            assert_eq!((person_uuid(nobody), person_number(nobody)), (None, None), "{nobody:?}");
        }
    }

    #[test]
    fn what_changes_is_news_once() {
        let pairs = Pairs::default();
        let news = |number, uuid| {
            pairs.complete(number, uuid);
            pairs
                .take_news()
                .into_iter()
                .map(|(uuid, number)| format!("{uuid} {number:?}"))
                .collect::<Vec<_>>()
        };
        assert!(news(None, Some("a")).is_empty() && news(Some("+1"), None).is_empty());
        assert_eq!(news(Some("+1"), Some("a")), ["a Some(\"+1\")"]);
        assert!(news(Some("+1"), Some("a")).is_empty());
        assert_eq!(news(Some("+2"), Some("a")), ["a Some(\"+2\")"], "another number");
        assert_eq!(news(Some("+2"), Some("b")), ["a None", "b Some(\"+2\")"], "it has changed hands");
        pairs.restore("+2", "c");
        pairs.restore("+3", "c");
        assert_eq!(pairs.complete(Some("+2"), None).1.as_deref(), Some("b"), "what was heard is newer");
        assert_eq!(pairs.complete(None, Some("c")).0.as_deref(), Some("+3"));
        assert!(pairs.take_news().is_empty(), "what was kept is no news");
    }

    #[test]
    fn a_broken_group_id_stays_what_it_is() {
        assert_eq!(GroupId::new("group.%%").as_str(), "group.%%");
    }
}
