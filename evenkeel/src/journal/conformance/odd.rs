//! Odd texts, much at once, and numbers at their ends.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::broken::{Kept, same};
use super::made::{ALICE, PENDING, READY, arrival, batch, event, job, job_of, outbound, put, value};
use super::shown::reply_text;
use super::subject::{End, Open, Subject};
use crate::journal::store::{
    Batch, Change, Death, EventId, EventStage, EventState, JobFilter, JobKey, Key, Mark, ReplyId, ReplyStage,
    ReplyState, Row, Scope, Store, Taken,
};
use crate::journal::{DeadFilter, DeadId, Reason};

/// The latest time that there is room for in a database with signed numbers.
const LATEST_MS: u64 = i64::MAX as u64;

/// Texts that are easily taken for each other, cut short or read as something else.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "a",
        "A",
        "a ",
        " a",
        "\0",
        "a\0",
        "a\0b",
        "\0a",
        "'",
        "\"",
        "'; DROP TABLE event; --",
        "%",
        "_",
        "a%",
        "\\",
        "\n",
        "\r\n",
        "\t",
        "0",
        "00",
        "1e3",
        "NULL",
        "null",
        "true",
        "{}",
        "[1]",
        "é",
        "e\u{301}",
        "ß",
        "SS",
        "\u{202e}abc",
        "👩‍👩‍👧",
        "日本語",
        "\u{feff}",
        "\u{fffd}",
        "x'00'",
        "$1",
        "?1",
        ":a",
        "../a",
        "a/b",
    ]
    .map(str::to_owned)
    .into();
    texts.push("long ".repeat(200_000));
    texts.push(format!("{}!", "long ".repeat(200_000)));
    texts
}

impl<S: Store, O: Open<S>> Subject<S, O> {
    pub(super) async fn odd_texts_come_back_as_they_were(&mut self) -> Kept {
        self.fresh().await?;
        let texts = texts();
        let bodies: Vec<_> = texts.iter().map(|text| Bytes::from(text.clone())).collect();
        let id = self.accept(&["a"]).await?[0];
        let replies: Vec<_> = texts.iter().map(|text| outbound(text, &[(text, b"a file")])).collect();
        let mut changes = Vec::new();
        for ((index, text), (reply, body)) in (0..).zip(&texts).zip(replies.iter().zip(&bodies)) {
            changes.push(value(Scope::BOT, text, body));
            changes.push(value(Scope::person(text), "own", body));
            changes.push(Change::Put(Row::Step(id, text, body)));
            changes.push(put(ReplyId { event: id, index }, PENDING, reply));
        }
        self.change(changes).await?;
        let cursors = texts.iter().zip(&bodies).map(|(text, body)| (text.as_str(), body.clone())).collect();
        self.commit(&Batch { cursors, ..batch() }).await?;
        for end in [End::Drop, End::Close] {
            self.again(end).await?;
            let all: BTreeMap<_, _> = texts.iter().cloned().zip(bodies.iter().cloned()).collect();
            same("the sources of cursors", self.cursors(), &all)?;
            let sorted: Vec<_> = all.into_iter().collect();
            same("the names of values", &self.store().values(&Scope::BOT).await?, &sorted)?;
            for (text, body) in texts.iter().zip(&bodies) {
                let own = self.store().value(&Scope::person(text), "own").await?;
                same("the value of a person with an odd id", &own.as_ref(), &Some(body))?;
            }
            let seen = self.parts(id).await?;
            same("the names of steps", &seen.steps, &sorted)?;
            let written: Vec<_> = replies.iter().map(reply_text).collect();
            let read: Vec<_> = seen.replies.into_iter().map(|reply| reply.body).collect();
            same("the texts of replies, and the names of their files", &read, &written)?;
        }
        Ok(())
    }

