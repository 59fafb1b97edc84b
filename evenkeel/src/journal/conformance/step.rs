//! What a random history is made of: things that are named by their place, so that two stores can be told the same.

use std::borrow::Cow;

use bytes::Bytes;

use super::broken::Mismatch;
use super::made::{PENDING, SENT, outbound, resent_with};
use super::random::Random;
use super::shown::{Names, scopes};
use crate::event::{Conversation, Event, Message, MessageId, Sender};
use crate::journal::Reason;
use crate::journal::store::{
    Body, Change, Death, EventStage, EventState, Intake, Key, Mark, NewRow, Reader, ReplyId, ReplyStage,
    ReplyState, Row,
};
use crate::reply::Outbound;

/// How many of each there are at most.
const MANY: usize = 14;

/// Something that happens to what is kept. Numbers are places in [`Names`].
#[derive(Debug)]
pub(super) enum Op {
    Event {
        event: Event,
        state: EventState,
        key: Option<String>,
        steps: Vec<(String, Bytes)>,
        replies: Vec<(u32, ReplyState, Option<MessageId>)>,
    },
    Resend {
        outbound: Outbound,
        /// What follows it.
        more: Vec<Outbound>,
        command: &'static str,
    },
    Job {
        name: &'static str,
        conversation: &'static str,
        due_ms: u64,
        body: Bytes,
        keeps_due: bool,
    },
    Command,
    PutReply {
        event: usize,
        index: u32,
        state: ReplyState,
        sent_id: Option<MessageId>,
        outbound: Option<Outbound>,
    },
    PutStep {
        event: usize,
        name: &'static str,
        value: Bytes,
    },
    PutValue {
        scope: usize,
        name: &'static str,
        value: Bytes,
    },
    MarkEvent {
        event: usize,
        state: EventState,
        death: Option<Grave>,
    },
    MarkReply {
        event: usize,
        index: u32,
        state: ReplyState,
        death: Option<Grave>,
    },
    MarkJob {
        job: usize,
        due_ms: u64,
    },
    MarkCommand {
        command: usize,
        outcome: &'static str,
    },
    DropEvent(usize),
    DropReply(usize, u32),
    DropSteps(usize),
    DropValue(usize, &'static str),
    DropJob(usize),
}

/// Why something died.
#[derive(Debug)]
pub(super) struct Grave {
    reason: Reason,
    command: &'static str,
    at_ms: u64,
}

impl Grave {
    fn new(random: &mut Random, reason: Reason) -> Self {
        Self { reason, command: random.one(&["!a", "!b", ""]), at_ms: random.below(6) as u64 }
    }

    fn death(&self) -> Death<'_> {
        let (error, command) = (Cow::Borrowed("no"), Cow::Borrowed(self.command));
        Death { reason: self.reason, error, command, at_ms: self.at_ms }
    }
}

