//! Jobs, values and commands, and what a reader beside the owner sees.

use bytes::Bytes;

use super::broken::{Kept, Mismatch, same, same_lines};
use super::made::{
    ALICE, PENDING, arrival, command, dead_letter, dead_letter_reply, died, event, job, job_of, outbound,
    put, value,
};
use super::shown::{Names, lines, scopes};
use super::subject::{End, Open, Subject};
use crate::journal::store::{
    Change, EventId, Intake, JobFilter, JobKey, Key, Mark, NewRow, Partition, ReplyId, Row, Scope, Store,
    Taken,
};
use crate::journal::{Job, Reason};

const ALL: JobFilter<'static> =
    JobFilter { partition: None, conversation: None, after: None, until_ms: u64::MAX, limit: usize::MAX };

impl<S: Store, O: Open<S>> Subject<S, O> {
    /// The numbers of the jobs that are meant, and when the next is due.
    async fn due(&mut self, which: JobFilter<'_>) -> Result<(Vec<u64>, Option<u64>), Mismatch> {
        let (jobs, next_ms) = self.store().jobs(&which).await?;
        Ok((jobs.iter().map(|job| job.id).collect(), next_ms))
    }

    pub(super) async fn jobs_come_by_time_and_number(&mut self) -> Kept {
        self.fresh().await?;
        let body = Bytes::from_static(b"{}");
        let intake = vec![
            job("a", 30, &body),
            job_of("bob", "b", 10, &body),
            job("c", 20, &body),
            job("d", 20, &body),
            job_of("", "e", 20, &body),
            job("f", 0, &body),
        ];
        let ids = self.take_new(intake).await?;
        let [a, b, c, d, e, f] = ids[..] else { return Ok(()) };
        self.again(End::Drop).await?;
        let alice = Some(ALICE);
        let cases = [
            (ALL, vec![f, b, c, d, e, a], None),
            (JobFilter { limit: 0, ..ALL }, vec![], Some(0)),
            (JobFilter { limit: 2, ..ALL }, vec![f, b], Some(20)),
            (JobFilter { until_ms: 20, ..ALL }, vec![f, b, c, d, e], Some(30)),
            (JobFilter { until_ms: 19, ..ALL }, vec![f, b], Some(20)),
            (JobFilter { after: Some((20, c)), ..ALL }, vec![d, e, a], None),
            (JobFilter { after: Some((20, c)), limit: 1, ..ALL }, vec![d], Some(20)),
            (JobFilter { after: Some((20, 0)), until_ms: 20, ..ALL }, vec![c, d, e], Some(30)),
            (JobFilter { after: Some((15, u64::MAX)), ..ALL }, vec![c, d, e, a], None),
            (JobFilter { after: Some((30, a)), ..ALL }, vec![], None),
            (JobFilter { conversation: alice, ..ALL }, vec![f, c, d, a], None),
            (JobFilter { conversation: alice, until_ms: 10, ..ALL }, vec![f], Some(20)),
            (JobFilter { conversation: alice, after: Some((0, f)), limit: 2, ..ALL }, vec![c, d], Some(30)),
            (JobFilter { conversation: Some(""), ..ALL }, vec![e], None),
            (JobFilter { conversation: Some("nobody"), ..ALL }, vec![], None),
        ];
        for (which, expected, next_ms) in cases {
            let what = format!("jobs by {which:?}");
            same(&what, &self.due(which).await?, &(expected, next_ms))?;
        }
        Ok(())
    }

    pub(super) async fn the_jobs_of_a_partition_are_its_owners(&mut self) -> Kept {
        self.fresh().await?;
        let body = Bytes::from_static(b"{}");
        let names: Vec<_> = (0..12).map(|number| format!("person {number}")).collect();
        let ids = self.take_new(names.iter().map(|name| job_of(name, name, 5, &body)).collect()).await?;
        let events: Vec<_> = names.iter().map(|name| event(name, name)).collect();
        let places = self.take_new(events.iter().map(|event| arrival(event, None)).collect()).await?;
        let places: Vec<_> =
            places.into_iter().map(|bits| EventId::from_bits(bits).partition()).zip(ids).collect();
        for partition in self.partitions() {
            let own = places.iter().filter(|(place, _)| *place == partition).map(|(_, id)| *id).collect();
            let which = JobFilter { partition: Some(partition), ..ALL };
            same(&format!("the jobs of {partition:?}"), &self.due(which).await?, &(own, None))?;
        }
        let nobodys = JobFilter { partition: Some(Partition(1_000)), ..ALL };
        same("the jobs of no partition", &self.due(nobodys).await?, &(Vec::new(), None))
    }

