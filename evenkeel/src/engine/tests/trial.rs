//! One schedule, played: the transport, the handlers, the operator and the end of the process around a engine.

mod operator;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::engine::attempts::CONCURRENT;
use crate::engine::probation::alone;
use crate::engine::{
    Attempt, Delivery, Ending, Engine, Failure, HandlerOutcome, HandlerRequest, Input, IsConcurrent, Load,
    NetworkPolicy, Now, Offer, Output, OutsideRequest, Policy, Saying, Told,
};
use crate::event::{Conversation, Event, Message, MessageId, Sender};
use crate::guarantee::OnUnknown;
use crate::journal::memory::MemoryJournal;
use crate::journal::{
    Acceptance, Answer, CompletedEffect, DeadFilter, DeadId, Entry, EventEntry, Journal, OperatorEntry,
    PendingEvent, PendingReply, Query, Reason, ReplyEntry, Said, Written,
};
use crate::operator::OperatorCommand;
use crate::reply::{Outbound, Reply, SendKey};
use crate::retry::{Order, Retry};
use crate::transport::{Arrival, SendError, Sent};
use operator::{Asked, Findable};

/// Apologies have keys of their own: what is sent at once in a later attempt must not be taken for one of them.
const APOLOGY: u32 = 1 << 31;
/// What a handler says after it was cancelled has this key: nobody may ever read it.
const TOO_LATE: u32 = 1 << 30;

/// What happens next. `who` and `which` pick among those that there are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    Arrive {
        conversation: u8,
        is_repeated: bool,
    },
    /// A handle says two things: this many messages here under one of a few ids, or without one; and one message without an id next
    /// door.
    Say {
        conversation: u8,
        messages: u8,
        id: u8,
    },
    Write,
    Succeed {
        who: u8,
        replies: u8,
        jobs: u8,
    },
    Fail {
        who: u8,
        is_transient: bool,
    },
    Panic {
        who: u8,
    },
    /// The future of an attempt is dropped before its end, though nobody stops the bot.
    CutShort {
        who: u8,
    },
    ReplyNow {
        who: u8,
        listens: bool,
    },
    Wait {
        who: u8,
    },
    Offered {
        who: u8,
        takes: bool,
    },
    Rejoin {
        who: u8,
    },
    Leave {
        who: u8,
    },
    CancelOthers {
        who: u8,
    },
    /// A handler that was cancelled is gone: it came to an `.await`, or to its end.
    Gone {
        who: u8,
        is_done: bool,
    },
    Deliver {
        which: u8,
        how: u8,
    },
    Pass {
        ms: u16,
    },
    /// The process ends; a batch on its way to the journal may or may not have got there.
    End {
        is_written: bool,
    },
    /// The operator wants something of the dead letters that a filter means.
    List {
        filter: u8,
    },
    Replay {
        filter: u8,
    },
    Discard {
        filter: u8,
    },
    /// Or of jobs: all, those of one conversation, or the first.
    Jobs {
        which: u8,
    },
    Cancel {
        which: u8,
    },
}

/// What the author of the bot wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    pub(super) retry: Retry,
    pub(super) on_unknown: OnUnknown,
    /// Every fifth event ends the process whenever its handler would end, and nothing else does.
    pub(super) has_guilty: bool,
    /// Every fourth event does not wait for its conversation.
    pub(super) has_concurrent: bool,
    /// How a start reads what was left; `None` reads all of it first.
    pub(super) paging: Option<Paging>,
}

/// How a start reads what was left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paging {
    /// This many events at a time,
    pub(super) limit: usize,
    /// while there are fewer bytes of events in memory.
    pub(super) room_bytes: usize,
}

/// What the journal has to hand back of what an earlier run left, and has not yet.
struct Unread {
    events: BTreeSet<u64>,
    replies: BTreeSet<(u64, u32)>,
    /// What the earlier engine thought of the attempts.
    attempts: BTreeMap<u64, u32>,
    /// The last event of the page before.
    last: u64,
}

/// Where a handler is, as far as it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Running,
    Waiting,
    Rejoining,
    Loose,
    /// Its event is done, and it has not heard of it.
    Cancelled,
}

struct Handler {
    event: Event,
    attempt: u32,
    facts: Vec<CompletedEffect>,
    place: Place,
    /// When it began, or went on.
    at: Duration,
    /// How much it has sent at once in this attempt.
    index: u32,
    waits: u32,
    cancels: u32,
    /// Whether it had its lane when it was cancelled.
    keeps_lane: bool,
    offers: Option<mpsc::UnboundedReceiver<Offer>>,
    offered: Option<Offer>,
    turn: Option<oneshot::Receiver<()>>,
    answers: Vec<oneshot::Receiver<crate::error::Result<Option<MessageId>>>>,
}

impl Handler {
    /// As in `Context::finish`.
    fn free_index(&self) -> u32 {
        let sent = self.facts.iter().filter_map(|fact| match fact {
            CompletedEffect::Sent { index, .. } | CompletedEffect::DeadLettered { index } => Some(index + 1),
            CompletedEffect::Step { .. } => None,
        });
        sent.max().unwrap_or(0).max(self.index)
    }

    fn has_lane(&self) -> bool {
        self.place == Place::Running
    }

    /// Whether nobody else may have its lane.
    fn holds_lane(&self) -> bool {
        self.has_lane() || self.keeps_lane
    }
}

/// Who waits to hear what became of what was said.
type Listening = oneshot::Receiver<Told<Vec<Acceptance>>>;

/// Who waits to hear how many handlers it has ended, and which these are.
type Cancelling = (oneshot::Receiver<usize>, Vec<u64>);

#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    Dead(Reason),
    Discarded,
}

/// What a reply may have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Sent,
    Dead,
    Dropped,
    /// Dead, and then replayed under another key or discarded: a later attempt of its handler must not promise it again.
    Decided,
}