impl Op {
    /// What comes in; `None` for a change.
    pub(super) fn intake(&self) -> Option<Intake<'_>> {
        let (conversation, dedupe, row) = match self {
            Self::Event { event, state, key, steps, replies } => {
                let (body, state) = (Body::Event(Cow::Borrowed(event)), *state);
                let row = NewRow::Event { body, state, steps: steps.clone(), replies: replies.clone() };
                (event.conversation().key(), key.as_deref(), row)
            }
            Self::Resend { outbound, more, command } => {
                return Some(resent_with(outbound, more, command, None));
            }
            Self::Job { name, conversation, due_ms, body, keeps_due } => {
                let row = NewRow::Job { name, due_ms: *due_ms, body, keeps_due: *keeps_due };
                (*conversation, None, row)
            }
            Self::Command => ("", None, NewRow::Command(Bytes::from_static(b"command"))),
            _ => return None,
        };
        let dedupe = dedupe.map(Cow::Borrowed);
        Some(Intake { conversation: Cow::Borrowed(conversation), dedupe, row })
    }

    /// The changes under the names of one store; none for what comes in.
    pub(super) fn changes(&self, names: &Names) -> Vec<Change<'_>> {
        let of = |event: usize, index| ReplyId { event: names.events[event], index };
        let scope = |scope: usize| scopes()[scope].clone();
        let change = match self {
            Self::Event { .. } | Self::Resend { .. } | Self::Job { .. } | Self::Command => return Vec::new(),
            Self::DropReply(event, index) => {
                let id = of(*event, *index);
                return super::made::drop_reply(id).into();
            }
            Self::PutReply { event, index, state, sent_id, outbound } => {
                let (id, state, sent_id) = (of(*event, *index), *state, sent_id.as_ref());
                let (conversation, command, body) = match outbound {
                    Some(outbound) => (outbound.conversation.key(), "!a", Body::Reply(outbound)),
                    None => ("", "", Body::Empty),
                };
                Change::Put(Row::Reply { id, state, conversation, command, sent_id, body })
            }
            Self::PutStep { event, name, value } => Change::Put(Row::Step(names.events[*event], name, value)),
            Self::PutValue { scope: place, name, value } => {
                Change::Put(Row::Value(scope(*place), name, value))
            }
            Self::MarkEvent { event, state, death } => {
                Change::Mark(Mark::Event(names.events[*event], *state, death.as_ref().map(Grave::death)))
            }
            Self::MarkReply { event, index, state, death } => {
                Change::Mark(Mark::Reply(of(*event, *index), *state, death.as_ref().map(Grave::death)))
            }
            Self::MarkJob { job, due_ms } => Change::Mark(Mark::Job(names.jobs[*job], *due_ms)),
            Self::MarkCommand { command, outcome } => {
                Change::Mark(Mark::Command(names.commands[*command], (*outcome).to_owned()))
            }
            Self::DropEvent(event) => Change::Delete(Key::Event(names.events[*event])),
            Self::DropSteps(event) => Change::Delete(Key::Steps(names.events[*event])),
            Self::DropValue(place, name) => Change::Delete(Key::Value(scope(*place), name)),
            Self::DropJob(job) => Change::Delete(Key::Job(names.jobs[*job])),
        };
        vec![change]
    }
}

/// What happens in one batch. No reply is named twice, for what may follow depends on what the store shows of it.
pub(super) async fn ops<R: Reader>(
    random: &mut Random,
    names: &Names,
    model: &mut R,
) -> Result<Vec<Op>, Mismatch> {
    let (mut ops, mut replies) = (Vec::new(), Vec::new());
    for _ in 0..=random.below(6) {
        let kind = random.below(20);
        if kind < 5 {
            ops.push(arrival(random, names));
        } else if kind < 12 && !names.events.is_empty() {
            let event = random.below(names.events.len());
            let index = u32::try_from(random.below(3)).unwrap_or(0);
            if !replies.contains(&(event, index)) {
                replies.push((event, index));
                let kept = model.parts(names.events[event]).await?;
                let kept = kept.replies.iter().find(|reply| reply.id.index == index).map(|reply| reply.state);
                ops.push(of_reply(random, event, index, kept));
            }
        } else if kind < 17 && !names.events.is_empty() {
            ops.push(of_event(random, names));
        } else {
            ops.extend(of_the_rest(random, names));
        }
    }
    Ok(ops)
}

fn event(random: &mut Random) -> Event {
    let (id, who) = (random.below(30).to_string(), random.one(&["alice", "bob"]));
    Event::new(&*id, Conversation::direct(who), Sender::new(who), Message::text(&*id, "words"))
}

fn bytes(random: &mut Random) -> Bytes {
    Bytes::from(vec![u8::try_from(random.below(3)).unwrap_or(0); random.below(4)])
}

fn reply(random: &mut Random) -> Outbound {
    let (text, file) = (random.below(9).to_string(), bytes(random));
    let files = [("a.txt", &*file), ("b.txt", b"22")];
    let outbound = outbound(&text, &files[..random.below(3)]);
    let who = random.one(&["alice", "bob"]);
    Outbound { conversation: Conversation::direct(who), ..outbound }
}

fn state(random: &mut Random, stage: EventStage) -> EventState {
    let attempts = u32::try_from(random.below(9)).unwrap_or(0);
    EventState {
        stage,
        attempts,
        crashes: attempts / 2,
        has_begun: attempts > 3,
        due_ms: random.below(50) as u64,
    }
}

