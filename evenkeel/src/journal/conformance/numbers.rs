//! What comes in: its numbers, and by what it is known again.

use std::borrow::Cow;

use bytes::Bytes;

use super::broken::{Kept, Mismatch, rising, same};
use super::made::{
    ALICE, DECIDED, PENDING, READY, SENT, arrival, batch, command, event, job, outbound, put, resent,
    resent_as,
};
use super::shown::{NOTHING, Seen, SeenReply, event_text, reply_text};
use super::subject::{End, Open, Subject, new};
use crate::event::MessageId;
use crate::journal::store::{
    Batch, Body, Change, EventId, Intake, Key, Mark, NewRow, ReplyId, ReplyState, Store, Taken,
};

impl<S: Store, O: Open<S>> Subject<S, O> {
    pub(super) async fn numbers_are_new_and_rise(&mut self) -> Kept {
        self.fresh().await?;
        let reply = outbound("again", &[]);
        let mut numbers: Vec<_> = self.accept(&["a", "b"]).await?.into_iter().map(EventId::bits).collect();
        numbers.extend(self.take_new(vec![resent(&reply, "!pong", None)]).await?);
        numbers.extend(self.accept(&["c"]).await?.into_iter().map(EventId::bits));
        rising("the numbers of events, and of replies that come again", &numbers)?;
        let body = Bytes::from_static(b"{}");
        let mut jobs = self.take_new(vec![job("x", 9, &body), job("y", 8, &body)]).await?;
        jobs.extend(self.take_new(vec![job("x", 7, &body)]).await?);
        rising("the numbers of jobs", &jobs)?;
        let mut commands = self.take_new(vec![command("1"), command("2")]).await?;
        commands.extend(self.take_new(vec![command("3")]).await?);
        rising("the numbers of commands", &commands)
    }

    pub(super) async fn no_number_is_given_out_twice(&mut self) -> Kept {
        self.fresh().await?;
        let body = Bytes::from_static(b"{}");
        let mut given = [Vec::new(), Vec::new(), Vec::new()];
        for (round, end) in [End::Drop, End::Close, End::Drop, End::Close].into_iter().enumerate() {
            let id = round.to_string();
            let event = event(&id, ALICE);
            let intake = vec![arrival(&event, Some(&id)), job("x", 9, &body), command("1")];
            let numbers = self.take_new(intake).await?;
            for (all, number) in given.iter_mut().zip(&numbers) {
                all.push(*number);
            }
            let [arrived, job, command] = numbers[..] else { continue };
            let done = Change::Mark(Mark::Command(command, "done".to_owned()));
            let gone = [Key::Event(EventId::from_bits(arrived)), Key::Job(job)].map(Change::Delete);
            self.change(gone.into_iter().chain([done]).collect()).await?;
            self.again(end).await?;
        }
        for (kind, numbers) in ["events", "jobs", "commands"].into_iter().zip(&given) {
            rising(&format!("the numbers of {kind} that are gone when the store is opened again"), numbers)?;
        }
        Ok(())
    }

    pub(super) async fn a_number_that_a_reply_was_put_under_is_not_given_out(&mut self) -> Kept {
        self.fresh().await?;
        let reply = outbound("pong", &[]);
        let mut numbers = self.accept(&["a"]).await?;
        for end in [None, Some(End::Drop), Some(End::Close)] {
            let last = numbers.last().copied().unwrap_or(EventId::from_bits(0));
            let far = EventId::new(last.partition(), last.number() + 1000);
            self.change(vec![put(ReplyId { event: far, index: 0 }, PENDING, &reply)]).await?;
            if let Some(end) = end {
                self.again(end).await?;
            }
            numbers.push(far);
            numbers.extend(self.accept(&["b"]).await?);
        }
        rising("numbers, where a reply was put under a higher one", &numbers)
    }