/// What the journal was told, kept by other means than the journal's own. It outlives the process.
#[derive(Default)]
struct Truth {
    /// Events by number.
    events: BTreeMap<u64, Event>,
    ids: BTreeSet<String>,
    ended: BTreeMap<u64, End>,
    parked: BTreeSet<u64>,
    replies: BTreeMap<(u64, u32), Fate>,
    /// What a handler promised with its end: replies,
    owed: HashMap<u64, Vec<(u64, u32)>>,
    /// and jobs.
    planned: HashMap<u64, Vec<String>>,
    /// Where replies go.
    conversations: BTreeMap<(u64, u32), String>,
    findable: Findable,
    /// The numbers of what was said outside of any event, by conversation,
    said: BTreeMap<String, BTreeSet<u64>>,
    /// and its ids.
    said_ids: BTreeSet<String>,
    replayed: BTreeSet<u64>,
    /// Those that have waited for somebody, and have no place in the order any more.
    waited: BTreeSet<u64>,
    crashes: HashMap<u64, u32>,
    /// Events that may have been running when the process ended while others ran beside a crash probe that had had its time alone.
    unclear: BTreeSet<u64>,
    /// Those that such an end was counted against: they may be taken for the guilty one.
    unlucky: BTreeSet<u64>,
    starts: HashMap<u64, u32>,
    /// Attempts beyond those that the author allows, each with its cause.
    allowance: HashMap<u64, u32>,
    /// Replies that may have arrived.
    arrived: BTreeSet<(u64, u32)>,
    /// Replies that were begun.
    begun: BTreeSet<(u64, u32)>,
    /// The highest reply of each event that was begun.
    highest: HashMap<u64, u32>,
}

/// See the module.
pub(super) struct Trial {
    wishes: Wishes,
    engine: Engine,
    journal: MemoryJournal,
    now: Now,
    writing: Option<Vec<Entry>>,
    handlers: BTreeMap<u64, Handler>,
    flights: Vec<Delivery>,
    /// Events whose beginning the journal has answered and that have not begun.
    begun: BTreeSet<u64>,
    /// Events of which it knows that their handlers wait for somebody.
    suspended: BTreeSet<u64>,
    /// Replies of which it has answered that they are being sent, and that are not.
    sendable: BTreeSet<(u64, u32)>,
    /// Events that are done or dead for the engine, whether or not that is written.
    settled: BTreeSet<u64>,
    truth: Truth,
    /// `None` once the journal has handed back all that was left.
    unread: Option<Unread>,
    cancelling: Vec<Cancelling>,
    listening: Vec<Listening>,
    /// What the operator waits for, in order.
    asked: VecDeque<Asked>,
    count: u64,
    /// Bytes of events in memory, as the inbox counts them.
    room_bytes: usize,
    is_over: bool,
}

fn name(key: SendKey) -> (u64, u32) {
    (key.sequence, key.index)
}

fn conversation(number: u8) -> Conversation {
    Conversation::direct(format!("conversation {number}"))
}

impl Trial {
    pub(super) fn new(wishes: Wishes) -> Self {
        let mut trial = Self {
            wishes,
            engine: engine(wishes),
            journal: MemoryJournal::default(),
            now: Now { wall_ms: 1_000_000, elapsed: Duration::ZERO },
            writing: None,
            handlers: BTreeMap::new(),
            flights: Vec::new(),
            begun: BTreeSet::new(),
            suspended: BTreeSet::new(),
            sendable: BTreeSet::new(),
            settled: BTreeSet::new(),
            truth: Truth::default(),
            unread: None,
            cancelling: Vec::new(),
            listening: Vec::new(),
            asked: VecDeque::new(),
            count: 0,
            room_bytes: 0,
            is_over: false,
        };
        trial.begin(BTreeMap::new());
        trial
    }

    pub(super) fn run(mut self, moves: Vec<Move>) {
        for one in moves {
            self.play(one);
            self.pump();
        }
        self.drain();
        self.account();
    }

    fn play(&mut self, one: Move) {
        match one {
            Move::Arrive { conversation, is_repeated } => self.arrive(conversation, is_repeated),
            Move::Say { conversation, messages, id } => self.say(conversation, messages, id),
            Move::Write => self.write(),
            Move::Succeed { who, replies, jobs } => self.succeed(who, replies, jobs),
            Move::Fail { who, is_transient } => {
                self.fail(who, Reason::Failed, is_transient && self.wishes.retry.attempts > 1);
            }
            Move::Panic { who } => self.fail(who, Reason::Panicked, false),
            Move::CutShort { who } => self.cut_short(who),
            Move::ReplyNow { who, listens } => self.reply_now(who, listens),
            Move::Wait { who } => self.wait(who),
            Move::Offered { who, takes } => self.offered(who, takes),
            Move::Rejoin { who } => self.rejoin(who),
            Move::Leave { who } => self.leave(who),
            Move::CancelOthers { who } => self.cancel_others(who),
            Move::Gone { who, is_done } => self.gone(who, is_done),
            Move::Deliver { which, how } => self.deliver(which, how),
            Move::Pass { ms } => self.pass(Duration::from_millis(ms.into())),
            Move::End { is_written } if !self.wishes.has_guilty => self.end(is_written),
            Move::End { .. } => {}
            Move::List { filter } => {
                let filter = self.truth.findable.filter(filter);
                self.wish(Asked::Dead, |told| OperatorCommand::List(filter, told));
            }
            Move::Replay { filter } => self.replay(self.truth.findable.filter(filter)),
            Move::Discard { filter } => {
                let filter = self.truth.findable.filter(filter);
                self.wish(Asked::Count, |told| OperatorCommand::Discard(filter, told));
            }
            Move::Jobs { which } => {
                let of = (which & 1 == 1).then(|| conversation(which / 4 % 4).id().to_owned());
                let limit = if which & 2 == 2 { 1 } else { 1_000 };
                self.wish(Asked::Jobs, |answer| OperatorCommand::Jobs {
                    conversation: of,
                    after: None,
                    limit,
                    answer,
                });
            }
            Move::Cancel { which } => {
                let name = self.truth.findable.job(which).unwrap_or("nobody's").to_owned();
                self.wish(Asked::Cancelled, |told| OperatorCommand::Cancel(name, told));
            }
        }
    }

    fn step(&mut self, input: Input) {
        self.engine.step(input, self.now).unwrap();
    }

    // What comes from outside.