/// Something that comes in.
fn arrival(random: &mut Random, names: &Names) -> Op {
    match random.below(8) {
        0..4 if names.events.len() < MANY => {
            let event = event(random);
            let key = random.chance(70).then(|| event.id().to_owned());
            let (mut steps, mut replies) = (Vec::new(), Vec::new());
            if random.chance(20) {
                steps.push(("x".to_owned(), bytes(random)));
                replies.push((1, SENT, random.chance(50).then(|| MessageId::new("m"))));
            }
            Op::Event { event, state: state(random, EventStage::Ready), key, steps, replies }
        }
        4 if names.events.len() < MANY => Op::Resend {
            outbound: reply(random),
            more: (0..random.below(3)).map(|_| reply(random)).collect(),
            command: "!b",
        },
        5 => Op::Command,
        _ => Op::Job {
            name: random.one(&["x", "y", "z"]),
            conversation: random.one(&["alice", "bob"]),
            due_ms: random.below(40) as u64,
            body: bytes(random),
            keeps_due: random.chance(50),
        },
    }
}

fn of_event(random: &mut Random, names: &Names) -> Op {
    let event = random.below(names.events.len());
    match random.below(10) {
        0..3 => {
            let stages = [EventStage::Ready, EventStage::Running, EventStage::Suspended];
            let stage = stages[random.below(3)];
            Op::MarkEvent { event, state: state(random, stage), death: None }
        }
        3..5 => {
            let reason = Reason::ALL[random.below(Reason::ALL.len())];
            let stage = if reason == Reason::Parked { EventStage::Parked } else { EventStage::Dead };
            let death = Some(Grave::new(random, reason));
            Op::MarkEvent { event, state: state(random, stage), death }
        }
        5..8 => Op::PutStep { event, name: random.one(&["x", "y"]), value: bytes(random) },
        8 => Op::DropSteps(event),
        _ => Op::DropEvent(event),
    }
}

fn of_reply(random: &mut Random, event: usize, index: u32, kept: Option<ReplyState>) -> Op {
    let attempts = u32::try_from(random.below(9)).unwrap_or(0);
    let due_ms = random.below(50) as u64;
    let stage = if random.chance(50) { ReplyStage::Pending } else { ReplyStage::Sending };
    match (random.below(8), kept) {
        (0, _) => Op::DropReply(event, index),
        (1 | 2, Some(kept)) if !kept.has_files => {
            let stage = if random.chance(50) { ReplyStage::Sent } else { ReplyStage::Decided };
            let sent_id = random.chance(50).then(|| MessageId::new("m"));
            Op::PutReply { event, index, state: ReplyState { stage, ..SENT }, sent_id, outbound: None }
        }
        (3 | 4, Some(kept)) if !kept.stage.is_fact() => {
            let (state, reason) = (ReplyState { stage: ReplyStage::Dead, attempts, ..kept }, Reason::Refused);
            Op::MarkReply { event, index, state, death: Some(Grave::new(random, reason)) }
        }
        (5 | 6, Some(kept)) if !kept.stage.is_fact() => {
            let state = ReplyState { stage, attempts, due_ms, has_files: kept.has_files };
            Op::MarkReply { event, index, state, death: None }
        }
        _ => {
            let outbound = reply(random);
            let has_files = !outbound.action.files().is_empty();
            let state = ReplyState { stage, attempts, has_files, ..PENDING };
            Op::PutReply { event, index, state, sent_id: None, outbound: Some(outbound) }
        }
    }
}

fn of_the_rest(random: &mut Random, names: &Names) -> Option<Op> {
    let (scope, name) = (random.below(scopes().len()), random.one(&["x", "y"]));
    Some(match random.below(6) {
        0 | 1 => Op::PutValue { scope, name, value: bytes(random) },
        2 => Op::DropValue(scope, name),
        3 if !names.jobs.is_empty() => {
            Op::MarkJob { job: random.below(names.jobs.len()), due_ms: random.below(40) as u64 }
        }
        4 if !names.jobs.is_empty() => Op::DropJob(random.below(names.jobs.len())),
        5 if !names.commands.is_empty() => Op::MarkCommand {
            command: random.below(names.commands.len()),
            outcome: random.one(&["done", ""]),
        },
        _ => return None,
    })
}