    pub(super) async fn a_name_has_one_job(&mut self) -> Kept {
        self.fresh().await?;
        let (one, other) = (Bytes::from_static(b"1"), Bytes::from_static(b"2"));
        let first = self.take_new(vec![job("tea", 10, &one), job("beside", 10, &one)]).await?;
        let again = |due_ms, body, keeps_due| Intake {
            conversation: "bob".into(),
            dedupe: None,
            row: NewRow::Job { name: "tea", due_ms, body, keeps_due },
        };
        let kept = self.take(vec![again(99, &one, true)]).await?;
        same("a job that keeps its time", &kept, &[Taken::Known(first[0])])?;
        let (name, conversation) = ("tea".to_owned(), ALICE.to_owned());
        let expected = Job { id: first[0], name, conversation, due_ms: 10, body: one.clone() };
        let seen = self.store().job(JobKey::Name("tea")).await?;
        same("that job, left as it is", &seen.as_ref(), &Some(&expected))?;
        same(
            "the same by its number",
            &self.store().job(JobKey::Id(first[0])).await?.as_ref(),
            &Some(&expected),
        )?;
        let mut last = first[0];
        for (body, keeps_due) in [(&other, true), (&other, false), (&one, false)] {
            let id = self.take_new(vec![again(20, body, keeps_due)]).await?[0];
            super::broken::rising("the number of a job that replaces another", &[last, id])?;
            same("the job that was replaced", &self.store().job(JobKey::Id(last)).await?, &None)?;
            let (name, conversation) = ("tea".to_owned(), "bob".to_owned());
            let expected = Job { id, name, conversation, due_ms: 20, body: body.clone() };
            let seen = self.store().job(JobKey::Name("tea")).await?;
            same("the job that replaces it", &seen, &Some(expected))?;
            last = id;
        }
        self.again(End::Drop).await?;
        same("all jobs", &self.due(ALL).await?, &(vec![first[1], last], None))
    }

    pub(super) async fn a_job_is_moved_and_deleted_by_its_number(&mut self) -> Kept {
        self.fresh().await?;
        let body = Bytes::from_static(b"{}");
        let ids = self.take_new(vec![job("a", 10, &body), job("b", 20, &body)]).await?;
        self.change(vec![Change::Mark(Mark::Job(ids[0], 30))]).await?;
        same("jobs, one of them moved", &self.due(ALL).await?, &(vec![ids[1], ids[0]], None))?;
        let moved = self.store().job(JobKey::Name("a")).await?;
        let expected = (ids[0], 30, body.clone(), ALICE.to_owned());
        let moved = moved.map(|job| (job.id, job.due_ms, job.body, job.conversation));
        same("the job that was moved", &moved, &Some(expected))?;
        self.change(vec![Change::Delete(Key::Job(ids[1]))]).await?;
        self.again(End::Close).await?;
        same("jobs, one of them gone", &self.due(ALL).await?, &(vec![ids[0]], None))?;
        same("the one that is gone, by name", &self.store().job(JobKey::Name("b")).await?, &None)
    }

    pub(super) async fn values_of_different_scopes_do_not_mix(&mut self) -> Kept {
        self.fresh().await?;
        let values: Vec<_> = (0..6_u8).map(|value| Bytes::from(vec![value, 0, 255])).collect();
        let (other, empty) = (Bytes::from_static(b"other"), Bytes::new());
        let mut changes = Vec::new();
        for (scope, body) in scopes().into_iter().zip(&values) {
            changes.extend([
                value(scope.clone(), "same", body),
                value(scope.clone(), "Same", &other),
                value(scope, "", &empty),
            ]);
        }
        self.change(changes).await?;
        for end in [End::Drop, End::Close] {
            self.again(end).await?;
            for (scope, body) in scopes().into_iter().zip(&values) {
                let seen = self.store().values(&scope).await?;
                let expected = [("", &empty), ("Same", &other), ("same", body)];
                let expected = expected.map(|(name, value)| (name.to_owned(), value.clone()));
                same(&format!("the values of {:?}, by name", scope.as_str()), &seen, &expected)?;
                let one = self.store().value(&scope, "same").await?;
                same(&format!("one of {:?}", scope.as_str()), &one.as_ref(), &Some(body))?;
            }
        }
        let [_, alice, .., network] = scopes();
        self.change(vec![Change::Delete(Key::Value(alice.clone(), "same"))]).await?;
        same("a value that is gone", &self.store().value(&alice, "same").await?, &None)?;
        same("those beside it", &self.store().values(&alice).await?.len(), &2)?;
        same("those of another scope", &self.store().values(&network).await?.len(), &3)?;
        let nobody = Scope::person("nobody");
        same("the values of nobody", &self.store().values(&nobody).await?.len(), &0)
    }