    fn arrive(&mut self, number: u8, is_repeated: bool) {
        self.count += u64::from(!is_repeated || self.count == 0);
        // A repeated delivery comes where the first one came.
        let known = self.count.to_string();
        let kept = self.truth.events.values().find(|event| event.id() == known).cloned();
        let event = kept.filter(|_| is_repeated).unwrap_or_else(|| {
            Event::new(
                &*known,
                conversation(number),
                Sender::new("somebody"),
                Message::text(&*known, "hello"),
            )
        });
        self.room_bytes += event.size_bytes();
        self.step(Input::Arrived(Arrival::Event { event, accepted: None, cursor: None }));
    }

    fn say(&mut self, number: u8, messages: u8, id: u8) {
        let action = |text: &str| Reply::text(text).actions()[0].clone();
        let actions = (0..messages).map(|_| action("said")).collect();
        let id = (id < 6).then(|| id.to_string());
        let here = Saying { conversation: conversation(number), actions, id };
        let there =
            Saying { conversation: conversation((number + 1) % 4), actions: vec![action("there")], id: None };
        let (answer, told) = oneshot::channel();
        self.listening.push(told);
        self.step(Input::Outside(OutsideRequest::Say { said: vec![here, there], answer }));
    }

    fn pass(&mut self, time: Duration) {
        self.now.elapsed += time;
        self.now.wall_ms += u64::try_from(time.as_millis()).unwrap();
        self.step(Input::Ticked);
    }

    fn wish<T>(
        &mut self,
        asked: impl FnOnce(oneshot::Receiver<T>) -> Asked,
        wish: impl FnOnce(oneshot::Sender<T>) -> OperatorCommand,
    ) {
        let (told, answer) = oneshot::channel();
        self.asked.push_back(asked(answer));
        self.step(Input::Operator(wish(told)));
    }

    fn replay(&mut self, filter: DeadFilter) {
        self.wish(Asked::Count, |told| OperatorCommand::Replay(filter, told));
    }

    fn deliver(&mut self, which: u8, how: u8) {
        if self.flights.is_empty() {
            return;
        }
        let delivery = self.flights.remove(usize::from(which) % self.flights.len());
        let result = match how {
            0 => Err(SendError::not_sent("nobody there")),
            1 => Err(SendError::refused("no such person")),
            2 => Err(SendError::unknown("no answer")),
            3 => Err(SendError::limited("too many", Duration::from_secs(2))),
            _ => Ok(Sent::message(MessageId::new("sent"))),
        };
        if matches!(how, 2 | 4..) {
            self.truth.arrived.insert(name(delivery.outbound.key));
        }
        self.step(Input::Delivered(delivery, result));
    }

    // The journal.

    fn write(&mut self) {
        let Some(batch) = self.writing.take() else { return };
        let written = self.apply(batch);
        for (entry, answer) in &written.0 {
            match (entry, answer) {
                (Entry::Event(sequence, EventEntry::Suspend), _) => drop(self.suspended.insert(*sequence)),
                (Entry::Event(sequence, EventEntry::Retry { .. } | EventEntry::DeadLetter { .. }), _) => {
                    self.suspended.remove(sequence);
                }
                // What was suspended goes on.
                (Entry::Event(sequence, EventEntry::Begin), _) if self.suspended.remove(sequence) => {}
                (
                    Entry::Accept { begins: true, .. } | Entry::Fire { begins: true, .. },
                    Answer::Accepted(Acceptance::New(sequence)),
                )
                | (Entry::Event(sequence, EventEntry::Begin), _) => {
                    assert!(self.begun.insert(*sequence), "{sequence} begins twice");
                }
                (Entry::Promise { outbound: Outbound { key, .. }, begins: true, .. }, _)
                | (Entry::Reply(key, ReplyEntry::Sending { .. }), _) => {
                    assert!(self.sendable.insert(name(*key)), "{key:?} is sent twice at once");
                }
                (Entry::Say { said, .. }, Answer::Said(answers)) => {
                    for (one, answer) in said.iter().zip(answers) {
                        if let (true, Acceptance::New(sequence)) = (one.begins, answer) {
                            assert!(self.sendable.insert((*sequence, 0)), "{sequence} is sent twice at once");
                        }
                    }
                }
                (Entry::Operator(OperatorEntry::Discard(_)), Answer::Discarded { unparked, .. }) => {
                    self.settled.extend(unparked);
                }
                _ => {}
            }
        }
        self.step(Input::Written(written));
        // The operator hears all of it, once, in order.
        while let Some(told) = self.truth.findable.told() {
            let mut asked = self.asked.pop_front().expect("somebody asked");
            assert_eq!(asked.heard(), Some(told));
        }
    }

    /// What the journal does, noted.
    fn apply(&mut self, batch: Vec<Entry>) -> Written {
        let Written(answered) = ready(self.journal.write(batch)).unwrap();
        let read = |(entry, answer)| (entry, operator::read_now(answer));
        let written: Vec<_> = answered.into_iter().map(read).collect();
        // Questions are answered when all else is written; what is said to the operator comes in the order of the entries.
        let all = || written.iter().enumerate();
        let (asked, done): (Vec<_>, Vec<_>) =
            all().partition(|(_, (entry, _))| matches!(entry, Entry::Query(_)));
        let mut told = BTreeMap::new();
        for (at, (entry, answer)) in done.into_iter().chain(asked) {
            if let Answer::Loaded(page) = answer {
                self.read(&page.events, &page.replies, page.has_more);
            }
            self.truth.note(entry, answer, self.wishes.retry);
            told.insert(at, self.truth.findable.take_told());
        }
        self.truth.findable.tell(told.into_values().flatten());
        Written(written)
    }

