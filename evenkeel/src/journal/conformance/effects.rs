//! What a store promises of effects, where it runs any.

use std::panic::panic_any;

use bytes::Bytes;

use super::broken::{Kept, Mismatch, same};
use super::made::{ALICE, arrival, batch, event, value};
use super::subject::{End, Open, Subject};
use super::work::abandon;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::store::{Batch, Effect, Scope, Store, Taken, Verdict, Work};

/// How an effect ends, once it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Well,
    Failing,
    Panicking,
}

/// Makes effects that write a name.
pub(super) struct Make(Box<MakeOne>);

type MakeOne = dyn Fn(&str, Ends) -> Effect;

/// What an effect says that fails.
const REFUSAL: &str = "not today";

impl Make {
    pub(super) fn new<T: 'static>(
        write: impl Fn(&T, &str) -> Result<()> + Clone + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(move |name, ends| {
            let (name, write) = (name.to_owned(), write.clone());
            Effect::new(move |on: &T| {
                write(on, &name)?;
                match ends {
                    Ends::Well => Ok(()),
                    Ends::Failing => Err(Error::new(REFUSAL)),
                    Ends::Panicking => panic_any(REFUSAL),
                }
            })
        }))
    }

    fn effect(&self, name: &str, ends: Ends) -> Option<Effect> {
        Some((self.0)(name, ends))
    }
}

/// What looks for a name that an effect may have written.
pub(super) trait Look<S>: AsyncFnMut(&mut S, &str) -> Result<bool> {}

impl<S, L: AsyncFnMut(&mut S, &str) -> Result<bool>> Look<S> for L {}

/// What became of each work, in a word.
fn words(verdicts: &[Verdict]) -> Vec<&'static str> {
    let word = |verdict: &Verdict| match verdict {
        Verdict::Kept(_) => "kept",
        Verdict::Fenced => "fenced",
        Verdict::EffectFailed(_) => "failed",
    };
    verdicts.iter().map(word).collect()
}

fn scope() -> Scope<'static> {
    Scope::conversation(ALICE)
}

impl<S: Store, O: Open<S>> Subject<S, O> {
    /// A work that writes a value, takes an event in, and has an effect, all of one name.
    fn with_effect<'a>(&self, event: &'a Event, body: &'a Bytes, effect: Option<Effect>) -> Work<'a> {
        let intake = vec![arrival(event, Some(event.id()))];
        Work { effect, ..self.work(self.home(), vec![value(scope(), event.id(), body)], intake) }
    }

