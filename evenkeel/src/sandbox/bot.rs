//! The bot's side of the sandbox: a transport like any other.

use std::collections::HashSet;
use std::future::ready;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use super::Sandbox;
use super::changes::Change;
use super::log;
use super::network::{Network, No, State};
use crate::capability::Capabilities;
use crate::command::Deferral;
use crate::error::{DownloadError, Error, Result};
use crate::event::{Attachment, Conversation, Event, MessageId, ReplyToken};
use crate::guarantee::DeliveryMode;
use crate::reply::{Action, Answered, Outbound};
use crate::transport::{Inbox, SendError, Sent, Start, Transport};

/// How many events are on their way to the journal together.
const LIMIT_TOGETHER: usize = 64;
/// How long to wait after the bot refused an event.
const RETRY: Duration = Duration::from_millis(50);

impl Transport for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn open(&self, _: &Start<'_>) -> Result<String> {
        let (people, groups) = {
            let state = self.network.lock();
            let groups = state.rooms.iter().filter(|room| room.conversation.is_group());
            let groups = groups.count();
            (state.rooms.len() - groups, groups)
        };
        let (people, groups) = (count(people, "person", "people"), count(groups, "group", "groups"));
        let cast = format!("{people} and {groups} in memory");
        #[cfg(feature = "page")]
        if let Some(page) = &self.page {
            return Ok(format!("{cast}; talk to the bot at {}", page.url()));
        }
        Ok(cast)
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let _connection = Connection::new(&self.network);
        #[cfg(feature = "page")]
        if let Some(page) = &self.page {
            let served = page.serve(self.clone(), &inbox);
            return tokio::select! {
                served = served => served,
                () = self.deliver(&inbox) => Ok(()),
            };
        }
        self.deliver(&inbox).await;
        Ok(())
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        self.network.change(|state| state.carry_out(outbound)).map_err(SendError::refused)
    }

    async fn defer(&self, token: &ReplyToken, deferral: Deferral) -> Result<(), SendError> {
        self.network.change(|state| state.defer(token, deferral)).map_err(SendError::refused)
    }

    async fn unanswered(&self, token: &ReplyToken, _: Answered) -> Result<(), SendError> {
        self.network.change(|state| state.leave_unanswered(token)).map_err(SendError::refused)
    }

    fn is_rehearsal(&self) -> bool {
        true
    }

    fn capabilities(&self) -> Capabilities {
        self.network.lock().capabilities
    }

    fn delivery_mode(&self) -> DeliveryMode {
        DeliveryMode::KeptInMemory { how: "a queue in memory".to_owned() }
    }

    async fn download(&self, attachment: &Attachment, limit_bytes: usize) -> Result<Bytes> {
        let id = &attachment.id;
        let Some(file) = self.file(id) else {
            let limit = log::LIMIT_FILE_BYTES >> 20;
            return Err(Error::from(DownloadError::gone())
                .context(format!("file `{id}` is not there any more"))
                .with_hint(format!("the sandbox keeps {limit} MiB; the oldest files go first")));
        };
        let size = file.bytes.len();
        if size > limit_bytes {
            return Err(Error::from(DownloadError::too_large(limit_bytes))
                .context(format!("file `{id}` has {size} bytes, more than the limit")));
        }
        Ok(file.bytes)
    }
}

impl Sandbox {
    /// Waits until the bot has taken everything that people did.
    pub(crate) async fn delivered(&self) {
        loop {
            // Registered before looking, so that a departure between the two is not missed.
            let mut departed = std::pin::pin!(self.network.departure.notified());
            departed.as_mut().enable();
            if self.network.lock().pending.is_empty() {
                return;
            }
            departed.await;
        }
    }