    /// Begins with what the journal has; `attempts` says what an earlier engine thought of it.
    fn begin(&mut self, attempts: BTreeMap<u64, u32>) {
        let is_open = |sequence: &&u64| !self.truth.ended.contains_key(sequence);
        let events = self.truth.events.keys().filter(is_open).copied().collect();
        let open = self.truth.replies.iter().filter(|(_, fate)| **fate == Fate::Open);
        let replies = open.map(|(key, _)| *key).collect();
        self.unread = Some(Unread { events, replies, attempts, last: 0 });
        let recovered = match self.wishes.paging {
            Some(_) => ready(self.journal.recover_in_pages()).unwrap(),
            None => ready(self.journal.recover()).unwrap(),
        };
        if recovered.has_more {
            assert!(recovered.events.iter().all(|event| event.is_parked), "only those go before all others");
            recovered.events.iter().for_each(|event| self.read_event(event));
        } else {
            self.read(&recovered.events, &recovered.replies, false);
        }
        assert_eq!(recovered.next_job_ms, self.truth.findable.next_ms());
        self.engine.recover(recovered, self.now, Box::new(|_| "!any".to_owned()));
        self.engine.plan(&[], &Default::default());
        self.pump();
    }

    /// The journal has handed back some of what was left.
    fn read(&mut self, events: &[PendingEvent], replies: &[PendingReply], has_more: bool) {
        for event in events {
            self.read_event(event);
            let unread = self.unread.as_mut().unwrap();
            let last = std::mem::replace(&mut unread.last, event.sequence);
            assert!(event.sequence > last, "{} comes late", event.sequence);
        }
        for letter in replies {
            let key = name(letter.outbound.key);
            let is_expected = self.unread.as_mut().is_some_and(|unread| unread.replies.remove(&key));
            assert!(is_expected, "{key:?} is not to be sent, or comes twice");
        }
        if !has_more {
            let Unread { events, replies, .. } = self.unread.take().expect("there was more");
            assert!(events.is_empty(), "{events:?} were accepted and have no end");
            assert!(replies.is_empty(), "{replies:?} were promised and have no end");
        }
    }

    fn read_event(&mut self, event: &PendingEvent) {
        let PendingEvent { sequence, attempts, crashes, .. } = event;
        let unread = self.unread.as_mut().expect("there was more");
        assert!(unread.events.remove(sequence), "{sequence} is done, or comes twice");
        let counted = unread.attempts.get(sequence).is_none_or(|counted| counted == attempts);
        assert!(counted, "{attempts} attempts, not {:?}: {event:?}", unread.attempts);
        let before = self.truth.crashes.insert(*sequence, *crashes).unwrap_or_default();
        if self.truth.unclear.contains(sequence) && *crashes > before {
            self.truth.unlucky.insert(*sequence);
        }
    }

    fn end(&mut self, is_written: bool) {
        // While something is being written, the two may differ by it.
        let is_told = self.writing.is_none();
        let known = self.truth.events.keys().filter_map(|sequence| {
            let (attempts, _) = self.engine.attempts.tried(*sequence)?;
            // What waited for somebody was cut short, and that does not count.
            Some((*sequence, attempts - u32::from(self.suspended.contains(sequence))))
        });
        let attempts: BTreeMap<u64, u32> = if is_told { known.collect() } else { BTreeMap::new() };
        if let Some(batch) = self.writing.take().filter(|_| is_written) {
            self.apply(batch);
        }
        // The last attempt may be repeated, wherever it was.
        for sequence in self.truth.starts.keys() {
            *self.truth.allowance.entry(*sequence).or_default() += 1;
        }
        // What was on its way may have arrived.
        self.truth.arrived.extend(self.flights.drain(..).map(|delivery| name(delivery.outbound.key)));
        // What is not written was not promised.
        let had_time = |(sequence, handler): (&u64, &Handler)| {
            let is_probe = self.truth.crashes.get(sequence).is_some_and(|crashes| *crashes > 0);
            is_probe && handler.at + self.alone(*sequence) <= self.now.elapsed
        };
        let is_unclear = self.handlers.iter().any(had_time);
        let unread = self.unread.take().map(|unread| unread.events).unwrap_or_default();
        let here = self.truth.events.keys().filter(|sequence| !unread.contains(sequence));
        for sequence in here {
            match is_unclear {
                true => self.truth.unclear.insert(*sequence),
                false => self.truth.unclear.remove(sequence),
            };
        }
        self.truth.owed.clear();
        self.truth.planned.clear();
        self.truth.findable.hang_up();
        self.handlers.clear();
        self.begun.clear();
        self.suspended.clear();
        self.sendable.clear();
        self.settled = self.truth.ended.keys().copied().collect();
        self.room_bytes = 0;
        self.now.elapsed = Duration::ZERO;
        self.now.wall_ms += 10;
        self.engine = engine(self.wishes);
        self.cancelling.clear();
        for mut told in self.listening.drain(..) {
            assert!(told.try_recv().is_err(), "a handle was told what may not be written");
        }
        for mut asked in self.asked.drain(..) {
            assert_eq!(asked.heard(), None, "the operator was told what may not be written");
        }
        self.begin(attempts);
    }

    // What the engine says.

