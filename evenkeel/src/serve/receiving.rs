//! A network's own task: it opens the network, where that was not possible at the start, and receives.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::foreign;
use crate::backoff::Backoff;
use crate::command::CommandSpec;
use crate::error::{Error, Result};
use crate::transport::{AnyTransport, Inbox, Start};

/// Between two tries to open a network.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// A transport that receives; it ends when the transport gives up.
pub(super) type Receiving = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A network that is being opened.
pub(super) type Opening = BoxFuture<'static, Result<String>>;

/// What keeps a network from being open.
pub(super) enum Door {
    /// Nothing.
    Open,
    /// It has not answered.
    Opening(Opening),
    /// It said no, and is asked again.
    Refused,
}

/// A network is open that was not when the bot began.
pub(super) struct Opened {
    /// Which, by its place among the networks of the bot.
    pub(super) index: usize,
    pub(super) greeting: String,
}

/// A network that is to receive.
pub(super) struct Attended {
    pub(super) index: usize,
    pub(super) name: Arc<str>,
    pub(super) transport: AnyTransport,
    pub(super) specs: Arc<[CommandSpec]>,
    pub(super) door: Door,
    /// What to keep of its account once it is open, if anything.
    pub(super) account: Option<(String, String)>,
    pub(super) inbox: Inbox,
    pub(super) opened: mpsc::UnboundedSender<Opened>,
}

/// Opens a network. A panic is an error.
pub(super) fn open(transport: AnyTransport, specs: Arc<[CommandSpec]>) -> Opening {
    Box::pin(async move {
        foreign::caught_box("the transport", transport.open(&Start::new(&specs))).await.map_err(|error| {
            let context = format!("the {} transport could not start", transport.name());
            error.context(context)
        })
    })
}

impl Attended {
    /// Receives until the source ends, once the network is open.
    pub(super) async fn receive(self) -> Result<()> {
        let Self { index, name, transport, specs, door, account, inbox, opened } = self;
        let first = match door {
            Door::Open => None,
            Door::Opening(opening) => Some(Some(opening)),
            Door::Refused => Some(None),
        };
        if let Some(opening) = first {
            let greeting =
                open_in_the_end(opening, &name, || open(Arc::clone(&transport), Arc::clone(&specs))).await;
            if let Some((name, account)) = account {
                inbox.keep_in("", name, Some(account.into()));
            }
            // A wire that is gone sends nothing more.
            let _told = opened.send(Opened { index, greeting });
        }
        foreign::receive(transport, inbox).await
    }
}

/// Tries until it is open.
async fn open_in_the_end(mut opening: Option<Opening>, name: &str, open: impl Fn() -> Opening) -> String {
    let mut tries = 0;
    loop {
        if let Some(opening) = opening.take() {
            match opening.await {
                Ok(greeting) => return greeting,
                Err(error) => tell(name, tries, &error),
            }
        }
        tries += 1;
        sleep(BACKOFF.after(tries)).await;
        opening = Some(open());
    }
}

/// Says now and then that a network is not open, and why.
fn tell(network: &str, tries: u32, error: &Error) {
    // Powers of two: what is down for a day must not fill the log.
    if tries == 0 || tries.is_power_of_two() {
        let pause = BACKOFF.after(tries + 1);
        tracing::error!(
            network,
            ?pause,
            error = error.chain(),
            hint = error.hint(),
            "the network is not open: it is tried again"
        );
    }
}