    pub(super) async fn a_command_waits_until_it_has_an_outcome(&mut self) -> Kept {
        self.fresh().await?;
        same("commands of a new store", &self.store().commands().await?.len(), &0)?;
        let numbers = self.take_new(vec![command("1"), command("2"), command("3")]).await?;
        let waiting = |places: &[usize]| {
            let bodies = ["1", "2", "3"];
            places.iter().map(|place| (numbers[*place], Bytes::from(bodies[*place]))).collect::<Vec<_>>()
        };
        for _ in 0..2 {
            same("commands that came in", &self.store().commands().await?, &waiting(&[0, 1, 2]))?;
        }
        same("what became of one that waits", &self.store().outcome(numbers[1]).await?, &None)?;
        let done =
            |place: usize, outcome: &str| Change::Mark(Mark::Command(numbers[place], outcome.to_owned()));
        self.change(vec![done(1, "{\"events\":1}")]).await?;
        for end in [None, Some(End::Drop), Some(End::Close)] {
            if let Some(end) = end {
                self.again(end).await?;
            }
            same("commands, one of them executed", &self.store().commands().await?, &waiting(&[0, 2]))?;
            let outcome = self.store().outcome(numbers[1]).await?;
            same("its outcome", &outcome.as_deref(), &Some("{\"events\":1}"))?;
        }
        self.change(vec![done(0, ""), done(2, "done")]).await?;
        same("commands, all of them executed", &self.store().commands().await?.len(), &0)?;
        same("an outcome without words", &self.store().outcome(numbers[0]).await?.as_deref(), &Some(""))?;
        let late = self.take_new(vec![command("1")]).await?[0];
        let expected = vec![(late, Bytes::from_static(b"1"))];
        same("a command that came later", &self.store().commands().await?, &expected)
    }

    pub(super) async fn a_reader_sees_what_is_committed_and_changes_nothing(&mut self) -> Kept {
        self.fresh().await?;
        let mut early = self.store().reader()?;
        let (event, reply, body) =
            (event("a", ALICE), outbound("pong", &[("a", b"1")]), Bytes::from_static(b"7"));
        let mut names = Names::default();
        for round in 0..3 {
            let name = format!("{round}");
            let ids = self.accept(&["b"]).await?;
            let numbers =
                self.take_new(vec![arrival(&event, None), job(&name, 9, &body), command("1")]).await?;
            names.events.extend(ids);
            names.events.push(crate::journal::store::EventId::from_bits(numbers[0]));
            names.jobs.push(numbers[1]);
            names.commands.push(numbers[2]);
            let last = names.events.len() - 1;
            let of = |index| ReplyId { event: names.events[last], index };
            self.change(vec![
                put(of(0), PENDING, &reply),
                put(of(1), PENDING, &outbound("no files", &[])),
                dead_letter_reply(of(1), died(Reason::Refused, "!pong", 5)),
                Change::Put(Row::Step(names.events[last], "pay", &body)),
                value(Scope::person(ALICE), &name, &body),
                dead_letter(names.events[0], died(Reason::Failed, "!ping", 6)),
                Change::Mark(Mark::Command(names.commands[0], "done".to_owned())),
            ])
            .await?;
            let own = lines(self.store(), &names).await?;
            let mut late = self.store().reader()?;
            same_lines("what a reader sees that was opened before", &lines(&mut early, &names).await?, &own)?;
            same_lines("what a reader sees that was opened after", &lines(&mut late, &names).await?, &own)?;
            same_lines("what is there after they have read", &lines(self.store(), &names).await?, &own)?;
        }
        Ok(())
    }
}
