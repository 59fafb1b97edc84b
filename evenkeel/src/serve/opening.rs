//! How a bot begins: its journal is opened and read, then its transport, and all parts are put together.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::Executor;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::account;
use super::clock::WallClock;
use super::core::Shared;
use super::driver::{Driver, Inputs};
use super::foreign;
use super::link::{Driving, Link, link};
use super::owned::Owned;
use super::wire::{Beside, Receiving, Wire};
use crate::command::CommandSpec;
use crate::engine::{Asked, Download, Engine, HandlerRequests, Policy};
use crate::error::{Error, Result};
use crate::guarantee::Guarantees;
use crate::journal::{Journal, Place, Recovered};
use crate::operator::{Operator, OperatorCommand};
use crate::route::App;
use crate::status::Status;
use crate::transport::{AnyTransport, Backlog, Due, Inbox, Limits, Start};

/// Opens the journal, once the settings are known.
pub(super) type OpenJournal<J> = Box<dyn FnOnce(Place) -> Result<J> + Send>;

/// Opens the journal and then the transport, which is told the commands and greets.
pub(super) async fn opened<J: Journal>(
    journal: OpenJournal<J>,
    place: Place,
    (transport, specs): (AnyTransport, Vec<CommandSpec>),
    granted: Option<String>,
) -> Result<(J, Recovered, String)> {
    specs.iter().for_each(|spec| tracing::debug!("people can ask for {spec}"));
    let opened = spawn_blocking(move || journal(place)).await?;
    let mut journal = opened.map_err(|error| error.context("the journal could not be opened"))?;
    let blocks = journal.blocks();
    let account = foreign::caught("the transport", async { Ok(transport.identity()) }).await?;
    let owner = account.clone();
    let (mut journal, recovered, is_to_keep) = aside(blocks, async move {
        let recovered = journal.recover_in_pages().await?;
        let is_to_keep = account::check(&mut journal, owner.as_deref(), granted.as_deref()).await?;
        Ok((journal, recovered, is_to_keep))
    })
    .await?;
    let greeting = foreign::caught_box("the transport", transport.open(&Start::new(&specs))).await;
    let greeting = greeting.map_err(|error| {
        let context = format!("the {} transport could not start", transport.name());
        error.context(context)
    })?;
    if is_to_keep {
        journal = aside(blocks, async move {
            account::keep(&mut journal, account.as_deref()).await?;
            Ok(journal)
        })
        .await?;
    }
    Ok((journal, recovered, greeting))
}

/// Does something with a journal; where that blocks, on a thread for it.
async fn aside<R: Send + 'static>(
    blocks: bool,
    work: impl Future<Output = Result<R>> + Send + 'static,
) -> Result<R> {
    if !blocks {
        return work.await;
    }
    let never_waits = || Error::new("a journal that says that it blocks has waited for something else");
    spawn_blocking(move || work.now_or_never().unwrap_or_else(|| Err(never_waits()))).await?
}

/// Whose the threads are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// The bot's, as under `run`: the driver gets one, whatever the journal.
    Own,
    /// The caller's.
    Lent,
}

/// What a bot is put together from, beside its channels.
pub(super) struct Parts<J> {
    pub(super) transport: AnyTransport,
    pub(super) journal: J,
    pub(super) recovered: Recovered,
    pub(super) app: App,
    pub(super) executor: Executor,
    pub(super) clock: WallClock,
    pub(super) limits: Limits,
    pub(super) drain: Duration,
}

impl<J: Journal> Parts<J> {
    /// The wire, with the driver at the other end of its link, and what handlers want of the wire.
    pub(super) fn join(
        self,
        (status, operator): (Status, Operator),
        operator_commands: mpsc::Receiver<OperatorCommand>,
        threads: Threads,
    ) -> Result<(Wire, mpsc::UnboundedReceiver<Download>, mpsc::UnboundedReceiver<Due>)> {
        let Self { transport, journal, mut recovered, app, executor, clock, limits, drain } = self;
        let backlog = Arc::new(Backlog::new(limits));
        let (inbox, arrivals) = Inbox::new(Arc::clone(&backlog), operator.handles(status));
        let (expecting, due) = mpsc::unbounded_channel();
        let inbox = inbox.with_due(expecting);
        let inbox = inbox.with_kept(std::mem::take(&mut recovered.kept));
        let inbox = inbox.with_cursors(std::mem::take(&mut recovered.cursors));
        // A task of its own, so that the transport's frames and the wire's decisions wake separately.
        let receiving = Owned(tokio::spawn(foreign::receive(Arc::clone(&transport), inbox)));
        let (is_idempotent, on_unknown) = (transport.is_idempotent(), app.failure().on_unknown);
        let guarantees =
            Guarantees::new(&transport.delivery_mode(), is_idempotent, &journal.durability(), on_unknown);
        tracing::info!("what is promised: {} (`evenkeel doctor` says all of it)", guarantees.summary());
        let policy = Policy {
            is_idempotent,
            on_unknown,
            has_brake: !app.failure().is_unbraked,
            sends: transport.sends_at_once().max(1),
            recovered_bytes: backlog.recovered_bytes(),
            seed: std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
            gathers: journal.gathers(),
        };
        let core = Shared::new(Engine::new(policy).with_concurrency(app.concurrency()));
        let (requests, Asked { of_engine: asked, of_wire: downloads }) = HandlerRequests::new();
        let (outcomes, finished) = mpsc::unbounded_channel();
        let (to_driver, from_driver, (to_wire, from_wire)) = link();
        let (is_kept, blocks, interrupt) = (journal.is_kept(), journal.blocks(), journal.interrupt());
        let specs = app.specs();
        let driver = Driver {
            core: core.clone(),
            journal,
            app,
            executor: executor.clone(),
            backlog: Arc::clone(&backlog),
            clock,
            requests,
            outcomes,
            to_wire,
            begun: Default::default(),
        };
        let inputs = Inputs { from_wire, arrivals, operator_commands, finished, asked };
        let driving = driver.run(recovered, inputs);
        let place = match blocks || threads == Threads::Own {
            true => Driving::thread(driving, interrupt)?,
            false => Driving::here(driving),
        };
        let link = Link { to_driver, from_driver, place };
        let receiving: Receiving = Box::pin(receiving);
        let (receiving, beside) = (Some(receiving), Beside::new(&specs));
        let wire =
            Wire { transport, link, core, backlog, executor, guarantees, is_kept, drain, receiving, beside };
        Ok((wire, downloads, due))
    }
}
