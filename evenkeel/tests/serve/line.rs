//! A transport whose other side is the test.

use std::sync::Arc;
use std::time::Duration;

use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{
    Action, Conversation, Error, Event, EventKind, Message, MessageId, Outbound, Result, Sender, Transport,
};
use tokio::sync::{Mutex, mpsc};

/// What the transport does with one send.
pub(crate) type Answer = Box<dyn Fn(&Outbound) -> Result<Sent, SendError> + Send + Sync>;

/// The bot's side.
pub(crate) struct Line {
    incoming: Mutex<mpsc::UnboundedReceiver<Event>>,
    outgoing: mpsc::UnboundedSender<(String, String)>,
    answer: Answer,
    pause: Duration,
}

/// The test's side.
pub(crate) struct Far {
    events: mpsc::UnboundedSender<Event>,
    pub(crate) replies: mpsc::UnboundedReceiver<(String, String)>,
    count: u64,
}

pub(crate) fn line() -> (Line, Far) {
    line_with(Duration::ZERO, Box::new(|_| Ok(Sent::message(MessageId::new("sent")))))
}

/// A line whose sends take `pause` and end as `answer` says.
pub(crate) fn line_with(pause: Duration, answer: Answer) -> (Line, Far) {
    let (events, incoming) = mpsc::unbounded_channel();
    let (outgoing, replies) = mpsc::unbounded_channel();
    (Line { incoming: Mutex::new(incoming), outgoing, answer, pause }, Far { events, replies, count: 0 })
}

impl Far {
    pub(crate) fn say(&mut self, who: &str, text: &str) {
        self.count += 1;
        let id: Arc<str> = self.count.to_string().into();
        self.repeat(&id, who, text);
    }

    pub(crate) fn repeat(&self, id: &str, who: &str, text: &str) {
        let what = Message::text(id, text);
        self.events.send(Event::new(id, Conversation::direct(who), Sender::new(who), what)).unwrap();
    }

    pub(crate) fn send(&self, event: Event) {
        self.events.send(event).unwrap();
    }

    /// Does something that is no message.
    pub(crate) fn act(&mut self, who: &str, what: impl Into<EventKind>) {
        self.count += 1;
        let id: Arc<str> = self.count.to_string().into();
        let (conversation, sender) = (Conversation::direct(who), Sender::new(who));
        self.events.send(Event::new(id, conversation, sender, what)).unwrap();
    }

    /// Somebody sends a message with a file, for example.
    pub(crate) fn post(&mut self, who: &str, message: Message) {
        self.count += 1;
        let id = self.count.to_string();
        self.events.send(Event::new(id, Conversation::direct(who), Sender::new(who), message)).unwrap();
    }

    pub(crate) async fn reply(&mut self) -> (String, String) {
        self.replies.recv().await.expect("the bot is running")
    }

    /// Ends the source, as a network that closes for good.
    pub(crate) fn hang_up(self) -> mpsc::UnboundedReceiver<(String, String)> {
        self.replies
    }
}

impl Transport for Line {
    fn name(&self) -> &'static str {
        "line"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let mut incoming = self.incoming.lock().await;
        while let Some(event) = incoming.recv().await {
            inbox.push(event).map_err(|_| Error::new("the inbox is full"))?;
        }
        Ok(())
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        let sent = (self.answer)(outbound)?;
        let text = match &outbound.action {
            Action::Send(draft) => draft.text.clone(),
            other => format!("{other:?}"),
        };
        let _listened = self.outgoing.send((outbound.conversation.id().to_owned(), text));
        Ok(sent)
    }
}
