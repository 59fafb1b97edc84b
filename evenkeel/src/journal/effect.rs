//! What an author has written together with a work: in the same transaction, by code of their own.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{Error, Result, panic_message};

/// Code of the author's that is run inside the transaction of a work, on what its store has for that.
///
/// A store that runs effects says which ones ([`Store::runs`](super::store::Store::runs)). It may run one again when a transaction
/// has to be made anew; of all its runs only the last one is kept.
#[derive(Clone)]
pub struct Effect {
    kind: EffectKind,
    run: Arc<Run>,
}

type Run = dyn Fn(&dyn Any) -> Result<()> + Send + Sync;

impl Effect {
    /// An effect on a `T`, which is the store's: for the one on a file `rusqlite::Connection`.
    pub fn new<T: 'static>(run: impl Fn(&T) -> Result<()> + Send + Sync + 'static) -> Self {
        let kind = EffectKind::of::<T>();
        let run = move |on: &dyn Any| match on.downcast_ref() {
            Some(on) => run(on),
            None => Err(kind.unknown()),
        };
        Self { kind, run: Arc::new(run) }
    }

    /// On what it is run.
    pub fn kind(&self) -> EffectKind {
        self.kind
    }

    /// Runs it on this.
    ///
    /// # Errors
    ///
    /// What it says itself; when it panics; and when it is one on something else.
    pub fn run(&self, on: &dyn Any) -> Result<()> {
        // What it has half done is taken back by the store.
        catch_unwind(AssertUnwindSafe(|| (self.run)(on)))
            .unwrap_or_else(|panic| Err(Error::new(format!("the effect panicked: {}", panic_message(panic)))))
    }
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Effect on {}", self.kind.name)
    }
}

/// On what an effect is run.
#[derive(Debug, Clone, Copy)]
pub struct EffectKind {
    id: TypeId,
    /// For errors.
    name: &'static str,
}

impl EffectKind {
    /// Effects on a `T`.
    pub fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }

    /// What a store says of an effect that it cannot run.
    pub fn unknown(self) -> Error {
        Error::new(format!("the journal has no {}, on which the effect is to be run", self.name))
            .with_hint("run the bot with a journal that has one, or leave the effect out")
    }
}

impl PartialEq for EffectKind {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for EffectKind {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_runs_on_its_own_kind_alone_and_a_panic_is_an_error() {
        let effect =
            Effect::new(|limit: &u8| if *limit > 1 { panic!("{limit} is too much") } else { Ok(()) });
        assert!(effect.run(&1_u8).is_ok());
        assert_eq!(effect.run(&2_u8).unwrap_err().to_string(), "the effect panicked: 2 is too much");
        assert!(effect.run(&1_u16).unwrap_err().to_string().contains("the journal has no u8"));
        assert!(effect.kind() == EffectKind::of::<u8>() && effect.kind() != EffectKind::of::<u16>());
    }
}
