//! A bot in small: pipe, journal, lanes, handlers, outbox. It takes one step at a time, whichever is chosen.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::super::history::{Happened, Unknown};
use super::bug::Bug;
use super::disk::{Accepted, Disk, Key, Letter, Row};
use super::message::{Course, Script};
use super::writer::{Parcel, Stage, Then, What, Writer};

/// After this many attempts a message is given up.
const ATTEMPTS: u32 = 3;
/// After this many ends of the process in the middle of an attempt, too.
const CRASHES: u32 = 3;

/// What comes in, in order.
#[derive(Clone, Debug)]
pub(super) enum Inbound {
    Offer(Script),
    /// The other side has the reply.
    Arrived {
        conversation: u32,
        key: Key,
    },
}

/// What the bot may do next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Read,
    Write,
    Answer,
    /// The next attempt of a conversation begins.
    Start(u32),
    /// The handler ends.
    Finish(u32),
    /// The pause before the next attempt is over.
    Wake(u32),
    Mark(u32),
    Send(u32),
    /// What waits outside its lane comes back.
    Return,
}

/// A process; all of it is gone at its end.
pub(super) struct Bot {
    bug: Option<Bug>,
    pub(super) pipe: VecDeque<Inbound>,
    writer: Writer,
    lanes: BTreeMap<u32, Lane>,
    outbox: BTreeMap<u32, VecDeque<Parcel>>,
    events: HashMap<u64, Script>,
    attempts: HashMap<u64, u32>,
    /// Failed messages that wait outside their lane.
    aside: VecDeque<u64>,
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<u64>,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Busy,
    Running,
    Resting,
}

/// What the world sees of a step.
pub(super) struct World<'a> {
    pub(super) disk: &'a mut Disk,
    pub(super) history: &'a mut Vec<Happened>,
    /// Runs of handlers so far, over all lives.
    pub(super) runs: &'a mut u64,
    /// How many works go into one batch.
    pub(super) batch: usize,
}

impl Bot {
    /// Starts from what the disk holds.
    pub(super) fn recover(bug: Option<Bug>, disk: &mut Disk) -> Self {
        let mut bot = Self {
            bug,
            pipe: VecDeque::new(),
            writer: Writer::default(),
            lanes: BTreeMap::new(),
            outbox: BTreeMap::new(),
            events: HashMap::new(),
            attempts: HashMap::new(),
            aside: VecDeque::new(),
        };
        let rows = bot.mend(disk);
        disk.write(rows);
        // The last process may have been killed between writing and syncing. What is acted upon from here on must not
        // vanish at the next power cut.
        if !matches!(bug, Some(Bug::NoFsync | Bug::UnsyncedRecovery)) {
            disk.sync();
        }
        let tables = disk.tables();
        let pending: Vec<(&u64, &Accepted)> = tables.events.iter().filter(|(_, one)| !one.is_dead).collect();
        for (sequence, event) in pending {
            bot.events.insert(*sequence, event.script.clone());
            bot.attempts.insert(*sequence, event.attempts);
            let queue = &mut bot.lanes.entry(event.script.conversation).or_default().queue;
            match bug {
                Some(Bug::RecoveryInWrongOrder) => queue.push_front(*sequence),
                _ => queue.push_back(*sequence),
            }
        }
        for (key, letter) in &tables.letters {
            let parcel = Parcel { key: *key, letter: letter.clone(), stage: Stage::Waiting };
            bot.outbox.entry(letter.conversation).or_default().push_back(parcel);
        }
        bot
    }

    /// What the end of the last process has left in between.
    fn mend(&self, disk: &Disk) -> Vec<Row> {
        let mut rows = Vec::new();
        for (&sequence, event) in &disk.tables().events {
            if event.is_running {
                rows.push(Row::Crash { sequence });
                rows.extend((event.crashes + 1 >= CRASHES).then_some(Row::DeadLetter { sequence }));
            }
            if event.is_dead && self.bug == Some(Bug::DeadForgotten) {
                rows.push(Row::Forget { sequence });
            }
        }
        for (&key, letter) in &disk.tables().letters {
            let is_unwanted = letter.is_sending && letter.unknown == Unknown::Drop;
            if is_unwanted && self.bug != Some(Bug::UnknownResent) {
                rows.push(Row::Gone { key });
            }
        }
        rows
    }