    pub(super) async fn a_dedupe_key_is_known_once(&mut self) -> Kept {
        self.fresh().await?;
        let (one, other) = (event("a", ALICE), event("b", "bob"));
        let keys = [Some("key"), Some("key"), Some("other"), None, None];
        let taken = self.take(keys.map(|key| arrival(&one, key)).into()).await?;
        let known: Vec<_> = taken.iter().map(|taken| *taken == Taken::Known(0)).collect();
        same("what is known of keys that come in one batch", &known, &[false, true, false, false, false])?;
        let id = EventId::from_bits(new(taken[0])?);
        let known = |what: &str, taken: &[Taken]| same(what, &taken, &[Taken::Known(0)]);
        known("the same key in another batch", &self.take(vec![arrival(&one, Some("key"))]).await?)?;
        known("the same key in another conversation", &self.take(vec![arrival(&other, Some("key"))]).await?)?;
        let reply = outbound("again", &[]);
        known("the same key of a reply", &self.take(vec![resent(&reply, "", Some("key"))]).await?)?;
        let with_work = self.work(self.home(), Vec::new(), vec![arrival(&one, Some("key"))]);
        let committed = self.commit(&Batch { work: vec![with_work], ..batch() }).await?;
        let expected = [crate::journal::store::Verdict::Kept(vec![Taken::Known(0)])];
        same("the same key with a work", &committed.work, &expected)?;
        self.change(vec![Change::Delete(Key::Event(id))]).await?;
        known("a key whose event is gone", &self.take(vec![arrival(&one, Some("key"))]).await?)
    }

    pub(super) async fn a_dedupe_key_stays_known_when_the_store_is_opened_again(&mut self) -> Kept {
        self.fresh().await?;
        let event = event("a", ALICE);
        for (round, end) in [End::Drop, End::Close, End::Drop].into_iter().enumerate() {
            let key = format!("key {round}");
            let id = EventId::from_bits(self.take_new(vec![arrival(&event, Some(&key))]).await?[0]);
            self.change(vec![Change::Delete(Key::Event(id))]).await?;
            self.again(end).await?;
            for round in 0..=round {
                let key = format!("key {round}");
                let taken = self.take(vec![arrival(&event, Some(&key))]).await?;
                same(&format!("`{key}` after the store ended by {end:?}"), &taken, &[Taken::Known(0)])?;
            }
        }
        Ok(())
    }

    pub(super) async fn what_is_known_changes_nothing(&mut self) -> Kept {
        self.fresh().await?;
        let (one, other) = (event("a", ALICE), event("b", ALICE));
        let id = EventId::from_bits(self.take_new(vec![arrival(&one, Some("key"))]).await?[0]);
        let steps = vec![("pay".to_owned(), Bytes::from_static(b"7"))];
        let state = crate::journal::store::EventState { attempts: 9, ..READY };
        let row =
            NewRow::Event { body: Body::Event(Cow::Borrowed(&other)), state, steps, replies: Vec::new() };
        self.take(vec![Intake {
            conversation: Cow::Borrowed(ALICE),
            dedupe: Some(Cow::Borrowed("key")),
            row,
        }])
        .await?;
        let expected = Seen { event: Some((READY, event_text(&one))), ..Seen::default() };
        same("an event that came once more", &self.load(10).await?, &[(id, expected)])
    }

    pub(super) async fn a_reply_that_comes_again_is_the_first_of_a_new_number(&mut self) -> Kept {
        self.fresh().await?;
        let reply = outbound("again", &[("a.txt", b"what is in it")]);
        let state = ReplyState { has_files: true, attempts: 3, due_ms: 17, ..PENDING };
        let id = EventId::from_bits(self.take_new(vec![resent_as(&reply, "!pong", None, state)]).await?[0]);
        let (command, body) = ("!pong".to_owned(), reply_text(&reply));
        let reply = SeenReply { index: 0, state, command, sent_id: None, body };
        let expected = Seen { replies: vec![reply], ..Seen::default() };
        same("a reply that comes again", &self.parts(id).await?, &expected)?;
        self.again(End::Drop).await?;
        same("what is loaded of it", &self.load(10).await?, &[(id, expected)])
    }