    fn pump(&mut self) {
        let mut outputs = Vec::new();
        self.engine.outputs(&mut outputs);
        for output in outputs {
            match output {
                Output::Start(work) => self.start(work),
                Output::Send(delivery) => self.send(delivery),
                Output::Notify(delivery) => panic!("{delivery:?}"),
                Output::Ended(_, token, _) => panic!("no event has {token:?}"),
                Output::Cancel(sequence) => {
                    let handler = &self.handlers[&sequence];
                    assert_eq!(handler.place, Place::Cancelled, "nobody has cancelled {sequence}");
                }
                Output::Died(dead) => {
                    if let DeadId::Event(sequence) = dead.id
                        && dead.reason != Reason::Parked
                    {
                        self.settled.insert(sequence);
                        let crashes = self.truth.crashes.get(&sequence).copied().unwrap_or(0);
                        assert_eq!(dead.reason == Reason::Poison, crashes >= 3);
                        let is_guilty =
                            self.is_guilty(dead.event().unwrap()) || self.truth.unlucky.contains(&sequence);
                        assert!(
                            dead.reason != Reason::Poison || is_guilty || !self.wishes.has_guilty,
                            "{sequence} had no part in a crash"
                        );
                    }
                }
            }
        }
        let (taken, released) = self.engine.memory_changes();
        let bytes =
            |events: std::vec::Drain<'_, Event>| events.map(|event| event.size_bytes()).sum::<usize>();
        let (taken, released) = (bytes(taken), bytes(released));
        self.room_bytes =
            (self.room_bytes + taken).checked_sub(released).expect("no more is released than taken");
        if self.writing.is_none() {
            self.writing = self.engine.batch();
            for entry in self.writing.iter_mut().flatten() {
                if let (Entry::Query(Query::Load { limit, .. }), Some(paging)) = (entry, self.wishes.paging) {
                    *limit = paging.limit;
                }
            }
        }
        for (sequence, handler) in &mut self.handlers {
            if handler.turn.as_mut().is_some_and(|turn| turn.try_recv().is_ok()) {
                (handler.turn, handler.place, handler.at) = (None, Place::Running, self.now.elapsed);
            }
            if handler.place == Place::Waiting
                && let Some(offers) = &mut handler.offers
                && let Ok(offer) = offers.try_recv()
            {
                assert!(handler.offered.is_none(), "{sequence} is offered two at once");
                handler.offered = Some(offer);
            }
        }
        let replies = &self.truth.replies;
        self.listening.retain_mut(|told| {
            let Ok(answers) = told.try_recv() else { return true };
            let answers = answers.expect("nobody refuses");
            let is_kept = |answer: &Acceptance| match answer {
                Acceptance::New(sequence) => replies.contains_key(&(*sequence, 0)),
                Acceptance::Duplicate => true,
            };
            assert!(answers.len() == 2 && answers.iter().all(is_kept), "{answers:?} is not kept");
            false
        });
        let ended = &self.truth.ended;
        self.cancelling.retain_mut(|(answer, cancelled)| {
            let Ok(count) = answer.try_recv() else { return true };
            assert_eq!(count, cancelled.len(), "those that were ended");
            let is_done = |sequence: &u64| ended.get(sequence) == Some(&End::Done);
            assert!(cancelled.iter().all(is_done), "{cancelled:?} could come again after that was said");
            false
        });
        self.check();
    }

    /// What holds at every moment.
    fn check(&self) {
        let mut lanes = BTreeSet::new();
        let mut concurrent = BTreeMap::new();
        for handler in self.handlers.values().filter(|handler| handler.holds_lane()) {
            // One that has waited for somebody goes on in its conversation.
            let lane = match handler.waits {
                0 => handler.event.lane(),
                _ => handler.event.conversation().shared_key(),
            };
            if self.is_concurrent(&handler.event) && handler.waits == 0 {
                let count = concurrent.entry(lane).or_insert(0);
                *count += 1;
                assert!(*count <= CONCURRENT, "{count} run at once beside their conversation");
                continue;
            }
            assert!(lanes.insert(lane), "two have the lane of {:?}", handler.event.lane());
        }
        let mut outbox = BTreeSet::new();
        for delivery in &self.flights {
            assert!(
                outbox.insert(delivery.outbound.conversation.shared_key()),
                "two replies overtake each other"
            );
        }
        let is_busy =
            !lanes.is_empty() || !concurrent.is_empty() || !self.flights.is_empty() || self.writing.is_some();
        let is_busy = is_busy || self.unread.is_some();
        assert!(!(is_busy && self.engine.is_idle()), "idle, and there is something to do");
        let probes = self.handlers.iter().filter(|(sequence, handler)| {
            let is_probe = self.truth.crashes.get(*sequence).is_some_and(|crashes| *crashes > 0);
            handler.has_lane() && is_probe && handler.at + self.alone(**sequence) > self.now.elapsed
        });
        assert!(probes.count() <= 1, "probes begin one at a time");
        self.engine.load();
    }

    /// For how long an event has the process to itself, should it be a crash probe.
    fn alone(&self, sequence: u64) -> Duration {
        alone(self.truth.crashes.get(&sequence).copied().unwrap_or(0))
    }

    fn start(&mut self, work: Attempt) {
        let Attempt { event, sequence, number: attempt, facts, .. } = work;
        assert!(self.begun.remove(&sequence), "{sequence} starts before the journal knows");
        assert!(!self.truth.ended.contains_key(&sequence), "{sequence} starts after its end");
        assert!(self.truth.crashes.get(&sequence).is_none_or(|crashes| *crashes < 3), "{sequence} is poison");
        let starts = self.truth.starts.entry(sequence).or_default();
        *starts += 1;
        let allowed =
            self.wishes.retry.attempts + self.truth.allowance.get(&sequence).copied().unwrap_or_default();
        assert!(*starts <= allowed, "attempt {starts} of {sequence}, of {allowed}");
        let is_in_order = self.wishes.retry.order != Order::Relaxed && !self.is_concurrent(&event);
        if is_in_order && !self.truth.replayed.contains(&sequence) {
            for (earlier, other) in self.truth.events.range(..sequence) {
                assert!(
                    other.lane() != event.lane()
                        || self.is_concurrent(other)
                        || self.settled.contains(earlier)
                        || self.truth.waited.contains(earlier)
                        || self.truth.replayed.contains(earlier),
                    "{sequence} overtakes {earlier}"
                );
            }
        }
        let handler = Handler {
            event,
            attempt,
            facts,
            place: Place::Running,
            at: self.now.elapsed,
            index: 0,
            waits: 0,
            cancels: 0,
            keeps_lane: false,
            offers: None,
            offered: None,
            turn: None,
            answers: Vec::new(),
        };
        assert!(self.handlers.insert(sequence, handler).is_none(), "{sequence} runs twice");
    }

    fn send(&mut self, delivery: Delivery) {
        let key = name(delivery.outbound.key);
        assert!(self.sendable.remove(&key), "{key:?} is sent before the journal knows");
        if self.wishes.on_unknown != OnUnknown::Resend {
            assert!(!self.truth.arrived.contains(&key), "{key:?} is sent again");
        }
        if key.1 < APOLOGY {
            let highest = self.truth.highest.entry(key.0).or_default();
            let is_first = self.truth.begun.insert(key);
            assert!(!is_first || key.1 >= *highest, "{key:?} is late");
            *highest = key.1.max(*highest);
        }
        let conversation = delivery.outbound.conversation.id();
        if let Some(said) = self.truth.said.get(conversation).filter(|said| said.contains(&key.0)) {
            let mut before = said
                .range(..key.0)
                .flat_map(|earlier| self.truth.replies.range((*earlier, 0)..(*earlier + 1, 0)));
            let overtaken = before.find(|(_, fate)| **fate == Fate::Open);
            assert_eq!(overtaken, None, "{key:?} was said after that");
        }
        self.flights.push(delivery);
    }

