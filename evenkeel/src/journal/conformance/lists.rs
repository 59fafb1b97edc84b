//! What is handed back in pages: what is alive, and dead letters.

use std::borrow::Cow;

use bytes::Bytes;

use super::broken::{Kept, Mismatch, same};
use super::made::{
    ALICE, PENDING, READY, SENT, arrival, dead_letter, dead_letter_reply, died, event, outbound, put,
};
use super::shown::{Names, dead_lines, event_text, reply_text};
use super::subject::{End, Open, Subject};
use crate::journal::store::{
    Body, Change, Death, EventId, EventStage, EventState, Key, Mark, ReplyId, ReplyStage, ReplyState, Row,
    Store,
};
use crate::journal::{DeadFilter, DeadId, Reason};

impl<S: Store, O: Open<S>> Subject<S, O> {
    pub(super) async fn what_is_alive_is_loaded_by_number_in_pages(&mut self) -> Kept {
        self.fresh().await?;
        let ids = self
            .accept(&["alive", "dead", "parked", "done", "done, not sent", "dead, not sent", "sent"])
            .await?;
        let [alive, dead, parked, done, unsent, dead_unsent, sent] = ids[..] else { return Ok(()) };
        let (reply, body) = (outbound("pong", &[]), Bytes::from_static(b"7"));
        let of = |event, index| ReplyId { event, index };
        let fact = |id| Row::Reply {
            id,
            state: SENT,
            conversation: "",
            command: "",
            sent_id: None,
            body: Body::Empty,
        };
        let mut changes = vec![
            Change::Put(Row::Step(alive, "pay", &body)),
            put(of(alive, 0), PENDING, &reply),
            Change::Put(fact(of(alive, 1))),
            dead_letter(dead, died(Reason::Failed, "", 1)),
            Change::Put(fact(of(dead, 0))),
            dead_letter(parked, died(Reason::Parked, "", 1)),
            Change::Delete(Key::Event(done)),
            put(of(unsent, 0), ReplyState { stage: ReplyStage::Sending, ..PENDING }, &reply),
            put(of(unsent, 1), PENDING, &reply),
            dead_letter_reply(of(unsent, 1), died(Reason::Unknown, "", 1)),
            Change::Delete(Key::Event(unsent)),
            dead_letter(dead_unsent, died(Reason::Failed, "", 1)),
            put(of(dead_unsent, 0), PENDING, &reply),
            Change::Put(fact(of(dead_unsent, 1))),
            Change::Put(Row::Step(dead_unsent, "pay", &body)),
            Change::Put(fact(of(sent, 0))),
            Change::Delete(Key::Event(sent)),
        ];
        let running = EventState { stage: EventStage::Running, attempts: 1, has_begun: true, ..READY };
        changes.push(Change::Mark(Mark::Event(alive, running, None)));
        self.change(changes).await?;
        for end in [End::Drop, End::Close] {
            self.again(end).await?;
            for limit in [1, 2, 3, 4, 5, 1_000] {
                let mut loaded = self.load(limit).await?;
                loaded.sort_by_key(|(id, _)| *id);
                let what = format!("what is not done, in pages of {limit}");
                let found: Vec<_> = loaded.iter().map(|(id, _)| *id).collect();
                same(&what, &found, &[alive, parked, unsent, dead_unsent])?;
                for (id, seen) in loaded {
                    same("what is loaded with all that hangs on it", &seen, &self.parts(id).await?)?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn all_of_a_thousand_are_loaded_once(&mut self) -> Kept {
        self.fresh().await?;
        let events: Vec<_> = (0..1_000).map(|at| event(&format!("{at}"), ALICE)).collect();
        let numbers = self.take_new(events.iter().map(|event| arrival(event, None)).collect()).await?;
        let ids: Vec<_> = numbers.into_iter().map(EventId::from_bits).collect();
        let every_third = ids.iter().step_by(3).map(|id| Change::Delete(Key::Event(*id))).collect();
        self.change(every_third).await?;
        let left: Vec<_> = (0..).zip(&ids).filter(|(at, _)| at % 3 > 0).map(|(_, id)| *id).collect();
        for limit in [7, 333, 666, 667, 10_000] {
            let found: Vec<_> = self.load(limit).await?.into_iter().map(|(id, _)| id).collect();
            same(&format!("what is not done, in pages of {limit}"), &found, &left)?;
        }
        Ok(())
    }

    /// Gives up six events and three replies, at times that are not in the order of their numbers.
    async fn cemetery(&mut self) -> Result<Vec<(u64, DeadId)>, Mismatch> {
        self.fresh().await?;
        let ids = self.accept(&["a", "b", "c", "d", "e", "alive"]).await?;
        let bob = event("f", "bob");
        let bobs = EventId::from_bits(self.take_new(vec![arrival(&bob, None)]).await?[0]);
        let reply = outbound("pong", &[]);
        let packed = outbound("see", &[("a.txt", b"what is in it")]);
        let of = |event, index| ReplyId { event, index };
        let mut changes = vec![
            put(of(ids[0], 0), PENDING, &reply),
            put(of(ids[0], 7), PENDING, &reply),
            put(of(ids[3], 1), PENDING, &packed),
            put(of(ids[5], 0), PENDING, &reply),
        ];
        let events = [
            (ids[0], Reason::Failed, "!ping", 500),
            (ids[1], Reason::Panicked, "!ping", 300),
            (ids[2], Reason::Parked, "!ping", 400),
            (ids[3], Reason::Failed, "", 100),
            (ids[4], Reason::Failed, "!pay", 300),
            (bobs, Reason::Poison, "!ping", 200),
        ];
        changes
            .extend(events.map(|(id, reason, command, at_ms)| dead_letter(id, died(reason, command, at_ms))));
        let replies =
            [(of(ids[0], 0), Reason::Refused, "!ping", 300), (of(ids[0], 7), Reason::Unknown, "!pay", 100)];
        changes.extend(
            replies.map(|(id, reason, command, at_ms)| dead_letter_reply(id, died(reason, command, at_ms))),
        );
        let (last, at_ms) = (of(ids[3], 1), 300);
        let state = ReplyState { stage: ReplyStage::Dead, attempts: 2, due_ms: 0, has_files: true };
        changes.push(Change::Mark(Mark::Reply(last, state, Some(died(Reason::NotSent, "!ping", at_ms)))));
        self.change(changes).await?;
        let events = events.into_iter().map(|(id, .., at_ms)| (at_ms, DeadId::Event(id.bits())));
        let replies = replies.into_iter().map(|(id, .., at_ms)| (id, at_ms)).chain([(last, at_ms)]);
        let replies = replies.map(|(id, at_ms)| (at_ms, DeadId::Reply(id.event.bits(), id.index)));
        let mut all: Vec<_> = events.chain(replies).collect();
        all.sort_unstable();
        Ok(all)
    }

    /// The names of those that are meant.
    async fn meant(&mut self, filter: &DeadFilter) -> Result<Vec<DeadId>, Mismatch> {
        let names = self.store().dead_names(filter).await?;
        let dead = self.store().dead(filter).await?;
        let listed: Vec<_> = dead.iter().map(|dead| dead.id).collect();
        same(&format!("the names and the list by {filter:?}"), &names, &listed)?;
        Ok(names)
    }

    pub(super) async fn dead_letters_come_by_time_and_then_by_name(&mut self) -> Kept {
        let all = self.cemetery().await?;
        let names: Vec<_> = all.iter().map(|(_, id)| *id).collect();
        for end in [End::Drop, End::Close] {
            self.again(end).await?;
            same("all dead letters", &self.meant(&DeadFilter::default()).await?, &names)?;
            for limit in [1, 2, 3, 100] {
                let mut filter = DeadFilter { limit: Some(limit), ..DeadFilter::default() };
                let mut found = Vec::new();
                while let Some((at_ms, last)) = {
                    let page = self.meant(&filter).await?;
                    found.extend(page.iter().copied());
                    page.last().and_then(|last| all.iter().find(|(_, id)| id == last)).copied()
                } {
                    filter.after = Some((at_ms, last));
                    if found.len() > all.len() {
                        break;
                    }
                }
                same(&format!("dead letters in pages of {limit}"), &found, &names)?;
            }
        }
        let none = DeadFilter { limit: Some(0), ..DeadFilter::default() };
        same("at most no dead letters", &self.meant(&none).await?.len(), &0)
    }

    pub(super) async fn each_part_of_a_filter_of_dead_letters_holds(&mut self) -> Kept {
        let all = self.cemetery().await?;
        let dead = self.store().dead(&DeadFilter::default()).await?;
        let mut filters: Vec<_> = all
            .iter()
            .flat_map(|(at_ms, id)| {
                let one = DeadFilter { id: Some(*id), ..DeadFilter::default() };
                let after = DeadFilter { after: Some((*at_ms, *id)), ..DeadFilter::default() };
                let beyond = DeadFilter { after: Some((*at_ms, *id)), ..one.clone() };
                [one, after, beyond]
            })
            .collect();
        filters
            .extend(Reason::ALL.map(|reason| DeadFilter { reason: Some(reason), ..DeadFilter::default() }));
        for word in ["!ping", "!pay", "", "!pin", "%"] {
            let command = Some(word.to_owned());
            filters.push(DeadFilter { command: command.clone(), limit: Some(2), ..DeadFilter::default() });
            filters.push(DeadFilter {
                command: command.clone(),
                reason: Some(Reason::Failed),
                ..DeadFilter::default()
            });
            filters.push(DeadFilter { command, conversation: Some(ALICE.into()), ..DeadFilter::default() });
        }
        filters.extend(
            [ALICE, "bob", "nobody", ""]
                .map(|who| DeadFilter { conversation: Some(who.to_owned()), ..DeadFilter::default() }),
        );
        for at_ms in [0, 299, 300, 301, u64::MAX] {
            for id in [DeadId::Event(0), DeadId::Reply(0, 0), DeadId::Reply(u64::MAX, u32::MAX)] {
                filters.push(DeadFilter { after: Some((at_ms, id)), ..DeadFilter::default() });
            }
        }
        for filter in filters {
            let is_meant = |one: &&crate::journal::Dead| {
                filter.id.is_none_or(|id| id == one.id)
                    && filter.command.as_ref().is_none_or(|command| *command == one.command)
                    && filter.reason.is_none_or(|reason| reason == one.reason)
                    && filter.conversation.as_ref().is_none_or(|who| *who == one.conversation)
                    && filter.after.is_none_or(|after| after < (one.at_ms, one.id))
            };
            let expected: Vec<_> = dead.iter().filter(is_meant).map(|dead| dead.id).collect();
            let expected: Vec<_> = expected.into_iter().take(filter.limit.unwrap_or(usize::MAX)).collect();
            same(&format!("those meant by {filter:?}"), &self.meant(&filter).await?, &expected)?;
        }
        Ok(())
    }

    pub(super) async fn a_dead_letter_says_what_it_was(&mut self) -> Kept {
        self.fresh().await?;
        let event = event("a", ALICE);
        let packed = outbound("see", &[("a.txt", b"what is in it"), ("b.txt", b"")]);
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            let at_ms = 1_700_000_000_000 + at as u64;
            let id = EventId::from_bits(self.take_new(vec![arrival(&event, None)]).await?[0]);
            let reply = ReplyId { event: id, index: 3 };
            let death = || Death {
                reason,
                error: Cow::Borrowed("it did not work: as before"),
                command: Cow::Borrowed("!ping"),
                at_ms,
            };
            let stage = if reason == Reason::Parked { EventStage::Parked } else { EventStage::Dead };
            let event_state = EventState { stage, attempts: 3, ..READY };
            let reply_state = ReplyState { stage: ReplyStage::Dead, attempts: 4, due_ms: 5, has_files: true };
            self.change(vec![
                put(reply, PENDING, &packed),
                Change::Mark(Mark::Event(id, event_state, Some(death()))),
                Change::Mark(Mark::Reply(reply, reply_state, Some(death()))),
            ])
            .await?;
            self.again(End::Drop).await?;
            let names = Names { events: vec![id], ..Names::default() };
            let both = DeadFilter { reason: Some(reason), ..DeadFilter::default() };
            let seen = dead_lines(self.store(), &both, &names).await?;
            let line = |name: &str, attempts: u32, body: &str| {
                format!(
                    "dead {name}: {reason} \"it did not work: as before\" \"!ping\" \"alice\" {attempts} {at_ms} {body}"
                )
            };
            let expected = [line("#0", 3, &event_text(&event)), line("#0.3", 4, &reply_text(&packed))];
            same("dead letters", &seen, &expected)?;
        }
        Ok(())
    }

    pub(super) async fn what_lives_again_or_goes_is_no_dead_letter(&mut self) -> Kept {
        let all = self.cemetery().await?;
        let mut left: Vec<_> = all.iter().map(|(_, id)| *id).collect();
        for (at, (_, id)) in all.into_iter().enumerate() {
            let is_gone = at.is_multiple_of(2);
            let change = match id {
                DeadId::Event(bits) if is_gone => Change::Delete(Key::Event(EventId::from_bits(bits))),
                DeadId::Event(bits) => Change::Mark(Mark::Event(EventId::from_bits(bits), READY, None)),
                DeadId::Reply(bits, index) => {
                    let id = ReplyId { event: EventId::from_bits(bits), index };
                    if is_gone {
                        Change::Delete(Key::Reply(id))
                    } else {
                        Change::Mark(Mark::Reply(id, PENDING, None))
                    }
                }
            };
            self.change(vec![change]).await?;
            left.retain(|one| *one != id);
            same("the dead letters that are left", &self.meant(&DeadFilter::default()).await?, &left)?;
        }
        Ok(())
    }
}
