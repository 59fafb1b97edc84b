//! What an owner has written: all of it or nothing, in order, and nothing once somebody else is the owner.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;

use super::broken::{Kept, Mismatch, same, same_lines};
use super::made::{
    ALICE, PENDING, READY, arrival, batch, command, dead_letter, dead_letter_reply, died, drop_reply, event,
    job, outbound, put, value,
};
use super::shown::{Names, event_text};
use super::subject::{End, Open, Subject, new};
use crate::journal::Reason;
use crate::journal::store::{
    Batch, Change, Epoch, EventId, EventState, Intake, Key, Loaded, Mark, NewRow, Partition, ReplyId, Row,
    Scope, Store, Sync, Taken, Verdict, Work,
};
use crate::reply::Outbound;

/// Something of each kind, and what has to be borrowed for its changes.
pub(super) struct Sample {
    names: Names,
    reply: Outbound,
    body: Bytes,
}

impl Sample {
    /// A change of each kind, of what is there.
    fn changes(&self) -> Vec<Change<'_>> {
        let Self { names, reply, body } = self;
        let (first, second) = (names.events[0], names.events[1]);
        let of = |event, index| ReplyId { event, index };
        let mut changes = vec![
            put(of(first, 0), PENDING, reply),
            put(of(first, 5), PENDING, reply),
            dead_letter_reply(of(first, 1), died(Reason::Refused, "!other", 7)),
            Change::Put(Row::Step(first, "later", body)),
            value(Scope::conversation(ALICE), "later", body),
            value(Scope::BOT, "kept", body),
            Change::Mark(Mark::Event(first, EventState { attempts: 5, ..READY }, None)),
            dead_letter(second, died(Reason::Failed, "!ping", 8)),
            Change::Delete(Key::Steps(second)),
            Change::Delete(Key::Value(Scope::person(ALICE), "kept")),
            Change::Mark(Mark::Job(names.jobs[0], 99)),
            Change::Delete(Key::Job(names.jobs[1])),
            Change::Mark(Mark::Command(names.commands[0], "done".to_owned())),
        ];
        changes.extend(drop_reply(of(second, 0)));
        changes
    }

    /// Something of each kind comes in.
    fn intake<'a>(&'a self, late: &'a crate::event::Event) -> Vec<Intake<'a>> {
        vec![arrival(late, Some("late")), job("late", 1, &self.body), command("late")]
    }
}

impl<S: Store, O: Open<S>> Subject<S, O> {
    /// Begins with something of each kind.
    async fn sample(&mut self) -> Result<Sample, Mismatch> {
        self.fresh().await?;
        let (reply, body) = (outbound("pong", &[]), Bytes::from_static(b"kept"));
        let events = self.accept(&["a", "b"]).await?;
        let intake = vec![job("x", 10, &body), job("y", 20, &body), command("1"), command("2")];
        let numbers = self.take_new(intake).await?;
        let names = Names { events, jobs: numbers[..2].into(), commands: numbers[2..].into() };
        let mut changes: Vec<_> =
            super::shown::scopes().into_iter().map(|scope| value(scope, "kept", &body)).collect();
        for event in &names.events {
            changes.extend((0..2).map(|index| put(ReplyId { event: *event, index }, PENDING, &reply)));
            changes.push(Change::Put(Row::Step(*event, "pay", &body)));
        }
        self.change(changes).await?;
        Ok(Sample { names, reply, body })
    }

    /// Has a work of each kind of change committed under another partition or epoch, which has to change nothing.
    async fn is_fenced(&mut self, sample: &Sample, partition: Partition, epoch: Epoch) -> Kept {
        let what = |what: &str| format!("{what} of a work of {partition:?} under {epoch:?}");
        let late = event("late", ALICE);
        let before = self.everything(&sample.names).await?;
        let (changes, intake) = (sample.changes(), sample.intake(&late));
        let work = vec![Work { partition, epoch, changes, intake, effect: None }];
        let committed = self.commit(&Batch { work, ..batch() }).await?;
        same(&what("the verdict"), &committed.work, &[Verdict::Fenced])?;
        same_lines(&what("what is left"), &self.everything(&sample.names).await?, &before)?;
        self.again(End::Drop).await?;
        same_lines(&what("what is left, opened again,"), &self.everything(&sample.names).await?, &before)
    }