    pub(super) async fn replies_that_come_together_have_one_number_and_one_key(&mut self) -> Kept {
        self.fresh().await?;
        let replies = [outbound("first", &[]), outbound("second", &[("a.txt", b"what is in it")])];
        let state = |index: u32| ReplyState { has_files: index == 1, due_ms: index.into(), ..PENDING };
        let row = || NewRow::Reply {
            body: Body::Reply(&replies[0]),
            state: state(0),
            command: Cow::Borrowed("handle"),
            more: vec![(Body::Reply(&replies[1]), state(1))],
        };
        let intake =
            || Intake { conversation: Cow::Borrowed(ALICE), dedupe: Some(Cow::Borrowed("key")), row: row() };
        let id = EventId::from_bits(self.take_new(vec![intake()]).await?[0]);
        let taken = self.take(vec![intake()]).await?;
        same("what came once more", &taken, &[Taken::Known(0)])?;
        let seen = replies.iter().zip(0..).map(|(reply, index)| SeenReply {
            index,
            state: state(index),
            command: "handle".to_owned(),
            sent_id: None,
            body: reply_text(reply),
        });
        let expected = Seen { replies: seen.collect(), ..Seen::default() };
        self.again(End::Drop).await?;
        same("what is loaded of both", &self.load(10).await?, &[(id, expected)])
    }

    pub(super) async fn facts_come_with_their_event(&mut self) -> Kept {
        self.fresh().await?;
        let event = event("a", ALICE);
        let steps = ["pay", "ask"].map(|name| (name.to_owned(), Bytes::from_static(b"7"))).into();
        let replies = vec![(3, SENT, None), (1, DECIDED, Some(MessageId::new("m")))];
        let row = NewRow::Event { body: Body::Event(Cow::Borrowed(&event)), state: READY, steps, replies };
        let intake = Intake { conversation: Cow::Borrowed(ALICE), dedupe: None, row };
        let id = EventId::from_bits(self.take_new(vec![intake]).await?[0]);
        let fact = |index: u32, state: ReplyState, sent_id: Option<MessageId>| {
            let (command, body) = (String::new(), NOTHING.to_owned());
            SeenReply { index, state, command, sent_id, body }
        };
        let steps = ["ask", "pay"].map(|name| (name.to_owned(), Bytes::from_static(b"7"))).into();
        let replies = vec![fact(1, DECIDED, Some(MessageId::new("m"))), fact(3, SENT, None)];
        let expected = Seen { event: Some((READY, event_text(&event))), replies, steps };
        same("an event with facts", &self.parts(id).await?, &expected)
    }

    pub(super) async fn what_comes_in_is_kept_with_its_cursors(&mut self) -> Kept {
        self.fresh().await?;
        let event = event("a", ALICE);
        let cursor = |source: &'static str, body: &'static str| (source, Bytes::from_static(body.as_bytes()));
        let cursors = vec![cursor("one", "1"), cursor("other", "a"), cursor("", "\0")];
        self.commit(&Batch { cursors, intake: vec![arrival(&event, Some("1"))], ..batch() }).await?;
        self.again(End::Drop).await?;
        let kept = |cursors: &[(&str, &'static str)]| {
            let all = cursors.iter().map(|(source, body)| ((*source).to_owned(), Bytes::from(*body)));
            all.collect::<std::collections::BTreeMap<_, _>>()
        };
        let expected = kept(&[("one", "1"), ("other", "a"), ("", "\0")]);
        same("the cursors", self.cursors(), &expected)?;
        same("what came in with them", &self.load(10).await?.len(), &1)?;
        self.commit(&Batch { cursors: vec![cursor("one", "2")], ..batch() }).await?;
        self.again(End::Close).await?;
        same("a cursor that moved alone", self.cursors(), &kept(&[("one", "2"), ("other", "a"), ("", "\0")]))
    }

    pub(super) async fn numbers_carry_a_partition_that_is_owned(&mut self) -> Kept {
        self.fresh().await?;
        let reply = outbound("again", &[]);
        for who in ["alice", "bob", "carol", "", "a group"] {
            let event = event("a", who);
            let mut reply = reply.clone();
            reply.conversation = event.conversation().clone();
            let intake = vec![arrival(&event, None), arrival(&event, None), resent(&reply, "", None)];
            let numbers = self.take_new(intake).await?;
            let places: Vec<_> = numbers.iter().map(|bits| EventId::from_bits(*bits).partition()).collect();
            same("the partition of all that one conversation has", &places, &vec![places[0]; 3])?;
            if !self.owned().iter().any(|(own, _)| *own == places[0]) {
                let seen = format!("{:?}", places[0]);
                return Err(Mismatch::new("the partition of a number", "one that is owned", &seen));
            }
        }
        Ok(())
    }
}
