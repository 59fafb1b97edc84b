//! Rows: put, marked and deleted whole, and shown as they were written.

use bytes::Bytes;

use super::broken::{Kept, Mismatch, same};
use super::made::{
    ALICE, PENDING, READY, SENT, arrival, dead_letter_reply, died, drop_reply, event, outbound, put,
};
use super::shown::{Names, Seen, SeenReply, dead_lines, event_text, reply_text};
use super::subject::{End, Open, Subject};
use crate::event::{Attachment, Conversation, Event, Message, MessageId, Other, Sender};
use crate::journal::store::{
    Body, Change, EventId, EventStage, EventState, Key, Mark, ReplyId, ReplyStage, ReplyState, Row, Store,
};
use crate::journal::{DeadFilter, Reason};
use crate::reply::Outbound;

const EVENT_STAGES: [EventStage; 3] = [EventStage::Running, EventStage::Suspended, EventStage::Ready];

/// How a reply by `!pong` is shown.
fn shown(index: u32, state: ReplyState, outbound: &Outbound) -> SeenReply {
    let state = ReplyState { has_files: !outbound.action.files().is_empty(), ..state };
    let (command, body) = ("!pong".to_owned(), reply_text(outbound));
    SeenReply { index, state, command, sent_id: None, body }
}

/// An event with some of everything, to be changed in one place.
struct Full {
    id: EventId,
    event: Event,
    plain: Outbound,
    packed: Outbound,
    body: Bytes,
}

impl Full {
    fn reply(&self, index: u32) -> ReplyId {
        ReplyId { event: self.id, index }
    }

    /// As it is shown.
    fn seen(&self) -> Seen {
        let (plain, packed) = (shown(0, PENDING, &self.plain), shown(1, PENDING, &self.packed));
        let other = shown(2, PENDING, &self.packed);
        let steps = ["ask", "pay"].map(|name| (name.to_owned(), self.body.clone())).into();
        Seen { event: Some((READY, event_text(&self.event))), replies: vec![plain, packed, other], steps }
    }
}

impl<S: Store, O: Open<S>> Subject<S, O> {
    async fn full(&mut self) -> Result<Full, Mismatch> {
        self.fresh().await?;
        let event = event("a", ALICE);
        let plain = outbound("pong", &[]);
        let packed = outbound("see", &[("a.txt", b"in the first"), ("", b""), ("b.txt", &[0, 255, 10])]);
        let body = Bytes::from_static(&[0, 1, 255]);
        let id = EventId::from_bits(self.take_new(vec![arrival(&event, None)]).await?[0]);
        let full = Full { id, event, plain, packed, body };
        let changes = vec![
            put(full.reply(1), PENDING, &full.packed),
            put(full.reply(2), PENDING, &full.packed),
            put(full.reply(0), PENDING, &full.plain),
            Change::Put(Row::Step(id, "pay", &full.body)),
            Change::Put(Row::Step(id, "ask", &full.body)),
        ];
        self.change(changes).await?;
        Ok(full)
    }

    pub(super) async fn an_event_comes_back_with_all_that_hangs_on_it(&mut self) -> Kept {
        let full = self.full().await?;
        let beside = self.accept(&["b"]).await?[0];
        same("all that hangs on an event", &self.parts(full.id).await?, &full.seen())?;
        for end in [End::Drop, End::Close] {
            self.again(end).await?;
            same("the same, opened again", &self.parts(full.id).await?, &full.seen())?;
        }
        same("what hangs on the event beside it", &self.parts(beside).await?.indices().len(), &0)?;
        let nowhere = EventId::new(full.id.partition(), 1 << 40);
        same("what hangs on an event that is not there", &self.parts(nowhere).await?, &Seen::default())
    }