    // What handlers do.

    /// Picks among the handlers that are at one of these places.
    fn pick(&self, who: u8, places: &[Place]) -> Option<u64> {
        let fit = self.handlers.iter().filter(|(_, handler)| places.contains(&handler.place));
        let fit: Vec<u64> = fit.map(|(sequence, _)| *sequence).collect();
        fit.get(usize::from(who).checked_rem(fit.len())?).copied()
    }

    fn is_concurrent(&self, event: &Event) -> bool {
        self.wishes.has_concurrent && is_fourth(event)
    }

    fn is_guilty(&self, event: &Event) -> bool {
        self.wishes.has_guilty && event.id().parse::<u64>().is_ok_and(|number| number.is_multiple_of(5))
    }

    /// Picks a handler that is about to end. Where it is a guilty one, the process ends instead.
    fn ending(&mut self, who: u8) -> Option<u64> {
        let sequence = self.pick(who, &[Place::Running, Place::Loose])?;
        if self.is_guilty(&self.handlers[&sequence].event) {
            self.end(who & 1 == 0);
            return None;
        }
        Some(sequence)
    }

    fn outbound(&self, sequence: u64, index: u32) -> Outbound {
        let conversation = self.handlers[&sequence].event.conversation().clone();
        let action = Reply::text(format!("{sequence}.{index}")).actions()[0].clone();
        Outbound::new(conversation, action, SendKey { sequence, index })
    }

    /// How much a handler sends at once: the same in each of its attempts.
    fn at_once(event: &Event) -> u32 {
        event.id().parse::<u32>().unwrap_or_default() % 3
    }

    fn succeed(&mut self, who: u8, replies: u8, jobs: u8) {
        let Some(sequence) = self.ending(who) else { return };
        while self.handlers[&sequence].index < Self::at_once(&self.handlers[&sequence].event) {
            self.act(sequence, false);
        }
        let first = self.handlers[&sequence].free_index();
        let keys: Vec<_> = (first..first + u32::from(replies)).map(|index| (sequence, index)).collect();
        self.truth.owed.insert(sequence, keys.clone());
        let outbound = keys.iter().map(|(sequence, index)| self.outbound(*sequence, *index)).collect();
        self.settled.insert(sequence);
        let event = self.handlers[&sequence].event.clone();
        let due_ms = |index: u8| self.now.wall_ms + 900 * u64::from(index % 3);
        let jobs: Vec<_> =
            (0..jobs).map(|index| operator::job(sequence, index, &event, due_ms(index))).collect();
        self.truth.planned.insert(sequence, jobs.iter().map(|job| job.name.clone()).collect());
        self.finish(sequence, outbound, jobs.into_iter().map(Entry::Schedule).collect(), Ending::Done);
    }

    fn fail(&mut self, who: u8, reason: Reason, is_worth_another: bool) {
        let Some(sequence) = self.ending(who) else { return };
        let handler = &self.handlers[&sequence];
        let index = handler.free_index().max(APOLOGY);
        let outbound = vec![self.outbound(sequence, index)];
        let failure = Failure::new("on purpose".to_owned(), reason, self.wishes.retry);
        let failure = Failure { is_worth_another, ..failure };
        self.finish(sequence, outbound, Vec::new(), Ending::Failed(failure));
    }

    fn cut_short(&mut self, who: u8) {
        let Some(sequence) = self.ending(who) else { return };
        let (error, retry) = ("dropped".to_owned(), self.wishes.retry);
        let is_worth_another = retry.attempts > 1;
        let failure = Failure { is_worth_another, ..Failure::new(error, Reason::Failed, retry) };
        self.finish(sequence, Vec::new(), Vec::new(), Ending::CutShort(failure));
    }

    fn finish(&mut self, sequence: u64, outbound: Vec<Outbound>, changes: Vec<Entry>, ending: Ending) {
        self.handlers.remove(&sequence);
        let command = None;
        self.step(Input::Finished(HandlerOutcome { sequence, command, outbound, changes, ending }));
    }

    fn reply_now(&mut self, who: u8, listens: bool) {
        let Some(sequence) = self.pick(who, &[Place::Running, Place::Loose]) else { return };
        let handler = &self.handlers[&sequence];
        if handler.index < Self::at_once(&handler.event) {
            self.act(sequence, listens);
        }
    }

    fn act(&mut self, sequence: u64, listens: bool) {
        let outbound = self.outbound(sequence, self.handlers[&sequence].index);
        let (answer, fate) = oneshot::channel();
        let handler = self.handlers.get_mut(&sequence).unwrap();
        handler.index += 1;
        if listens {
            handler.answers.push(fate);
        }
        self.step(Input::Asked(HandlerRequest::Act {
            outbound,
            command: "!act".into(),
            answer: Some(answer),
        }));
    }

    fn wait(&mut self, who: u8) {
        let Some(sequence) = self.pick(who, &[Place::Running, Place::Loose]) else { return };
        if self.is_guilty(&self.handlers[&sequence].event) {
            return;
        }
        let (offers, offered) = mpsc::unbounded_channel();
        let handler = self.handlers.get_mut(&sequence).unwrap();
        (handler.place, handler.offers) = (Place::Waiting, Some(offered));
        handler.waits += 1;
        self.truth.waited.insert(sequence);
        self.step(Input::Asked(HandlerRequest::Wait { sequence, offers }));
    }

    fn offered(&mut self, who: u8, takes: bool) {
        let asked = self.handlers.iter().filter(|(_, handler)| handler.offered.is_some());
        let asked: Vec<u64> = asked.map(|(sequence, _)| *sequence).collect();
        let Some(by) = usize::from(who).checked_rem(asked.len()).map(|at| asked[at]) else { return };
        let handler = self.handlers.get_mut(&by).unwrap();
        let Offer { sequence: event, .. } = handler.offered.take().unwrap();
        if !takes {
            return self.step(Input::Asked(HandlerRequest::Pass { event, by }));
        }
        let (answer, kept) = oneshot::channel();
        (handler.offers, handler.turn, handler.place) = (None, Some(kept), Place::Rejoining);
        self.settled.insert(event);
        let name = format!("wait {} {}", handler.attempt, handler.waits);
        self.step(Input::Asked(HandlerRequest::Take { event, by, name, value: Bytes::new(), answer }));
    }