    pub(super) async fn a_work_under_another_epoch_changes_nothing(&mut self) -> Kept {
        let sample = self.sample().await?;
        let home = self.home();
        self.again(End::Drop).await?;
        for change in [|own: u64| own.saturating_sub(1), |own: u64| own + 1, |_| 0] {
            let own = self.epoch(home);
            let other = Epoch(change(own.0));
            if other != own {
                self.is_fenced(&sample, home, other).await?;
            }
        }
        let late = event("late", ALICE);
        let taken = self.take(vec![arrival(&late, Some("late"))]).await?;
        new(taken[0]).map_err(|found| found.within("a key that came with what was fenced")).map(drop)
    }

    pub(super) async fn a_work_of_a_partition_that_is_not_owned_changes_nothing(&mut self) -> Kept {
        let sample = self.sample().await?;
        let owned: Vec<_> = self.owned().iter().map(|(own, _)| *own).collect();
        let Some(other) = (0..1024).rev().map(Partition).find(|one| !owned.contains(one)) else {
            return Ok(());
        };
        let epoch = self.epoch(self.home());
        self.is_fenced(&sample, other, epoch).await
    }

    pub(super) async fn a_claim_fences_the_owner_before(&mut self) -> Kept {
        self.fresh().await?;
        let body = Bytes::from_static(b"1");
        for end in [End::Drop, End::Close] {
            let before = self.epoch(self.home());
            self.again(end).await?;
            let now = self.epoch(self.home());
            if now <= before {
                let what = "the epoch of a new owner";
                return Err(Mismatch::new(what, &format!("higher than {before:?}"), &format!("{now:?}")));
            }
            let changes = |name| vec![value(Scope::conversation(ALICE), name, &body)];
            let mut late = self.work(self.home(), changes("late"), Vec::new());
            late.epoch = before;
            let own = self.work(self.home(), changes("own"), Vec::new());
            let committed = self.commit(&Batch { work: vec![late, own], ..batch() }).await?;
            let expected = [Verdict::Fenced, Verdict::Kept(Vec::new())];
            same("the verdicts on the owner before and on this one", &committed.work, &expected)?;
        }
        let late = self.store().value(&Scope::conversation(ALICE), "late").await?;
        same("what the owner before wrote", &late, &None)
    }

    pub(super) async fn nothing_is_loaded_under_another_epoch(&mut self) -> Kept {
        self.fresh().await?;
        self.accept(&["a"]).await?;
        let (home, before) = (self.home(), self.epoch(self.home()));
        self.again(End::Drop).await?;
        let now = self.epoch(home);
        let owned: Vec<_> = self.owned().iter().map(|(own, _)| *own).collect();
        let others =
            (0..1024).rev().map(Partition).find(|one| !owned.contains(one)).map(|other| (other, now));
        for (partition, epoch) in [(home, before), (home, Epoch(now.0 + 1))].into_iter().chain(others) {
            let loaded = self.store().load(partition, epoch, None, 10).await?;
            if let Loaded::Read(page) = loaded {
                let (what, count) = (format!("what is loaded of {partition:?} under {epoch:?}"), page.len());
                return Err(Mismatch::new(&what, "Fenced", &format!("{count} events")));
            }
        }
        same("what its owner loads", &self.load(10).await?.len(), &1)
    }

    pub(super) async fn each_work_has_a_verdict_of_its_own(&mut self) -> Kept {
        self.fresh().await?;
        let body = Bytes::from_static(b"1");
        let late = event("late", ALICE);
        let scope = || Scope::conversation(ALICE);
        let first = self.work(self.home(), vec![value(scope(), "first", &body)], Vec::new());
        let mut fenced =
            self.work(self.home(), vec![value(scope(), "fenced", &body)], vec![arrival(&late, Some("b"))]);
        fenced.epoch.0 += 1;
        let last =
            self.work(self.home(), vec![value(scope(), "last", &body)], vec![arrival(&late, Some("c"))]);
        let cursors = vec![("source", Bytes::from_static(b"1"))];
        let intake = vec![arrival(&late, Some("a"))];
        let all = Batch { cursors, intake, work: vec![first, fenced, last], ..batch() };
        let committed = self.commit(&all).await?;
        let kinds = committed.work.iter().map(|verdict| matches!(verdict, Verdict::Kept(_)));
        same("which of three works are kept", &kinds.collect::<Vec<_>>(), &[true, false, true])?;
        new(committed.intake[0])
            .map_err(|found| found.within("beside a fenced work, which is no door for what comes in"))?;
        self.again(End::Drop).await?;
        let values = self.store().values(&scope()).await?;
        let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
        same("what is left of three works", &names, &["first", "last"])?;
        same("the cursor of what came in beside them", &self.cursors().len(), &1)?;
        same("the events of both doors", &self.load(10).await?.len(), &2)
    }