    pub(super) async fn odd_texts_are_no_other_names(&mut self) -> Kept {
        self.fresh().await?;
        let (texts, body) = (texts(), Bytes::from_static(b"{}"));
        let event = event("a", ALICE);
        let arrivals = texts.iter().map(|text| arrival(&event, Some(text)));
        let ids = self.take_new(arrivals.collect()).await?;
        let jobs = texts.iter().map(|text| job_of(text, text, 5, &body));
        let jobs = self.take_new(jobs.collect()).await?;
        let mut changes = Vec::new();
        for (text, bits) in texts.iter().zip(&ids) {
            let state = EventState { stage: EventStage::Dead, ..READY };
            let (error, command) = (text.into(), text.into());
            let death = Death { reason: Reason::Failed, error, command, at_ms: 5 };
            changes.push(Change::Mark(Mark::Event(EventId::from_bits(*bits), state, Some(death))));
        }
        self.change(changes).await?;
        self.again(End::Drop).await?;
        for ((text, bits), job) in texts.iter().zip(&ids).zip(&jobs) {
            let taken = self.take(vec![arrival(&event, Some(text))]).await?;
            same("an odd key that comes again", &taken, &[Taken::Known(0)])?;
            let found = self.store().job(JobKey::Name(text)).await?;
            let found = found.map(|job| (job.id, job.name, job.conversation));
            same("a job of an odd name", &found, &Some((*job, text.clone(), text.clone())))?;
            let of =
                JobFilter { partition: None, conversation: Some(text), after: None, until_ms: 9, limit: 9 };
            let (own, _) = self.store().jobs(&of).await?;
            same(
                "the jobs of an odd conversation",
                &own.iter().map(|job| job.id).collect::<Vec<_>>(),
                &[*job],
            )?;
            let filter = DeadFilter { command: Some(text.clone()), ..DeadFilter::default() };
            let dead = self.store().dead(&filter).await?;
            let dead: Vec<_> = dead.into_iter().map(|dead| (dead.id, dead.error)).collect();
            same("the dead letters of an odd command", &dead, &[(DeadId::Event(*bits), text.clone())])?;
        }
        Ok(())
    }

    pub(super) async fn ten_thousand_changes_are_one_batch(&mut self) -> Kept {
        const MANY: u32 = 10_000;
        self.fresh().await?;
        let (id, body) = (self.accept(&["a"]).await?[0], Bytes::from_static(b"7"));
        let names: Vec<_> = (0..MANY).map(|at| format!("{at}")).collect();
        let changes = names.iter().map(|name| value(Scope::conversation(ALICE), name, &body));
        let mut work = self.work(self.home(), changes.collect(), Vec::new());
        let events: Vec<_> = names.iter().map(|name| event(name, ALICE)).collect();
        work.intake = events.iter().take(1_000).map(|event| arrival(event, Some(event.id()))).collect();
        work.epoch.0 += 1;
        let fenced = self.commit(&Batch { work: vec![work], ..batch() }).await?;
        same("the verdict on ten thousand changes", &fenced.work.len(), &1)?;
        same("what is left of them", &self.store().values(&Scope::conversation(ALICE)).await?.len(), &0)?;
        let changes = names.iter().map(|name| Change::Put(Row::Step(id, name, &body)));
        self.change(changes.collect()).await?;
        let arrived =
            self.take_new(events.iter().map(|event| arrival(event, Some(event.id()))).collect()).await?;
        let numbers: BTreeSet<_> = arrived.iter().collect();
        same("the numbers of ten thousand events", &numbers.len(), &events.len())?;
        self.again(End::Drop).await?;
        same("the steps of one event", &self.parts(id).await?.steps.len(), &names.len())?;
        same("the events", &self.load(1_000).await?.len(), &(events.len() + 1))?;
        let gone = arrived.into_iter().map(|bits| Change::Delete(Key::Event(EventId::from_bits(bits))));
        self.change(gone.chain([Change::Delete(Key::Steps(id))]).collect()).await?;
        same("what is left of it", &self.parts(id).await?.steps.len(), &0)?;
        same("what is left of them", &self.load(1_000).await?.len(), &1)?;
        let again = self.take(events.iter().map(|event| arrival(event, Some(event.id()))).collect()).await?;
        let known = again.iter().filter(|taken| **taken == Taken::Known(0)).count();
        same("how many of their keys are known", &known, &events.len())
    }