    fn rejoin(&mut self, who: u8) {
        let Some(sequence) = self.pick(who, &[Place::Waiting]) else { return };
        let (answer, turn) = oneshot::channel();
        let handler = self.handlers.get_mut(&sequence).unwrap();
        (handler.offers, handler.offered) = (None, None);
        (handler.turn, handler.place) = (Some(turn), Place::Rejoining);
        self.step(Input::Asked(HandlerRequest::Rejoin { sequence, answer }));
    }

    fn leave(&mut self, who: u8) {
        let Some(sequence) = self.pick(who, &[Place::Waiting, Place::Rejoining]) else { return };
        let handler = self.handlers.get_mut(&sequence).unwrap();
        (handler.offers, handler.offered, handler.turn) = (None, None, None);
        handler.place = Place::Loose;
        self.step(Input::Asked(HandlerRequest::Leave { sequence }));
    }

    fn cancel_others(&mut self, who: u8) {
        let Some(by) = self.pick(who, &[Place::Running, Place::Loose]) else { return };
        let here = self.handlers[&by].event.conversation().clone();
        let others = self.handlers.iter_mut().filter(|(sequence, handler)| {
            **sequence != by && handler.place != Place::Cancelled && *handler.event.conversation() == here
        });
        let mut cancelled = Vec::new();
        for (sequence, handler) in others {
            (handler.keeps_lane, handler.place) = (handler.has_lane(), Place::Cancelled);
            (handler.offers, handler.offered, handler.turn) = (None, None, None);
            handler.answers.clear();
            cancelled.push(*sequence);
        }
        self.settled.extend(&cancelled);
        let handler = self.handlers.get_mut(&by).unwrap();
        handler.cancels += 1;
        let name = format!("cancel {} {}", handler.attempt, handler.cancels);
        let (answer, ended) = oneshot::channel();
        self.cancelling.push((ended, cancelled));
        self.step(Input::Asked(HandlerRequest::CancelOthers { by, name, answer }));
    }

    fn gone(&mut self, who: u8, is_done: bool) {
        let Some(sequence) = self.pick(who, &[Place::Cancelled]) else { return };
        let late = self.outbound(sequence, TOO_LATE);
        let act = HandlerRequest::Act { outbound: late.clone(), command: "!act".into(), answer: None };
        self.step(Input::Asked(act));
        let (name, value, (answer, _)) = ("late".to_owned(), Bytes::new(), oneshot::channel());
        self.step(Input::Asked(HandlerRequest::Step { sequence, name, value, answer }));
        let failure = Failure::new("dropped".to_owned(), Reason::Failed, self.wishes.retry);
        let ending = if is_done { Ending::Done } else { Ending::CutShort(failure) };
        self.finish(sequence, vec![late], Vec::new(), ending);
    }

    // The end.

    /// Everything goes well from now on.
    fn drain(&mut self) {
        self.is_over = true;
        for _ in 0..20_000 {
            self.write();
            self.pump();
            if self.pick(0, &[Place::Cancelled]).is_some() {
                self.gone(0, true);
            } else if let Some(sequence) = self.pick(0, &[Place::Running, Place::Loose]) {
                let is_guilty = self.is_guilty(&self.handlers[&sequence].event);
                if is_guilty { self.end(true) } else { self.succeed(0, 1, 0) }
            } else if !self.flights.is_empty() {
                self.deliver(0, 7);
            } else if self.pick(0, &[Place::Waiting]).is_some() {
                self.rejoin(0);
            } else if self.writing.is_some() {
                continue;
            } else if let Some(at) = self.engine.next_look() {
                self.pass(at.saturating_sub(self.now.elapsed).max(Duration::from_millis(1)));
            } else if !self.truth.parked.is_empty() {
                self.replay(DeadFilter { reason: Some(Reason::Parked), ..DeadFilter::default() });
            } else {
                break;
            }
            self.pump();
        }
    }

    /// Nothing is left, and everything has come to one end.
    fn account(&mut self) {
        assert!(self.engine.is_idle(), "not idle, and nothing is left to do: {:?}", self.engine.load());
        assert_eq!(self.engine.load(), Load::default());
        assert_eq!(self.room_bytes, 0, "whatever was taken is released");
        assert!(self.handlers.is_empty(), "{:?} never got a turn", self.handlers.keys());
        let left = ready(self.journal.recover()).unwrap();
        assert!(left.events.is_empty(), "{:?} never came to an end", left.events);
        assert!(left.replies.is_empty(), "{:?} were never sent", left.replies);
        for sequence in self.truth.events.keys() {
            assert!(self.truth.ended.contains_key(sequence), "{sequence} has no end");
        }
        assert!(self.truth.replies.values().all(|fate| *fate != Fate::Open));
        let awaited = (0..4).find(|number| self.engine.waits.is_awaited(conversation(*number).id()));
        assert_eq!(awaited, None, "nobody waits there any more");
        assert!(self.cancelling.is_empty(), "somebody waits to hear how many were ended");
        assert!(self.listening.is_empty(), "a handle waits for an answer that does not come");
        assert!(self.asked.is_empty(), "the operator waits for an answer that does not come");
        assert!(self.unread.is_none(), "not all was read");
        self.truth.findable.account();
    }
}

