//! What happened to messages and their answers over many ends of a bot, and whether it may have happened.
//!
//! The checker knows nothing of networks, files or processes. It walks once over the history, in the order in which
//! an onlooker saw it, and then over the messages: linear time, one entry of memory for each message.

use std::collections::{HashMap, HashSet};
use std::fmt;

/// How often a message may end the process before it has to be given up.
const CRASHES: u32 = 3;
/// This many turns after the bot was told that a reply arrived, the reply is settled: the first turn may have begun
/// before, and two more round trips of other messages have passed through the journal since.
const SETTLED: u64 = 3;
/// How many violations are kept in words; the rest is counted.
const SHOWN: usize = 20;

/// One thing that an onlooker saw. Messages are named by a number of his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// The message was written. Only the first time counts: later ones are the same message, offered again.
    Offered { message: u64, conversation: u32, wants: Wants },
    /// The bot said that it has the message: from now on it is answerable for it.
    Acknowledged { message: u64 },
    /// An answer arrived. `run` tells one run of the handler from another.
    Replied { message: u64, conversation: u32, part: u8, run: u64 },
    /// The bot was told that the answer arrived.
    Confirmed { message: u64, part: u8 },
    /// The operator gave the message, a dead letter, another chance: it has no place in the order any more.
    Replayed { message: u64 },
    /// The message's handler ended the process.
    Crashed { message: u64 },
    /// The process was killed. What came out of it until then stands before this.
    Killed,
    /// The power was cut: what was not synced is gone.
    Cut,
}

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    /// How many answers were promised to it.
    pub(crate) parts: u8,
    /// How many of them leave while the handler still runs: they may stand alone, or come from an earlier run.
    pub(crate) early: u8,
    /// What its author chose for an answer of which nobody knows whether it arrived.
    pub(crate) unknown: Unknown,
}

impl Wants {
    /// `parts` answers, all at the end, sent again when in doubt.
    pub(crate) fn parts(parts: u8) -> Self {
        Self { parts, early: 0, unknown: Unknown::Resend }
    }
}

/// What happens to an answer that was under way when the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It may come twice.
    Resend,
    /// It may be missing.
    Drop,
    /// Neither: the network takes each answer once, so one that comes again was promised again.
    Once,
}

/// What the record says of messages that are not done, read after the last end of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fates {
    /// Accepted and not done, or with an answer that is promised and not sent.
    pub(crate) pending: HashSet<u64>,
    /// Given up, or with an answer that was given up.
    pub(crate) dead: HashSet<u64>,
}

impl Fates {
    fn account_for(&self, message: u64) -> bool {
        self.pending.contains(&message) || self.dead.contains(&message)
    }
}

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Acknowledged, and neither answered nor pending nor dead.
    Lost { message: u64 },
    /// Some of its answers came, and nobody accounts for the others.
    Half { message: u64 },
    /// Its first answer came after that of a later message of the conversation, or its parts changed places.
    Reordered { message: u64, part: u8 },
    /// Answered again although the answer before was not under way when the process ended, or was to be dropped.
    Duplicated { message: u64, part: u8 },
    /// Two copies of one answer, or two answers of one promise, come from different runs of the handler.
    Changed { message: u64, part: u8 },
    /// Nobody wrote this message, or not there, or it has no such part.
    Unoffered { message: u64 },
    /// It ended the process again and again and was not given up.
    Endless { message: u64 },
}

impl Violation {
    /// One word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Lost { .. } => "lost",
            Self::Half { .. } => "half",
            Self::Reordered { .. } => "reordered",
            Self::Duplicated { .. } => "duplicated",
            Self::Changed { .. } => "changed",
            Self::Unoffered { .. } => "unoffered",
            Self::Endless { .. } => "endless",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Self::Lost { message }
            | Self::Half { message }
            | Self::Unoffered { message }
            | Self::Endless { message } => write!(f, "{word}: {message}"),
            Self::Reordered { message, part }
            | Self::Duplicated { message, part }
            | Self::Changed { message, part } => write!(f, "{word}: {message}, part {part}"),
        }
    }
}