    pub(super) async fn bodies_come_back_as_they_were_written(&mut self) -> Kept {
        self.fresh().await?;
        let (group, who) =
            (Conversation::group("a group"), Sender::known_as("carol", Some("Carol"), None::<&str>));
        let mut packed = Message::text("1", "see");
        let (id, content_type) = ("file".into(), "image/png".to_owned());
        packed.attachments.push(Attachment { id, name: None, content_type, size_bytes: Some(u64::MAX) });
        let events = [
            event("plain", ALICE),
            Event::new("packed", group.clone(), who.clone(), packed).with_sent_ms(u64::MAX),
            Event::new("other", group.clone(), who, Other { name: "call \0".to_owned() }),
        ];
        let taken = self.take_new(events.iter().map(|event| arrival(event, None)).collect()).await?;
        self.again(End::Drop).await?;
        for (bits, event) in taken.into_iter().zip(&events) {
            let seen = self.parts(EventId::from_bits(bits)).await?.event.map(|(_, body)| body);
            same("the body of an event", &seen, &Some(event_text(event)))?;
        }
        let id = self.accept(&["a"]).await?[0];
        let large = vec![7; 300_000];
        let mut replies = vec![
            outbound("", &[]),
            outbound("two files", &[("one", b"1"), ("other", b"22")]),
            outbound("an empty file", &[("", b"")]),
            outbound("a large file", &[("large", &large)]),
        ];
        replies.push(Outbound { conversation: group, ..outbound("in a group", &[]) });
        let changes =
            (0..).zip(&replies).map(|(index, reply)| put(ReplyId { event: id, index }, PENDING, reply));
        self.change(changes.collect()).await?;
        self.again(End::Drop).await?;
        let expected: Vec<_> =
            (0..).zip(&replies).map(|(index, reply)| shown(index, PENDING, reply)).collect();
        same("the bodies of replies", &self.parts(id).await?.replies, &expected)
    }

    pub(super) async fn a_row_that_is_put_replaces_the_one_before(&mut self) -> Kept {
        let full = self.full().await?;
        let (body, sent_id) = (Bytes::from_static(b"other"), MessageId::new("m"));
        let fewer = outbound("fewer", &[("c.txt", b"the second")]);
        let (id, state) = (full.reply(0), ReplyState { stage: ReplyStage::Sending, attempts: 3, ..PENDING });
        let fact = Row::Reply {
            id: full.reply(2),
            state: SENT,
            conversation: "",
            command: "",
            sent_id: Some(&sent_id),
            body: Body::Empty,
        };
        self.change(vec![
            dead_letter_reply(id, died(Reason::Refused, "!other", 9)),
            put(id, state, &fewer),
            put(full.reply(1), state, &fewer),
            Change::Delete(Key::Files(full.reply(2))),
            Change::Put(fact),
            Change::Put(Row::Step(full.id, "pay", &body)),
        ])
        .await?;
        self.again(End::Drop).await?;
        let mut expected = full.seen();
        let bare =
            SeenReply { command: String::new(), sent_id: Some(sent_id), ..shown(2, SENT, &full.plain) };
        let bare = SeenReply { body: super::shown::NOTHING.to_owned(), ..bare };
        expected.replies = vec![shown(0, state, &fewer), shown(1, state, &fewer), bare];
        expected.steps[1].1 = body;
        same("rows that were put twice", &self.parts(full.id).await?, &expected)?;
        let dead = self.store().dead_names(&DeadFilter::default()).await?;
        same("the dead letters, once a dead reply was put again", &dead.len(), &0)?;
        // And with the files of before, of which none of the second may be left.
        self.change(vec![put(full.reply(1), PENDING, &full.packed), put(id, PENDING, &full.plain)]).await?;
        expected.replies[0] = shown(0, PENDING, &full.plain);
        expected.replies[1] = shown(1, PENDING, &full.packed);
        same("rows that were put three times", &self.parts(full.id).await?, &expected)
    }