    /// Hands pending events to the bot, in order, for as long as it is polled.
    ///
    /// An event stays pending until the journal has it: dropping this future repeats some, which the journal knows,
    /// and loses none.
    async fn deliver(&self, inbox: &Inbox) {
        // Conversations of which the bot takes nothing for now. Others go on.
        let mut refused: Vec<Conversation> = Vec::new();
        loop {
            let (events, is_empty) = {
                let state = self.network.lock();
                let others = state.pending.iter().filter(|event| !refused.contains(event.conversation()));
                (others.take(LIMIT_TOGETHER).cloned().collect::<Vec<_>>(), state.pending.is_empty())
            };
            if is_empty {
                refused.clear();
                self.network.arrival.notified().await;
                continue;
            }
            let offered = events.len();
            let (gone, is_full) = accept_in_order(inbox, events, &mut refused).await;
            self.network.lock().pending.retain(|event| !gone.contains(event.id()));
            self.network.departure.notify_waiters();
            if is_full || offered == 0 {
                refused.clear();
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Offers events together. Returns which are gone, because they were taken or are too large for ever, and whether the bot
/// takes nothing at all. After a refusal nothing of the same conversation overtakes the refused one.
async fn accept_in_order(
    inbox: &Inbox,
    events: Vec<Event>,
    refused: &mut Vec<Conversation>,
) -> (HashSet<String>, bool) {
    let mut answers = Vec::with_capacity(events.len());
    let mut is_full = false;
    for event in events {
        let (id, conversation) = (event.id().to_owned(), event.conversation().clone());
        if refused.contains(&conversation) {
            continue;
        }
        let mut answer = Box::pin(inbox.accept(event));
        // The first poll hands the event over.
        let taken: Pin<Box<dyn Future<Output = bool> + Send>> = match futures_util::poll!(&mut answer) {
            Poll::Pending => Box::pin(async { answer.await.is_ok() }),
            Poll::Ready(Err(error)) if error.is_of_one() => {
                refused.push(conversation);
                continue;
            }
            Poll::Ready(Err(error)) if !error.is_too_large() => {
                is_full = true;
                break;
            }
            Poll::Ready(_) => Box::pin(ready(true)),
        };
        answers.push(async { taken.await.then_some(id) });
    }
    // One that a stop cuts off stays, and is repeated to the next bot, whose journal may know it.
    let answers = join_all(answers).await;
    is_full |= answers.contains(&None);
    (answers.into_iter().flatten().collect(), is_full)
}

/// Tells everybody that a bot is there, until it is dropped.
struct Connection<'a>(&'a Network);

impl<'a> Connection<'a> {
    fn new(network: &'a Network) -> Self {
        network.change(|state| state.count_bots(state.bots + 1));
        Self(network)
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.count_bots(state.bots - 1));
    }
}

impl State {
    fn count_bots(&mut self, bots: usize) {
        let was_connected = self.bots > 0;
        self.bots = bots;
        let is_connected = bots > 0;
        if was_connected == is_connected {
            return;
        }
        self.recent.push(Change::Bot { is_connected });
        if !is_connected {
            let bot = self.bot.clone();
            let rooms: Vec<Conversation> = self.rooms.iter().map(|room| room.conversation.clone()).collect();
            for room in rooms {
                self.set_typing(&bot, &room, false);
            }
        }
    }
}

/// What the bot does, under the lock.
impl State {
    /// Carries out what the bot asked for.
    fn carry_out(&mut self, outbound: &Outbound) -> Result<Sent, No> {
        let conversation = self.room(outbound.conversation.id())?.conversation.clone();
        let bot = self.bot.clone();
        match &outbound.action {
            Action::Send(draft) => {
                return self.post_answer(outbound, draft.clone());
            }
            Action::Edit { target, draft } => {
                self.is_in(target, &conversation)?;
                self.edit(&bot, target, draft.clone())?;
            }
            Action::React { target, emoji, is_removed } => {
                self.is_in(target, &conversation)?;
                self.react(&bot, target, emoji, *is_removed)?;
            }
            Action::Delete { target } => {
                self.is_in(target, &conversation)?;
                self.delete(&bot, target)?;
            }
            Action::Typing { is_started } => {
                self.set_typing(&bot, &conversation, *is_started);
            }
        }
        Ok(Sent::done())
    }

    fn is_in(&self, target: &MessageId, conversation: &Conversation) -> Result<(), No> {
        if self.standing(target)?.conversation == *conversation {
            return Ok(());
        }
        let (target, conversation) = (target.as_str(), conversation.id());
        Err(format!("message `{target}` is not in the conversation `{conversation}`"))
    }
}

/// `1 group`, `2 groups`.
fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use crate::sandbox::Sandbox;
    use crate::transport::{Start, Transport};

    #[tokio::test]
    async fn the_first_line_counts_as_people_do() {
        assert_eq!(
            Transport::open(&Sandbox::new(), &Start::default()).await.unwrap(),
            "3 people and 1 group in memory"
        );
        assert_eq!(
            Transport::open(&Sandbox::empty(), &Start::default()).await.unwrap(),
            "0 people and 0 groups in memory"
        );
    }
}