    pub(super) async fn changes_come_before_what_comes_in(&mut self) -> Kept {
        self.fresh().await?;
        let body = Bytes::from_static(b"{}");
        let (reply, late) = (outbound("pong", &[]), event("late", ALICE));
        let before = self.accept(&["a"]).await?[0];
        let tea = self.take_new(vec![job("tea", 10, &body)]).await?[0];
        let far = EventId::new(before.partition(), before.number() + 100);
        let changes =
            vec![put(ReplyId { event: far, index: 0 }, PENDING, &reply), Change::Delete(Key::Job(tea))];
        let row = NewRow::Job { name: "tea", due_ms: 30, body: &body, keeps_due: true };
        let again = Intake { conversation: ALICE.into(), dedupe: None, row };
        let work = vec![self.work(self.home(), changes, vec![arrival(&late, None), again])];
        let committed = self.commit(&Batch { work, ..batch() }).await?;
        let Some(Verdict::Kept(taken)) = committed.work.first() else {
            return Err(Mismatch::new("the work of an owner", "Kept(..)", "Fenced"));
        };
        let [event, again] = taken[..] else { return Ok(()) };
        super::broken::rising("a number that was put in the same work", &[far.bits(), new(event)?])?;
        let again = new(again).map_err(|found| found.within("a job that the same work has deleted"))?;
        super::broken::rising("the number of that job", &[tea, again])
    }

    pub(super) async fn changes_are_made_in_order(&mut self) -> Kept {
        self.fresh().await?;
        let values: Vec<_> = (0..4_u8).map(|value| Bytes::from(vec![value])).collect();
        let id = self.accept(&["a"]).await?[0];
        let (reply, scope) = (outbound("pong", &[]), || Scope::conversation(ALICE));
        let state = |attempts| EventState { attempts, ..READY };
        self.change(vec![
            value(scope(), "last wins", &values[0]),
            value(scope(), "last wins", &values[1]),
            value(scope(), "goes", &values[0]),
            Change::Delete(Key::Value(scope(), "goes")),
            Change::Delete(Key::Value(scope(), "comes")),
            value(scope(), "comes", &values[2]),
            Change::Mark(Mark::Event(id, state(1), None)),
            Change::Mark(Mark::Event(id, state(2), None)),
            put(ReplyId { event: id, index: 0 }, PENDING, &reply),
            Change::Delete(Key::Reply(ReplyId { event: id, index: 0 })),
        ])
        .await?;
        let first = self.work(self.home(), vec![value(scope(), "over works", &values[0])], Vec::new());
        let second = self.work(self.home(), vec![value(scope(), "over works", &values[3])], Vec::new());
        self.commit(&Batch { work: vec![first, second], ..batch() }).await?;
        let kept = self.store().values(&scope()).await?;
        let expected = [("comes", 2), ("last wins", 1), ("over works", 3)];
        let expected = expected.map(|(name, value)| (name.to_owned(), values[value].clone()));
        same("values", &kept, &expected)?;
        let seen = self.parts(id).await?;
        same("an event that was marked twice", &seen.event.map(|(state, _)| state.attempts), &Some(2))?;
        same("a reply that was put and deleted", &seen.replies.len(), &0)
    }

    pub(super) async fn a_change_of_what_is_not_there_is_no_error(&mut self) -> Kept {
        let sample = self.sample().await?;
        let before = self.everything(&sample.names).await?;
        let body = Bytes::from_static(b"1");
        let id = EventId::new(self.home(), 1 << 40);
        let reply = ReplyId { event: id, index: 3 };
        let mut changes = vec![
            Change::Mark(Mark::Event(id, READY, None)),
            dead_letter(id, died(Reason::Failed, "", 1)),
            Change::Mark(Mark::Reply(reply, PENDING, None)),
            dead_letter_reply(reply, died(Reason::Failed, "", 1)),
            Change::Mark(Mark::Job(1 << 40, 5)),
            Change::Mark(Mark::Command(1 << 40, "done".to_owned())),
            Change::Delete(Key::Event(id)),
            Change::Delete(Key::Steps(id)),
            Change::Delete(Key::Value(Scope::BOT, "nowhere")),
            Change::Delete(Key::Job(1 << 40)),
        ];
        changes.extend(drop_reply(reply));
        self.change(changes).await?;
        same_lines("what is left", &self.everything(&sample.names).await?, &before)?;
        same("what became of a command that is not there", &self.store().outcome(1 << 40).await?, &None)?;
        self.change(vec![Change::Put(Row::Step(id, "pay", &body))]).await?;
        let steps = self.parts(id).await?.steps;
        same("a step of an event that is not there", &steps, &[("pay".to_owned(), body)])
    }