    /// Everything that may happen next; nothing once the bot is at rest.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        steps.extend((!self.pipe.is_empty()).then_some(Step::Read));
        steps.extend(self.writer.can_write().then_some(Step::Write));
        steps.extend(self.writer.can_answer().then_some(Step::Answer));
        steps.extend((!self.aside.is_empty()).then_some(Step::Return));
        for (&conversation, lane) in &self.lanes {
            match lane.state {
                State::Idle if !lane.queue.is_empty() => steps.push(Step::Start(conversation)),
                State::Running => steps.push(Step::Finish(conversation)),
                State::Resting => steps.push(Step::Wake(conversation)),
                State::Idle | State::Busy => {}
            }
        }
        for (&conversation, parcels) in &self.outbox {
            match parcels.front().map(|parcel| parcel.stage) {
                Some(Stage::Waiting) => steps.push(Step::Mark(conversation)),
                Some(Stage::Ready) => steps.push(Step::Send(conversation)),
                _ => {}
            }
        }
        steps
    }

    /// Whether something is written and not synced.
    pub(super) fn is_unsynced(&self) -> bool {
        self.writer.can_answer()
    }

    /// Takes one of the steps; returns the message whose handler has ended the process, if one has.
    pub(super) fn take(&mut self, step: Step, world: &mut World<'_>) -> Option<u64> {
        match step {
            Step::Read => self.read(world),
            Step::Write => self.writer.write(world.disk, world.batch),
            Step::Answer => {
                for then in self.writer.answer(world.disk, self.bug != Some(Bug::NoFsync)) {
                    self.follow(then, world.history);
                }
            }
            Step::Start(conversation) => self.start(conversation),
            Step::Finish(conversation) => return self.finish(conversation, world.runs),
            Step::Wake(conversation) => self.lane(conversation).state = State::Idle,
            Step::Mark(conversation) => self.mark(conversation),
            Step::Send(conversation) => self.send(conversation, world.history),
            Step::Return => {
                if let Some((sequence, script)) =
                    self.aside.pop_front().and_then(|one| Some((one, self.events.get(&one)?)))
                {
                    let conversation = script.conversation;
                    self.lane(conversation).queue.push_back(sequence);
                }
            }
        }
        None
    }

    /// Gives a dead letter another chance.
    pub(super) fn replay(&mut self, sequence: u64, script: Script) {
        if self.bug == Some(Bug::DeleteThenReturn) {
            let gone = What::Rows(vec![Row::Forget { sequence }]);
            return self.writer.push(gone, false, Then::Forgotten { script });
        }
        let then = Then::Accepted { script: script.clone(), sequence: None };
        self.writer.push(What::Anew { script, old: Some(sequence) }, false, then);
    }

    fn lane(&mut self, conversation: u32) -> &mut Lane {
        self.lanes.entry(conversation).or_default()
    }

    fn read(&mut self, world: &mut World<'_>) {
        match self.pipe.pop_front() {
            Some(Inbound::Offer(script)) => self.offered(script, world),
            Some(Inbound::Arrived { conversation, key }) => self.arrived(conversation, key),
            None => {}
        }
    }

    fn offered(&mut self, script: Script, world: &mut World<'_>) {
        let message = script.message;
        let then = Then::Accepted { script: script.clone(), sequence: None };
        let what = match self.bug {
            Some(Bug::DedupeInTwoSteps) if !world.disk.tables().seen.contains(&message) => {
                What::Anew { script, old: None }
            }
            _ => What::Accept(script),
        };
        if self.bug == Some(Bug::AckBeforeCommit) {
            world.history.push(Happened::Acknowledged { message });
        }
        self.writer.push(what, false, then);
    }

    fn arrived(&mut self, conversation: u32, key: Key) {
        self.writer.push(What::Rows(vec![Row::Gone { key }]), true, Then::Nothing);
        let parcels = self.outbox.entry(conversation).or_default();
        let is_of = |parcel: &Parcel| parcel.key.0 == key.0;
        parcels.pop_front();
        let is_last = !parcels.iter().any(is_of);
        if self.bug == Some(Bug::OutboxAfterSend) && is_last {
            let done = What::Rows(vec![Row::Done { sequence: key.0 }]);
            self.writer.push(done, false, Then::Done { conversation, parcels: Vec::new() });
        }
    }

    fn follow(&mut self, then: Then, history: &mut Vec<Happened>) {
        match then {
            Then::Nothing => {}
            Then::Accepted { script, sequence } => self.accepted(script, sequence, history),
            Then::Begun { conversation } => self.lane(conversation).state = State::Running,
            Then::Done { conversation, parcels } => {
                let lane = self.lane(conversation);
                lane.queue.pop_front();
                lane.state = State::Idle;
                self.outbox.entry(conversation).or_default().extend(parcels);
            }
            Then::Unpromised { conversation, parcels } => self.promise(conversation, parcels, Vec::new()),
            Then::Marked { conversation } => {
                if let Some(parcel) = self.outbox.entry(conversation).or_default().front_mut() {
                    parcel.stage = Stage::Ready;
                }
            }
            Then::Forgotten { script } => {
                let then = Then::Accepted { script: script.clone(), sequence: None };
                self.writer.push(What::Anew { script, old: None }, false, then);
            }
        }
    }

    fn accepted(&mut self, script: Script, sequence: Option<u64>, history: &mut Vec<Happened>) {
        let message = script.message;
        history.push(Happened::Acknowledged { message });
        let Some(sequence) = sequence else { return };
        if self.bug == Some(Bug::DedupeInTwoSteps) {
            self.writer.push(What::Rows(vec![Row::Seen { message }]), false, Then::Nothing);
        }
        self.lane(script.conversation).queue.push_back(sequence);
        self.attempts.insert(sequence, 0);
        self.events.insert(sequence, script);
    }

    fn start(&mut self, conversation: u32) {
        let lane = self.lane(conversation);
        lane.state = State::Busy;
        let Some(&sequence) = lane.queue.front() else { return };
        *self.attempts.entry(sequence).or_default() += 1;
        let is_kept = self.bug != Some(Bug::AttemptsForgotten);
        let rows = is_kept.then_some(Row::Begin { sequence }).into_iter().collect();
        self.writer.push(What::Rows(rows), true, Then::Begun { conversation });
    }

    fn finish(&mut self, conversation: u32, runs: &mut u64) -> Option<u64> {
        let lane = self.lane(conversation);
        lane.state = State::Busy;
        let sequence = lane.queue.front().copied()?;
        let attempts = self.attempts.get(&sequence).copied().unwrap_or_default();
        let script = self.events.get(&sequence)?.clone();
        match script.course {
            Course::Poison => return Some(script.message),
            Course::Flaky if attempts == 1 => self.failed(conversation, sequence, attempts),
            Course::Fails => self.failed(conversation, sequence, attempts),
            Course::Succeeds | Course::Flaky => {
                *runs += 1;
                self.succeeded(&script, sequence, *runs);
            }
        }
        None
    }

    fn failed(&mut self, conversation: u32, sequence: u64, attempts: u32) {
        if attempts >= ATTEMPTS {
            let dead = What::Rows(vec![Row::DeadLetter { sequence }]);
            return self.writer.push(dead, false, Then::Done { conversation, parcels: Vec::new() });
        }
        self.writer.push(What::Rows(vec![Row::Rest { sequence }]), true, Then::Nothing);
        self.lane(conversation).state = State::Resting;
        if self.bug == Some(Bug::RetryOutsideLane) {
            let lane = self.lane(conversation);
            lane.queue.pop_front();
            lane.state = State::Idle;
            self.aside.push_back(sequence);
        }
    }

    fn succeeded(&mut self, script: &Script, sequence: u64, run: u64) {
        let Script { message, conversation, wants, .. } = *script;
        let letter = Letter { message, conversation, run, unknown: wants.unknown, is_sending: false };
        let parcel = |part| Parcel { key: (sequence, part), letter: letter.clone(), stage: Stage::Waiting };
        let mut parcels: Vec<Parcel> = (0..wants.parts).map(parcel).collect();
        let done = vec![Row::Done { sequence }];
        match self.bug {
            Some(Bug::OutboxAfterSend) => {
                parcels.iter_mut().for_each(|parcel| parcel.stage = Stage::Ready);
                self.outbox.entry(conversation).or_default().extend(parcels);
            }
            Some(Bug::DoneBeforeReplies) => {
                self.writer.push(What::Rows(done), false, Then::Unpromised { conversation, parcels });
            }
            _ => self.promise(conversation, parcels, done),
        }
    }

    /// Writes replies down, the first as being sent if nothing is before it.
    fn promise(&mut self, conversation: u32, mut parcels: Vec<Parcel>, mut rows: Vec<Row>) {
        let is_free = self.outbox.get(&conversation).is_none_or(VecDeque::is_empty);
        let promised =
            parcels.iter().map(|parcel| Row::Promise { key: parcel.key, letter: parcel.letter.clone() });
        rows.extend(promised);
        if let (true, Some(first)) = (is_free, parcels.first_mut()) {
            first.stage = Stage::Ready;
            rows.push(Row::Sending { key: first.key });
        }
        let is_lazy = self.bug == Some(Bug::LazyPromise);
        self.writer.push(What::Rows(rows), is_lazy, Then::Done { conversation, parcels });
    }

    fn mark(&mut self, conversation: u32) {
        let Some(parcel) = self.outbox.entry(conversation).or_default().front_mut() else { return };
        parcel.stage = Stage::Marking;
        // What must not be sent twice has to be known as sent before it is.
        let is_lazy = parcel.letter.unknown == Unknown::Resend || self.bug == Some(Bug::LazySending);
        let sending = What::Rows(vec![Row::Sending { key: parcel.key }]);
        self.writer.push(sending, is_lazy, Then::Marked { conversation });
    }

    fn send(&mut self, conversation: u32, history: &mut Vec<Happened>) {
        let Some(parcel) = self.outbox.entry(conversation).or_default().front_mut() else { return };
        parcel.stage = Stage::Sent;
        let (key, letter) = (parcel.key, &parcel.letter);
        let (message, part, run) = (letter.message, key.1, letter.run);
        history.push(Happened::Replied { message, conversation, part, run });
        history.push(Happened::Confirmed { message, part });
        self.pipe.push_back(Inbound::Arrived { conversation, key });
    }
}
