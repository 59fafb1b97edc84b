//! Names of what is kept: events, replies, and whose a value is.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::reply::SendKey;
use crate::reserved;

/// How many bits of an [`EventId`] are its number; those above are its partition.
const NUMBER_BITS: u32 = 54;

/// A set of conversations that one process works on at a time. A file has one, [`Partition::WHOLE`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u16);

impl Partition {
    /// The only partition of a store that one process has for itself.
    pub const WHOLE: Self = Self(0);

    /// Into how many partitions a store is divided that several processes share.
    pub const SHARED: u16 = 64;

    /// The partition of a conversation: FNV-1a with 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>) over the UTF-8 of
    /// its id, modulo `count`. A store keeps `count`, since what it holds was placed by it.
    ///
    /// ```
    /// use evenkeel::journal::store::Partition;
    ///
    /// assert_eq!(Partition::of("alice", 64), Partition(7));
    /// assert_eq!(Partition::of("alice", 1), Partition::WHOLE);
    /// ```
    pub fn of(conversation: &str, count: u16) -> Self {
        let hash = conversation.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let place = hash % u64::from(count.max(1));
        Self(u16::try_from(place).expect("what is left is below a u16"))
    }
}

/// Counts who has owned a partition. A commit under an old one changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// The number of an event or of a replayed reply. It carries its partition, so that no two partitions give out the same one:
/// `17` in the first partition, `3:17` in another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(u64);

impl EventId {
    /// The event of this number in a partition.
    pub fn new(partition: Partition, number: u64) -> Self {
        Self(u64::from(partition.0) << NUMBER_BITS | number & ((1 << NUMBER_BITS) - 1))
    }

    /// As [`EventId::bits`] gave it.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Partition and number in one.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Where it lives.
    pub fn partition(self) -> Partition {
        Partition(u16::try_from(self.0 >> NUMBER_BITS).expect("ten bits are left"))
    }

    /// Its number there.
    pub fn number(self) -> u64 {
        self.0 & ((1 << NUMBER_BITS) - 1)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.partition() {
            Partition::WHOLE => write!(f, "{}", self.number()),
            Partition(partition) => write!(f, "{partition}:{}", self.number()),
        }
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for EventId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (partition, number) = text.split_once(':').unwrap_or(("0", text));
        let partition =
            partition.parse().ok().filter(|partition| *partition < 1 << (u64::BITS - NUMBER_BITS));
        let number = number.parse().ok().filter(|number| *number < 1 << NUMBER_BITS);
        match (partition, number) {
            (Some(partition), Some(number)) => Ok(Self::new(Partition(partition), number)),
            _ => Err(Error::new("that is no number of an event: it is `17`, or `3:17` in another partition")),
        }
    }
}

/// The name of a reply: the event that asked for it, and which of its replies it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyId {
    /// The event.
    pub event: EventId,
    /// Which of its replies, from 0.
    pub index: u32,
}

impl From<SendKey> for ReplyId {
    fn from(key: SendKey) -> Self {
        Self { event: EventId::from_bits(key.sequence), index: key.index }
    }
}

impl From<ReplyId> for SendKey {
    fn from(id: ReplyId) -> Self {
        Self { sequence: id.event.bits(), index: id.index }
    }
}

/// Whose a value is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope<'a>(Cow<'a, str>);

impl<'a> Scope<'a> {
    /// The bot's own.
    pub const BOT: Self = Self(Cow::Borrowed(""));

    /// A conversation's, by its id.
    pub fn conversation(id: impl Into<Cow<'a, str>>) -> Self {
        Self(id.into())
    }

    /// A person's, by their id, wherever they write. Two partitions may write it at once: the last one wins.
    pub fn person(id: &str) -> Self {
        Self(reserved::person(id).into())
    }

    /// A network's, by its name.
    pub fn network(name: &str) -> Self {
        Self(reserved::network(name).into())
    }

    /// The same, to keep.
    pub fn into_owned(self) -> Scope<'static> {
        Scope(Cow::Owned(self.0.into_owned()))
    }

    /// As it lies in a store: the id of a conversation as it is, everything else with a prefix that no id has.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_carries_its_partition() {
        let (first, other) = (EventId::new(Partition::WHOLE, 17), EventId::new(Partition(63), 17));
        assert_eq!((first.bits(), first.to_string()), (17, "17".to_owned()));
        assert_eq!((other.partition(), other.number()), (Partition(63), 17));
        for id in [first, other, EventId::new(Partition(1023), (1 << 54) - 1)] {
            assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
            assert!(
                i64::try_from(EventId::new(Partition(63), u64::MAX).bits()).is_ok(),
                "a database has room for it"
            );
        }
        for text in ["", "a", "-1", "1024:1", "1:", ":1", "0:18014398509481984"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_partition_of_a_conversation_never_changes() {
        let of = |id: &str| Partition::of(id, Partition::SHARED).0;
        assert_eq!(["", "alice", "bob", "+4915100000000"].map(of), [37, 7, 20, 50]);
        let spread: std::collections::HashSet<u16> = (0..10_000).map(|id| of(&id.to_string())).collect();
        assert_eq!(spread.len(), 64);
    }
}