    pub(super) async fn numbers_at_their_ends_come_back(&mut self) -> Kept {
        self.fresh().await?;
        let (body, reply) = (Bytes::from_static(b"{}"), outbound("pong", &[]));
        let id = self.accept(&["a"]).await?[0];
        let jobs = self
            .take_new(vec![
                job("last", LATEST_MS, &body),
                job("first", 0, &body),
                job("late", LATEST_MS - 1, &body),
            ])
            .await?;
        let (stage, attempts, crashes, due_ms) = (EventStage::Suspended, u32::MAX, u32::MAX, LATEST_MS);
        let event_state = EventState { stage, attempts, crashes, has_begun: true, due_ms };
        let stage = ReplyStage::Sending;
        let reply_state = ReplyState { stage, attempts, due_ms, has_files: false };
        let last = ReplyId { event: id, index: u32::MAX };
        let far = EventId::new(id.partition(), (1 << 54) - 2);
        self.change(vec![
            Change::Mark(Mark::Event(id, event_state, None)),
            put(last, reply_state, &reply),
            put(ReplyId { event: far, index: 1 << 31 }, PENDING, &reply),
        ])
        .await?;
        self.commit(&Batch { now_ms: Some(LATEST_MS), ..batch() }).await?;
        self.again(End::Drop).await?;
        same("the latest time", &self.latest_ms(), &LATEST_MS)?;
        let seen = self.parts(id).await?;
        same("the state of an event", &seen.event.map(|(state, _)| state), &Some(event_state))?;
        let replies: Vec<_> = seen.replies.into_iter().map(|reply| (reply.index, reply.state)).collect();
        same("the state of its last reply", &replies, &[(u32::MAX, reply_state)])?;
        let found: Vec<_> = self.load(1).await?.into_iter().map(|(id, _)| id).collect();
        same("what is not done", &found, &[id, far])?;
        let all =
            JobFilter { partition: None, conversation: None, after: None, until_ms: LATEST_MS, limit: 2 };
        let (due, next_ms) = self.store().jobs(&all).await?;
        let due: Vec<_> = due.iter().map(|job| (job.id, job.due_ms)).collect();
        same("the first jobs", &due, &[(jobs[1], 0), (jobs[2], LATEST_MS - 1)])?;
        same("when the last job is due", &next_ms, &Some(LATEST_MS))?;
        let after = Some((LATEST_MS, u64::MAX));
        let (due, _) = self.store().jobs(&JobFilter { after, until_ms: u64::MAX, ..all }).await?;
        same("the jobs after all", &due.len(), &0)?;
        let error = "no".into();
        let death = Death { reason: Reason::Unknown, error, command: "".into(), at_ms: LATEST_MS };
        let state = ReplyState { stage: ReplyStage::Dead, ..reply_state };
        self.change(vec![Change::Mark(Mark::Reply(last, state, Some(death)))]).await?;
        let dead = self.store().dead(&DeadFilter::default()).await?;
        let dead: Vec<_> = dead.iter().map(|dead| (dead.id, dead.at_ms, dead.attempts)).collect();
        same("the last dead letter", &dead, &[(DeadId::Reply(id.bits(), u32::MAX), LATEST_MS, u32::MAX)])?;
        let after = Some((LATEST_MS, DeadId::Reply(id.bits(), u32::MAX)));
        let none = self.store().dead_names(&DeadFilter { after, ..DeadFilter::default() }).await?;
        same("the dead letters after it", &none.len(), &0)
    }
}
