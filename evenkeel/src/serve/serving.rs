//! A bot from its start to its end, where it is polled.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::{Executor, Label, Task};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::entered::{Entered, known};
use super::joining::{Parts, Threads, ToldWire};
use super::leaving::let_go;
use super::opening::{Said, opened};
use super::owned::Owned;
use super::settings::{Settings, guarding};
use super::wire::Ends;
use super::{Bot, signals};
use crate::command::CommandSpec;
#[cfg(feature = "page")]
use crate::console::{About, BotHandles, Console, program};
use crate::error::Result;
use crate::journal::Journal;
#[cfg(feature = "page")]
use crate::operator::Operator;
#[cfg(feature = "page")]
use crate::status::Status;
use crate::transport::Limits;

/// How long a bot that was told to stop goes on finishing, unless told otherwise.
const DRAIN: Duration = Duration::from_secs(25);

impl<J: Journal> Bot<J> {
    /// Where it is polled, until it is told to stop.
    pub(super) async fn serve_here(mut self) -> Result<()> {
        // Before anything else, so that a signal during a slow start stops the bot and not the process.
        let (stop, stops) = mpsc::channel(2);
        let executor = self.executor.get_or_insert_with(|| Executor::on_with(Handle::current(), &guarding()));
        let _stopper = match self.shutdown.take() {
            Some(shutdown) => {
                Stopper::Authors(executor.spawn(&Label::new("shutdown"), signals::after(shutdown, stop)))
            }
            None => {
                signals::outlive_size_limits();
                Stopper::Signals(Owned(tokio::spawn(signals::tell(stop))))
            }
        };
        self.serve_until(stops).await
    }

    /// Serves until the first message of `stops`, and gives up at the second.
    pub(super) async fn serve_until(self, mut stops: mpsc::Receiver<()>) -> Result<()> {
        let Self {
            networks,
            app,
            journal,
            executor,
            drain,
            settings,
            backlog_bytes,
            share_bytes,
            event_bytes,
            status: (status, questions),
            operator: (operator, operator_commands),
            handle: (handle, handles),
            clock,
            threads,
            #[cfg(feature = "page")]
            console,
            #[cfg(feature = "page")]
            bot_name,
            ..
        } = self;
        let executor = executor.unwrap_or_else(|| Executor::on_with(Handle::current(), &guarding()));
        let clock = clock.start(&executor).await;
        // Before the network is told anything: a journal in other hands ends the bot here.
        let settings = settings.map_or_else(Settings::load, Ok)?;
        #[cfg(feature = "page")]
        let console = console.or_else(|| console_at(settings.console.as_ref()?));
        settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let app = app.with_usual_handler_limit(settings.handler_limit);
        let said = Said { place: settings.place, account: settings.account, primary: settings.primary };
        let specs: Arc<[CommandSpec]> = app.specs().into();
        // Each gets its part of the room, so that one that is full leaves the others theirs.
        let limits = Limits::new(backlog_bytes / networks.len().max(1), share_bytes, event_bytes);
        let mut opening = Box::pin(opened(journal, networks, Arc::clone(&specs), said));
        let (journal, recovered, networks) = tokio::select! {
            opened = &mut opening => opened?,
            Some(()) = stops.recv() => {
                // It may hold a journal that is still being read.
                let_go(opening).await;
                return Ok(());
            }
        };
        networks.iter().for_each(Entered::tell);
        let app = app.with_networks(known(&networks));
        let outside = handles.open(known(&networks), threads == Threads::Lent);
        app.misfits().iter().for_each(|why| tracing::warn!("{why}"));
        #[cfg(feature = "page")]
        let _console = {
            let about = about(bot_name.unwrap_or_else(program), &networks);
            Console::start(console, about, shown(&status, &operator), journal.durability().path())?
        };
        let drain = drain.unwrap_or(DRAIN);
        let (app, kept) = (app.clone(), app);
        let parts =
            Parts { networks, specs, journal, recovered, app, executor, clock, limits, drain, handle };
        let (wire, told) = parts.join((status, operator), (operator_commands, outside), threads)?;
        let ToldWire { downloads, due, opened } = told;
        wire.run(kept, Ends { questions, stops, downloads, due, opened }).await
    }
}

/// What the console says of the bot, and of the networks that are open.
#[cfg(feature = "page")]
fn about(name: String, networks: &[Entered]) -> About {
    let names: Vec<_> = networks.iter().map(|network| &*network.name).collect();
    let greetings = networks.iter().map(|network| &*network.greeting).filter(|greeting| !greeting.is_empty());
    About { name, transport: names.join(", "), greeting: greetings.collect::<Vec<_>>().join(" \u{b7} ") }
}

/// What the console shows the bot by.
#[cfg(feature = "page")]
fn shown(status: &Status, operator: &Operator) -> BotHandles {
    let Operator { letters, jobs } = operator.clone();
    BotHandles { status: status.clone(), letters, jobs }
}

/// The console of the settings. Nobody's messages wait for a page.
#[cfg(feature = "page")]
fn console_at(address: &str) -> Option<Console> {
    Console::bind(address).map_err(|error| tracing::error!("no console: {}", error.chain())).ok()
}

/// Who says when the bot stops; ends with the bot.
enum Stopper {
    /// Both are held for their ends alone.
    Authors(#[expect(dead_code, reason = "dropping it cancels the future")] Task),
    Signals(#[expect(dead_code, reason = "dropping it ends the task")] Owned<()>),
}
