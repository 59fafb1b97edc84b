//! How the parts of a bot are put together, once its journal and its networks are open.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_guard::Executor;
use tokio::sync::mpsc;

use super::arrivals::Arrivals;
use super::clock::WallClock;
use super::core::Shared;
use super::driver::{Begun, Driver, Inputs, Life};
use super::entered::Entered;
use super::link::{Driving, Link, link};
use super::owned::Owned;
use super::receiving::{Attended, Door, Opened};
use super::wire::{Beside, Edge, Edges, Stopping, Wire};
use crate::command::CommandSpec;
use crate::engine::{Asked, Download, Engine, HandlerRequests, NetworkPolicy, OutsideRequest, Policy};
use crate::error::Result;
use crate::guarantee::{Durability, Guarantees, OnUnknown};
use crate::handle::Handle;
use crate::journal::{Journal, Recovered};
use crate::operator::{Operator, OperatorCommand};
use crate::route::App;
use crate::status::{NetworkState, Status};
use crate::transport::{Arrival, Backlog, Backlogs, Due, Inbox, Limits, Network};

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
    pub(super) networks: Vec<Entered>,
    pub(super) specs: Arc<[CommandSpec]>,
    pub(super) journal: J,
    pub(super) recovered: Recovered,
    pub(super) app: App,
    pub(super) executor: Executor,
    pub(super) clock: WallClock,
    /// Of each network.
    pub(super) limits: Limits,
    pub(super) drain: Duration,
    /// What hooks of the author's get.
    pub(super) handle: Handle,
}

/// What others tell the wire, beside the driver.
pub(super) struct ToldWire {
    pub(super) downloads: mpsc::UnboundedReceiver<Download>,
    pub(super) due: mpsc::UnboundedReceiver<Due>,
    pub(super) opened: mpsc::UnboundedReceiver<Opened>,
}

/// What all networks of a bot have in common.
struct Common {
    limits: Limits,
    specs: Arc<[CommandSpec]>,
    durability: Durability,
    on_unknown: OnUnknown,
    status: Status,
    operator: Operator,
    expecting: mpsc::UnboundedSender<Due>,
    opening: mpsc::UnboundedSender<Opened>,
    /// What earlier runs kept, of all networks.
    kept: Vec<(String, Bytes)>,
    cursors: Vec<(String, Bytes)>,
}

impl<J: Journal> Parts<J> {
    /// The wire, with the driver at the other end of its link, and what others tell it.
    pub(super) fn join(
        self,
        (status, operator): (Status, Operator),
        (operator_commands, outside): (mpsc::Receiver<OperatorCommand>, mpsc::Receiver<OutsideRequest>),
        threads: Threads,
    ) -> Result<(Wire, ToldWire)> {
        let Self { networks, specs, journal, mut recovered, app, executor, clock, limits, drain, handle } =
            self;
        let (expecting, due) = mpsc::unbounded_channel();
        let (opening, opened) = mpsc::unbounded_channel();
        let (kept, cursors) = (std::mem::take(&mut recovered.kept), std::mem::take(&mut recovered.cursors));
        let (durability, on_unknown) = (journal.durability(), app.failure().on_unknown);
        let common = Common {
            limits,
            specs,
            durability,
            on_unknown,
            status,
            operator,
            expecting,
            opening,
            kept,
            cursors,
        };
        let mut joined = Joined::default();
        networks.into_iter().for_each(|network| joined.add(network, &common));
        let Joined { edges, inboxes, policies } = joined;
        let backlogs = edges.iter().map(|edge| (Arc::clone(&edge.key), Arc::clone(&edge.backlog)));
        let backlogs = Backlogs::new(backlogs.collect());
        let policy =
            Policy { is_clock_steady: clock.is_steady(), ..policy(policies, &app, &backlogs, &journal) };
        let core = Shared::new(Engine::new(policy).with_concurrency(app.concurrency()));
        let (requests, Asked { of_engine: asked, of_wire: downloads }) = HandlerRequests::new();
        let (outcomes, finished) = mpsc::unbounded_channel();
        let (to_driver, from_driver, (to_wire, from_wire)) = link();
        let (is_kept, blocks, interrupt) = (journal.is_kept(), journal.blocks(), journal.interrupt());
        let hooks = Life::new(app.hooks(), &handle, &executor);
        let driver = Driver {
            core: core.clone(),
            journal,
            app,
            executor: executor.clone(),
            backlogs,
            clock,
            requests,
            outcomes,
            to_wire,
            begun: Begun::new(hooks),
        };
        let arrivals = Arrivals::new(inboxes);
        let inputs = Inputs { from_wire, arrivals, operator_commands, finished, asked, outside };
        let driving = driver.run(recovered, inputs);
        let place = match blocks || threads == Threads::Own {
            true => Driving::thread(driving, interrupt)?,
            false => Driving::here(driving),
        };
        let (link, edges) = (Link { to_driver, from_driver, place }, Edges::new(edges));
        let wire = Wire { edges, link, core, executor, is_kept, drain, stopping: Stopping::default() };
        Ok((wire, ToldWire { downloads, due, opened }))
    }
}