impl Truth {
    fn note(&mut self, entry: &Entry, answer: &Answer, retry: Retry) {
        if let Entry::Operator(OperatorEntry::Replay { filter, .. } | OperatorEntry::Discard(filter)) = entry
        {
            self.decided(filter);
        }
        self.findable.note(entry, answer);
        match (entry, answer) {
            (Entry::Fire { event: Some(event), .. }, Answer::Accepted(acceptance)) => {
                let Acceptance::New(sequence) = acceptance else { panic!("{event:?} came before") };
                assert!(self.ids.insert(event.id().to_owned()), "fired twice");
                self.events.insert(*sequence, event.clone());
            }
            (Entry::Accept { event, .. }, Answer::Accepted(acceptance)) => match acceptance {
                Acceptance::New(sequence) => {
                    assert!(self.ids.insert(event.id().to_owned()), "accepted twice");
                    self.events.insert(*sequence, event.clone());
                }
                Acceptance::Duplicate => assert!(self.ids.contains(event.id()), "not a duplicate"),
            },
            (Entry::Event(sequence, EventEntry::Step { name, .. }), _) => {
                assert_ne!(name, "late", "{sequence} was cancelled before that");
            }
            (Entry::Event(sequence, EventEntry::Done), _) => {
                self.ends(*sequence, End::Done);
                for key in self.owed.remove(sequence).unwrap_or_default() {
                    assert!(self.replies.contains_key(&key), "{key:?} was to be kept together with the end");
                }
                for job in self.planned.remove(sequence).unwrap_or_default() {
                    assert!(self.findable.knows(&job), "{job} was to be kept together with the end");
                }
            }
            (Entry::Event(sequence, EventEntry::DeadLetter { reason, now_ms, .. }), _) => {
                let conversation = self.events[sequence].conversation().id();
                self.findable.dead_letter(DeadId::Event(*sequence), *now_ms, *reason, conversation);
                match reason {
                    Reason::Parked => assert!(self.parked.insert(*sequence)),
                    _ => self.ends(*sequence, End::Dead(*reason)),
                }
            }
            (Entry::Promise { outbound, .. }, _) => {
                assert_ne!(outbound.key.index, TOO_LATE, "it was cancelled before it said this");
                let conversation = outbound.conversation.id().to_owned();
                self.conversations.insert(name(outbound.key), conversation);
                let known = self.replies.insert(name(outbound.key), Fate::Open);
                assert!(
                    known.is_none_or(|fate| fate == Fate::Dropped),
                    "{:?} is promised twice: {known:?}",
                    outbound.key
                );
            }
            (Entry::Say { said, .. }, Answer::Said(answers)) => {
                assert_eq!(said.len(), answers.len());
                said.iter().zip(answers).for_each(|(said, answer)| self.says(said, *answer));
            }
            (Entry::Reply(key, ReplyEntry::Sent { .. }), _) => self.fares(*key, Fate::Sent),
            (Entry::Reply(key, ReplyEntry::DeadLetter { reason, now_ms, .. }), _) => {
                self.fares(*key, Fate::Dead);
                let id = DeadId::Reply(key.sequence, key.index);
                self.findable.dead_letter(id, *now_ms, *reason, &self.conversations[&name(*key)]);
            }
            (Entry::Reply(key, ReplyEntry::Drop), _) => self.fares(*key, Fate::Dropped),
            (Entry::Operator(OperatorEntry::Replay { .. }), Answer::Replayed(replayed)) => {
                for event in &replayed.events {
                    self.events.insert(event.sequence, event.event.clone());
                    self.replayed.insert(event.sequence);
                }
                for letter in &replayed.replies {
                    let key = name(letter.outbound.key);
                    self.conversations.insert(key, letter.outbound.conversation.id().to_owned());
                    self.replies.insert(key, Fate::Open);
                }
                for sequence in &replayed.unparked {
                    assert!(self.parked.remove(sequence));
                    self.crashes.remove(sequence);
                    *self.allowance.entry(*sequence).or_default() += retry.attempts;
                }
            }
            (Entry::Operator(OperatorEntry::Discard(_)), Answer::Discarded { unparked, .. }) => {
                for sequence in unparked {
                    assert!(self.parked.remove(sequence));
                    self.ends(*sequence, End::Discarded);
                }
            }
            _ => {}
        }
    }

    /// Something is said for the first time, or known.
    fn says(&mut self, Said { outbound, id, .. }: &Said, answer: Acceptance) {
        let is_known = id.as_ref().is_some_and(|id| !self.said_ids.insert(id.clone()));
        let Acceptance::New(sequence) = answer else { return assert!(is_known, "{id:?} is no duplicate") };
        assert!(!is_known, "{id:?} is said twice");
        let conversation = outbound[0].conversation.id();
        self.said.entry(conversation.to_owned()).or_default().insert(sequence);
        for index in (0..).take(outbound.len()) {
            self.conversations.insert((sequence, index), conversation.to_owned());
            assert_eq!(self.replies.insert((sequence, index), Fate::Open), None);
        }
    }

    /// The operator has taken dead replies away.
    fn decided(&mut self, filter: &DeadFilter) {
        for id in self.findable.meant(filter) {
            if let DeadId::Reply(sequence, index) = id {
                let before = self.replies.insert((sequence, index), Fate::Decided);
                assert_eq!(before, Some(Fate::Dead), "{id:?}");
            }
        }
    }

    fn ends(&mut self, sequence: u64, end: End) {
        let before = self.ended.insert(sequence, end);
        assert!(before.is_none(), "{sequence} ends again after {before:?}");
        assert!(self.events.contains_key(&sequence));
    }

    fn fares(&mut self, key: SendKey, fate: Fate) {
        let before = self.replies.insert(name(key), fate);
        assert_eq!(before, Some(Fate::Open), "{key:?}");
    }
}

/// Every fourth event; a job is none.
fn is_fourth(event: &Event) -> bool {
    event.id().parse::<u64>().is_ok_and(|number| number % 4 == 3)
}

fn engine(wishes: Wishes) -> Engine {
    let is_concurrent = || -> IsConcurrent { Box::new(is_fourth) };
    Engine::new(policy(wishes)).with_concurrency(wishes.has_concurrent.then(is_concurrent))
}

fn policy(wishes: Wishes) -> Policy {
    let recovered_bytes = wishes.paging.map_or(usize::MAX, |paging| paging.room_bytes);
    let network = NetworkPolicy { on_unknown: wishes.on_unknown, ..NetworkPolicy::default() };
    Policy { has_brake: true, networks: vec![network], seed: 4, recovered_bytes, ..Policy::default() }
}

/// The value of a future that never waits.
fn ready<F: Future>(future: F) -> F::Output {
    use futures_util::FutureExt;
    future.now_or_never().unwrap()
}