    /// Which of these names are those of values, of effects and of keys that are kept.
    async fn names(
        &mut self,
        names: &[&'static str],
        look: &mut impl Look<S>,
    ) -> Result<[Vec<&'static str>; 3], Mismatch> {
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        for name in names {
            let has_value = self.store().value(&scope(), name).await?.is_some();
            let has_effect = look(self.store(), name).await?;
            let event = event(name, ALICE);
            let has_key =
                matches!(self.take(vec![arrival(&event, Some(name))]).await?[..], [Taken::Known(_)]);
            for (found, is_there) in found.iter_mut().zip([has_value, has_effect, has_key]) {
                found.extend(is_there.then_some(*name));
            }
        }
        Ok(found)
    }

    pub(super) async fn an_effect_is_kept_with_its_work(
        &mut self,
        make: &Make,
        look: &mut impl Look<S>,
    ) -> Kept {
        self.fresh().await?;
        let (body, first) = (Bytes::from_static(b"1"), event("first", ALICE));
        let work = vec![self.with_effect(&first, &body, make.effect("first", Ends::Well))];
        let committed = self.commit(&Batch { work, ..batch() }).await?;
        same("the verdict on a work with an effect", &words(&committed.work), &["kept"])?;
        self.again(End::Drop).await?;
        let found = self.names(&["first"], look).await?;
        same("values, effects and keys that are kept", &found, &[["first"]; 3])
    }

    pub(super) async fn an_effect_that_fails_fails_its_work_alone(
        &mut self,
        make: &Make,
        look: &mut impl Look<S>,
    ) -> Kept {
        for ends in [Ends::Failing, Ends::Panicking] {
            self.fresh().await?;
            let (body, beside) = (Bytes::from_static(b"1"), event("beside", ALICE));
            let events = ["first", "failed", "last"].map(|id| event(id, ALICE));
            let ends = [Ends::Well, ends, Ends::Well];
            let with = |(event, ends): (&'_ Event, Ends)| (event.id().to_owned(), ends);
            let effects = events.iter().zip(ends).map(with).map(|(name, ends)| make.effect(&name, ends));
            let work =
                events.iter().zip(effects).map(|(event, effect)| self.with_effect(event, &body, effect));
            let (work, cursors) = (work.collect(), vec![("source", body.clone())]);
            let intake = vec![arrival(&beside, Some("beside"))];
            let committed = self.commit(&Batch { cursors, intake, work, ..batch() }).await?;
            same("the verdicts on three works", &words(&committed.work), &["kept", "failed", "kept"])?;
            if let Verdict::EffectFailed(error) = &committed.work[1] {
                same("whether the error is its own", &error.to_string().contains(REFUSAL), &true)?;
            }
            self.again(End::Drop).await?;
            same("the cursors", &self.cursors().len(), &1)?;
            let [values, effects, keys] = self.names(&["first", "failed", "last", "beside"], look).await?;
            same("values that are kept", &values, &["first", "last"])?;
            same("effects that are kept", &effects, &["first", "last"])?;
            same("keys that are kept", &keys, &["first", "last", "beside"])?;
        }
        Ok(())
    }

    pub(super) async fn an_effect_of_a_fenced_work_is_not_kept(
        &mut self,
        make: &Make,
        look: &mut impl Look<S>,
    ) -> Kept {
        self.fresh().await?;
        let (body, late) = (Bytes::from_static(b"1"), event("late", ALICE));
        for change in [|own: u64| own + 1, |own: u64| own.saturating_sub(1)] {
            let mut work = self.with_effect(&late, &body, make.effect("late", Ends::Well));
            work.epoch.0 = change(work.epoch.0);
            let committed = self.commit(&Batch { work: vec![work], ..batch() }).await?;
            same("the verdict on somebody who is not the owner", &words(&committed.work), &["fenced"])?;
        }
        self.again(End::Drop).await?;
        let found = self.names(&["late"], look).await?;
        same("values, effects and keys that are kept", &found, &[Vec::<&str>::new(), Vec::new(), Vec::new()])
    }

    pub(super) async fn a_work_is_there_with_its_effect_or_not_at_all(
        &mut self,
        make: &Make,
        look: &mut impl Look<S>,
    ) -> Kept {
        self.fresh().await?;
        for (polls, name) in ["0", "1", "2", "3", "4", "5", "6", "7"].into_iter().enumerate() {
            let (body, event) = (Bytes::from_static(b"1"), event(name, ALICE));
            let work = vec![self.with_effect(&event, &body, make.effect(name, Ends::Well))];
            let polls = u8::try_from(polls).unwrap_or(u8::MAX);
            abandon(self.store().commit(&Batch { work, ..batch() }), polls).await;
            self.again(End::Drop).await?;
            let [values, effects, keys] = self.names(&[name], look).await?;
            let what = |what: &str| format!("{what} that are kept, after {polls} polls");
            same(&what("effects beside values"), &effects, &values)?;
            same(&what("keys beside values"), &keys, &values)?;
        }
        Ok(())
    }

    pub(super) async fn an_effect_on_something_else_fails_its_work_alone(&mut self) -> Kept {
        struct Unheard;
        self.fresh().await?;
        let (body, events) = (Bytes::from_static(b"1"), ["failed", "last"].map(|id| event(id, ALICE)));
        let effect = Effect::new(|_: &Unheard| Ok(()));
        same(
            "whether it runs effects on what nobody has heard of",
            &self.store().runs(effect.kind()),
            &false,
        )?;
        let failed = self.with_effect(&events[0], &body, Some(effect));
        let last = self.with_effect(&events[1], &body, None);
        let committed = self.commit(&Batch { work: vec![failed, last], ..batch() }).await?;
        same("the verdicts on two works", &words(&committed.work), &["failed", "kept"])?;
        self.again(End::Drop).await?;
        let values = self.store().values(&scope()).await?;
        let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
        same("what is left of two works", &names, &["last"])
    }
}