/// How the author wants the bot to be.
fn policy(networks: Vec<NetworkPolicy>, app: &App, backlogs: &Backlogs, journal: &impl Journal) -> Policy {
    Policy {
        networks,
        has_brake: !app.failure().is_unbraked,
        recovered_bytes: backlogs.recovered_bytes(),
        seed: std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
        gathers: journal.gathers(),
        ..Policy::default()
    }
}

/// The networks of a bot, as its parts know them.
#[derive(Default)]
struct Joined {
    edges: Vec<Edge>,
    inboxes: Vec<mpsc::UnboundedReceiver<Arrival>>,
    policies: Vec<NetworkPolicy>,
}

impl Joined {
    /// A network begins to receive.
    fn add(&mut self, entered: Entered, common: &Common) {
        let Entered { network, name, key, door, account, .. } = entered;
        let Network { transport, is_essential, on_unknown, .. } = network;
        let is_open = matches!(door, Door::Open);
        let backlog = Arc::new(Backlog::new(common.limits));
        let policy = NetworkPolicy {
            key: Arc::clone(&key),
            is_idempotent: transport.is_idempotent(),
            on_unknown: on_unknown.unwrap_or(common.on_unknown),
            sends: transport.sends_at_once().max(1),
            is_open,
        };
        let (delivery_mode, NetworkPolicy { is_idempotent, on_unknown, .. }) =
            (transport.delivery_mode(), policy.clone());
        let guarantees = Guarantees::new(&delivery_mode, is_idempotent, &common.durability, on_unknown);
        let promised = guarantees.summary();
        tracing::info!(network = &*name, "what is promised: {promised} (`evenkeel doctor` says all of it)");
        let (inbox, arrivals) =
            Inbox::new(Arc::clone(&backlog), common.operator.clone().handles(common.status.clone()));
        let inbox = inbox.with_due(common.expecting.clone()).with_network(Arc::clone(&key));
        let attended = Attended {
            index: self.edges.len(),
            name: Arc::clone(&name),
            transport: Arc::clone(&transport),
            specs: Arc::clone(&common.specs),
            door,
            account,
            inbox: inbox.with_kept(common.kept.clone()).with_cursors(common.cursors.clone()),
            opened: common.opening.clone(),
        };
        // A task of its own, so that the transport's frames and the wire's decisions wake separately.
        let receiving = Owned(tokio::spawn(attended.receive()));
        self.edges.push(Edge {
            key,
            name,
            transport,
            backlog,
            guarantees,
            is_essential,
            state: if is_open { NetworkState::Open } else { NetworkState::Opening },
            receiving: Some(Box::pin(receiving)),
            beside: Beside::new(&common.specs),
        });
        self.inboxes.push(arrivals);
        self.policies.push(policy);
    }
}