/// What the walk found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) offered: u64,
    pub(crate) acknowledged: u64,
    /// Messages with all their answers.
    pub(crate) answered: u64,
    /// Messages without all their answers that the record accounts for.
    pub(crate) pending: u64,
    pub(crate) dead: u64,
    /// Those of them that never ended the process.
    pub(crate) harmless: u64,
    /// Never acknowledged and never answered: lost before the bot had them.
    pub(crate) upstream: u64,
    /// Answers that came again because they were under way when the process ended.
    pub(crate) repeated: u64,
    /// Messages whose answer is missing because their author chose so.
    pub(crate) dropped: u64,
    pub(crate) kills: u64,
    /// By word.
    pub(crate) counts: HashMap<&'static str, u64>,
    /// The first of them.
    pub(crate) violations: Vec<Violation>,
}

impl Findings {
    /// How many violations of this kind there are.
    pub(crate) fn count(&self, word: &str) -> u64 {
        self.counts.get(word).copied().unwrap_or_default()
    }

    /// Whether every promise was kept.
    pub(crate) fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    fn add(&mut self, violation: Violation) {
        *self.counts.entry(violation.word()).or_default() += 1;
        if self.violations.len() < SHOWN {
            self.violations.push(violation);
        }
    }
}

/// Checks a history against what the record says at its end.
pub(crate) fn check(history: &[Happened], fates: &Fates) -> Findings {
    let mut walk = Walk::default();
    for happened in history {
        walk.step(*happened);
    }
    walk.finish(fates)
}

/// What is known of one message.
struct Message {
    conversation: u32,
    wants: Wants,
    /// Its place in the conversation.
    place: u64,
    /// In which turn it was offered last.
    offered_at: u64,
    is_acknowledged: bool,
    is_replayed: bool,
    crashes: u32,
    answers: Vec<Option<Answer>>,
}

/// The latest copy of an answer.
#[derive(Clone, Copy)]
struct Answer {
    run: u64,
    /// In which turn the bot was told that it arrived.
    confirmed: Option<u64>,
    /// In which life of the process.
    life: u64,
}

#[derive(Default)]
struct Walk {
    messages: HashMap<u64, Message>,
    /// Messages offered so far, by conversation.
    places: HashMap<u32, u64>,
    /// The latest first answer of each conversation, as place and part.
    latest: HashMap<u32, (u64, u8)>,
    /// Grows whenever a message was offered and acknowledged within the present turn: a round trip.
    turn: u64,
    /// Grows with every end of the process.
    life: u64,
    /// The turn in which each life ended.
    ends: Vec<u64>,
    cuts: u32,
    findings: Findings,
}

impl Walk {
    fn step(&mut self, happened: Happened) {
        match happened {
            Happened::Offered { message, conversation, wants } => self.offered(message, conversation, wants),
            Happened::Acknowledged { message } => self.acknowledged(message),
            Happened::Replied { message, conversation, part, run } => {
                self.replied(message, conversation, part, run);
            }
            Happened::Confirmed { message, part } => {
                let known = self.messages.get_mut(&message);
                let answer = known.and_then(|known| known.answers.get_mut(usize::from(part))?.as_mut());
                if let Some(answer) = answer {
                    answer.confirmed.get_or_insert(self.turn);
                }
            }
            Happened::Replayed { message } => {
                if let Some(known) = self.messages.get_mut(&message) {
                    (known.is_replayed, known.crashes) = (true, 0);
                }
            }
            Happened::Crashed { message } => {
                self.crashed(message);
                self.ended();
            }
            Happened::Killed => self.ended(),
            Happened::Cut => {
                self.cuts += 1;
                self.ended();
            }
        }
    }

    fn offered(&mut self, message: u64, conversation: u32, wants: Wants) {
        let turn = self.turn;
        if let Some(known) = self.messages.get_mut(&message) {
            known.offered_at = turn;
            return;
        }
        let place = self.places.entry(conversation).or_default();
        *place += 1;
        let new = Message {
            conversation,
            wants,
            place: *place,
            offered_at: turn,
            is_acknowledged: false,
            is_replayed: false,
            crashes: 0,
            answers: vec![None; usize::from(wants.parts)],
        };
        self.messages.insert(message, new);
        self.findings.offered += 1;
    }

    fn acknowledged(&mut self, message: u64) {
        let Some(known) = self.messages.get_mut(&message) else {
            return self.findings.add(Violation::Unoffered { message });
        };
        self.turn += u64::from(known.offered_at == self.turn);
        self.findings.acknowledged += u64::from(!known.is_acknowledged);
        known.is_acknowledged = true;
    }