    pub(super) async fn a_mark_changes_numbers_and_no_body(&mut self) -> Kept {
        let full = self.full().await?;
        let mut expected = full.seen();
        for (at, stage) in EVENT_STAGES.into_iter().enumerate() {
            let attempts = u32::try_from(at).unwrap_or(0) + 1;
            let (crashes, due_ms) = (attempts * 2, 1_700_000_000_000 + at as u64);
            let state = EventState { stage, attempts, crashes, has_begun: at == 0, due_ms };
            self.change(vec![Change::Mark(Mark::Event(full.id, state, None))]).await?;
            expected.event = Some((state, event_text(&full.event)));
            same("an event that was marked", &self.parts(full.id).await?, &expected)?;
        }
        for stage in [ReplyStage::Sending, ReplyStage::Pending] {
            let state = ReplyState { stage, attempts: 4, due_ms: 1_700_000_000_000, has_files: true };
            self.change(vec![Change::Mark(Mark::Reply(full.reply(1), state, None))]).await?;
            expected.replies[1].state = state;
            self.again(End::Drop).await?;
            same("a reply that was marked", &self.parts(full.id).await?, &expected)?;
        }
        Ok(())
    }

    pub(super) async fn a_mark_without_a_death_keeps_the_command(&mut self) -> Kept {
        let full = self.full().await?;
        let command = |seen: &Seen| seen.replies[0].command.clone();
        self.change(vec![Change::Mark(Mark::Reply(full.reply(0), PENDING, None))]).await?;
        same("the command of a reply", &command(&self.parts(full.id).await?), &"!pong")?;
        self.change(vec![dead_letter_reply(full.reply(0), died(Reason::Refused, "!other", 9))]).await?;
        same("the command that a death names", &command(&self.parts(full.id).await?), &"!other")?;
        let names = Names { events: vec![full.id], ..Names::default() };
        let dead = dead_lines(self.store(), &DeadFilter::default(), &names).await?;
        same("how many dead letters there are", &dead.len(), &1)?;
        self.change(vec![Change::Mark(Mark::Reply(full.reply(0), PENDING, None))]).await?;
        same("the command, once it is alive again", &command(&self.parts(full.id).await?), &"!other")?;
        let dead = dead_lines(self.store(), &DeadFilter::default(), &names).await?;
        same("how many dead letters there are then", &dead.len(), &0)
    }

    pub(super) async fn a_delete_takes_its_row_and_nothing_else(&mut self) -> Kept {
        let full = self.full().await?;
        let mut expected = full.seen();
        self.change(drop_reply(full.reply(1)).into()).await?;
        expected.replies.remove(1);
        same("an event one of whose replies is gone", &self.parts(full.id).await?, &expected)?;
        self.again(End::Drop).await?;
        same("the same, opened again", &self.parts(full.id).await?, &expected)?;
        self.change(vec![Change::Delete(Key::Event(full.id))]).await?;
        expected.event = None;
        same("what hangs on an event that is gone", &self.parts(full.id).await?, &expected)?;
        let loaded: Vec<_> = self.load(10).await?.into_iter().map(|(_, seen)| seen).collect();
        same("the same, where replies are not sent", &loaded, &[expected.clone()])?;
        self.change(vec![Change::Delete(Key::Steps(full.id))]).await?;
        expected.steps.clear();
        same("the same without its steps", &self.parts(full.id).await?, &expected)?;
        self.change([drop_reply(full.reply(0)), drop_reply(full.reply(2))].concat()).await?;
        same("the same without its replies", &self.parts(full.id).await?, &Seen::default())
    }

    pub(super) async fn files_go_when_they_are_deleted(&mut self) -> Kept {
        let full = self.full().await?;
        let second = outbound("see", &[("c.txt", b"the second")]);
        self.change(drop_reply(full.reply(1)).into()).await?;
        self.again(End::Drop).await?;
        self.change(vec![put(full.reply(1), PENDING, &second)]).await?;
        let mut expected = full.seen();
        expected.replies[1] = shown(1, PENDING, &second);
        same("a reply under the name of one that is gone", &self.parts(full.id).await?, &expected)?;
        // The row goes before its files, and other rows stay between.
        let gone = full.reply(2);
        let changes = vec![
            Change::Delete(Key::Reply(gone)),
            put(full.reply(3), PENDING, &second),
            Change::Delete(Key::Files(gone)),
        ];
        self.change(changes).await?;
        expected.replies[2] = shown(3, PENDING, &second);
        same("the files of the replies beside it", &self.parts(full.id).await?, &expected)
    }
}