    pub(super) async fn the_same_changes_may_be_made_twice(&mut self) -> Kept {
        let sample = self.sample().await?;
        self.change(sample.changes()).await?;
        let once = self.everything(&sample.names).await?;
        self.change(sample.changes()).await?;
        same_lines("what is left", &self.everything(&sample.names).await?, &once)?;
        self.again(End::Drop).await?;
        same_lines("what is left, opened again,", &self.everything(&sample.names).await?, &once)
    }

    pub(super) async fn an_empty_batch_is_answered(&mut self) -> Kept {
        let sample = self.sample().await?;
        let before = self.everything(&sample.names).await?;
        self.commit(&batch()).await?;
        let work = vec![self.work(self.home(), Vec::new(), Vec::new())];
        let committed = self.commit(&Batch { work, ..batch() }).await?;
        same("the verdict on nothing", &committed.work, &[Verdict::Kept(Vec::new())])?;
        same_lines("what is left", &self.everything(&sample.names).await?, &before)
    }

    pub(super) async fn the_last_time_that_was_told_is_kept(&mut self) -> Kept {
        self.fresh().await?;
        for (now_ms, expected, end) in
            [(Some(5_000), 5_000, End::Drop), (None, 5_000, End::Close), (Some(3_000), 3_000, End::Drop)]
        {
            let event = event("a", ALICE);
            self.commit(&Batch { now_ms, intake: vec![arrival(&event, None)], ..batch() }).await?;
            self.again(end).await?;
            same(&format!("the latest time once {now_ms:?} was told"), &self.latest_ms(), &expected)?;
        }
        Ok(())
    }

    pub(super) async fn what_is_lazy_outlives_the_process(&mut self) -> Kept {
        self.fresh().await?;
        let (body, event) = (Bytes::from_static(b"1"), event("a", ALICE));
        let change = value(Scope::conversation(ALICE), "lazy", &body);
        let work = vec![self.work(self.home(), vec![change], Vec::new())];
        let cursors = vec![("source", body.clone())];
        let intake = vec![arrival(&event, Some("a"))];
        self.commit(&Batch { cursors, intake, work, sync: Sync::Lazy, ..batch() }).await?;
        self.again(End::Drop).await?;
        let kept = self.store().value(&Scope::conversation(ALICE), "lazy").await?;
        same("a value", &kept, &Some(body))?;
        same("a cursor", &self.cursors().len(), &1)?;
        same("an event", &self.load(10).await?.len(), &1)?;
        let taken = self.take(vec![arrival(&event, Some("a"))]).await?;
        same("its key", &taken, &[Taken::Known(0)])
    }

    pub(super) async fn a_commit_that_is_dropped_is_there_whole_or_not_at_all(&mut self) -> Kept {
        self.fresh().await?;
        let scope = || Scope::conversation(ALICE);
        for polls in 0..12 {
            let (name, body) = (format!("{polls}"), Bytes::from(vec![polls]));
            let (own, other) =
                (event(&format!("own {polls}"), ALICE), event(&format!("with {polls}"), ALICE));
            let change = value(scope(), &name, &body);
            let work = vec![self.work(self.home(), vec![change], vec![arrival(&other, Some(other.id()))])];
            let intake = vec![arrival(&own, Some(own.id()))];
            let all = Batch { cursors: vec![("source", body.clone())], intake, work, ..batch() };
            abandon(self.store().commit(&all), polls).await;
            self.again(End::Drop).await?;
            let loaded = self.load(100).await?;
            let is_there = |event: &crate::event::Event| {
                let text = event_text(event);
                loaded.iter().any(|(_, seen)| seen.event.as_ref().is_some_and(|(_, body)| *body == text))
            };
            let (own_is_there, other_is_there) = (is_there(&own), is_there(&other));
            let what = |what: &str| format!("{what}, after {polls} polls");
            let has_cursor = self.cursors().get("source") == Some(&body);
            same(&what("whether a cursor and what came in are there"), &has_cursor, &own_is_there)?;
            let has_value = self.store().value(&scope(), &name).await?.is_some();
            same(&what("whether a work and what came in with it are there"), &has_value, &other_is_there)?;
            for (event, is_there) in [(&own, own_is_there), (&other, other_is_there)] {
                let taken = self.take(vec![arrival(event, Some(event.id()))]).await?;
                let is_known = matches!(taken[..], [Taken::Known(_)]);
                same(&what("whether an event and its key are there"), &is_known, &is_there)?;
            }
        }
        Ok(())
    }
}

/// Polls a future so often at most, and drops it.
pub(super) async fn abandon(future: impl Future, polls: u8) {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        future.as_mut().poll(cx).map(drop)
    })
    .await;
}