    fn replied(&mut self, message: u64, conversation: u32, part: u8, run: u64) {
        let life = self.life;
        let known = self.messages.get_mut(&message).filter(|known| known.conversation == conversation);
        let Some(known) = known else { return self.findings.add(Violation::Unoffered { message }) };
        let is_changed = known.changes(part, run);
        let Some(answer) = known.answers.get_mut(usize::from(part)) else {
            return self.findings.add(Violation::Unoffered { message });
        };
        let before = answer.replace(Answer { run, confirmed: None, life });
        let (place, wants, is_replayed) = (known.place, known.wants, known.is_replayed);
        if is_changed {
            self.findings.add(Violation::Changed { message, part });
        }
        match before {
            Some(before) => self.again(message, part, before, wants.unknown),
            // A replayed message comes at the end of its lane, and has no place in the order.
            None if is_replayed => {}
            None => self.in_order(message, conversation, (place, part)),
        }
    }

    fn in_order(&mut self, message: u64, conversation: u32, at: (u64, u8)) {
        let latest = self.latest.entry(conversation).or_default();
        if at < *latest {
            self.findings.add(Violation::Reordered { message, part: at.1 });
        } else {
            *latest = at;
        }
    }

    /// A copy is allowed if the one before was still under way when its process ended, and the author wants it.
    fn again(&mut self, message: u64, part: u8, before: Answer, unknown: Unknown) {
        let end = self.ends.get(before.life as usize);
        let is_settled = |end: u64| before.confirmed.is_some_and(|turn| turn + SETTLED <= end);
        let was_under_way = end.is_some_and(|end| !is_settled(*end));
        if was_under_way && unknown == Unknown::Resend {
            self.findings.repeated += 1;
        } else {
            self.findings.add(Violation::Duplicated { message, part });
        }
    }

    fn crashed(&mut self, message: u64) {
        let cuts = self.cuts;
        let Some(known) = self.messages.get_mut(&message) else {
            return self.findings.add(Violation::Unoffered { message });
        };
        known.crashes += 1;
        // A power cut may forget attempts: they are not synced.
        if known.crashes == CRASHES * (cuts + 1) + 1 {
            self.findings.add(Violation::Endless { message });
        }
    }

    fn ended(&mut self) {
        self.ends.push(self.turn);
        self.life += 1;
        self.findings.kills += 1;
    }

    fn finish(mut self, fates: &Fates) -> Findings {
        let mut dropped: HashMap<u32, u64> = HashMap::new();
        let mut messages: Vec<(u64, Message)> = std::mem::take(&mut self.messages).into_iter().collect();
        messages.sort_unstable_by_key(|(message, _)| *message);
        for (message, known) in messages {
            let answers = known.answers.iter().flatten().count();
            if answers == known.answers.len() {
                self.findings.answered += 1;
            } else if fates.dead.contains(&message) {
                self.findings.dead += 1;
                self.findings.harmless += u64::from(known.crashes == 0);
            } else if fates.account_for(message) {
                self.findings.pending += 1;
            } else if answers == 0 && !known.is_acknowledged {
                self.findings.upstream += 1;
            } else if self.may_be_dropped(&known, answers, &mut dropped) {
                self.findings.dropped += 1;
            } else if answers > 0 {
                self.findings.add(Violation::Half { message });
            } else {
                self.findings.add(Violation::Lost { message });
            }
        }
        self.findings
    }

    /// At each end of the process, at most one answer of each conversation is under way.
    fn may_be_dropped(&self, known: &Message, answers: usize, dropped: &mut HashMap<u32, u64>) -> bool {
        let missing = (known.answers.len() - answers) as u64;
        let count = dropped.entry(known.conversation).or_default();
        *count += missing;
        known.wants.unknown == Unknown::Drop && *count <= self.life
    }
}

impl Message {
    /// Whether this copy, or its promise, is known from another run of the handler.
    fn changes(&self, part: u8, run: u64) -> bool {
        let is_early = part < self.wants.early;
        let promise = self.answers.iter().enumerate().filter(|(other, _)| {
            *other == usize::from(part) || !is_early && *other >= usize::from(self.wants.early)
        });
        // A replay begins anew, so only what came before it is bound to the earlier run.
        !self.is_replayed && promise.filter_map(|(_, answer)| *answer).any(|answer| answer.run != run)
    }
}

#[cfg(test)]
mod tests;
