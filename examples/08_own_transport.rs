//! A network of one's own: lines of text over TCP. Try it with `nc 127.0.0.1 7777`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use evenkeel::transport::{FreshIds, Inbox, SendError, Sent, Start};
use evenkeel::{
    Action, Conversation, Error, Event, Message, MessageId, Outbound, Result, Router, Sender, Transport,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Each connection is a conversation, named by its address.
struct Lines {
    listener: TcpListener,
    /// The writing half of each connection, taken while something is being written.
    people: Mutex<HashMap<String, OwnedWriteHalf>>,
    /// Lines have no names of their own.
    ids: FreshIds,
}

impl Lines {
    async fn bind(address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, people: Mutex::default(), ids: FreshIds::new() })
    }

    fn join(&self, stream: TcpStream, address: SocketAddr) -> OwnedReadHalf {
        let (reading, writing) = stream.into_split();
        self.people().insert(address.to_string(), writing);
        reading
    }

    /// Reads lines until the person leaves.
    async fn read(&self, reading: OwnedReadHalf, address: SocketAddr, inbox: &Inbox) {
        let who = address.to_string();
        let mut lines = BufReader::new(reading).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let id = self.ids.fresh();
            let what = Message::text(id.as_str(), line);
            let event =
                Event::new(id.as_str(), Conversation::direct(who.as_str()), Sender::new(who.as_str()), what);
            // Waiting here is right: TCP holds the person's next line back for us.
            if inbox.accept(event).await.is_err() {
                break;
            }
        }
        self.people().remove(&who);
    }

    fn people(&self) -> std::sync::MutexGuard<'_, HashMap<String, OwnedWriteHalf>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    async fn open(&self, _: &Start<'_>) -> Result<String> {
        Ok(format!("try it with: nc {}", self.listener.local_addr()?.to_string().replace(':', " ")))
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let mut readers = Vec::new();
        loop {
            // The readers are polled here and dropped with this future: nobody needs to own a task.
            let next = {
                let accepting = std::pin::pin!(self.listener.accept());
                wait_for_either(accepting, &mut readers).await
            };
            let (stream, address) = next.map_err(Error::from)?;
            let reading = self.join(stream, address);
            let inbox = inbox.clone();
            readers.push(Box::pin(async move { self.read(reading, address, &inbox).await }));
        }
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let Action::Send(draft) = &outbound.action else {
            return Err(SendError::refused("this network carries plain texts only"));
        };
        let who = outbound.conversation.id();
        let Some(mut writing) = self.people().remove(who) else {
            return Err(SendError::refused("the person has left"));
        };
        let line = draft.text.replace('\n', " ") + "\n";
        let written = writing.write_all(line.as_bytes()).await;
        self.people().insert(who.to_owned(), writing);
        written.map_err(|error| SendError::unknown("the connection broke").caused_by(error))?;
        Ok(Sent::message(MessageId::new(format!("{}.{}", outbound.key.sequence, outbound.key.index))))
    }
}

/// Polls the readers while waiting for somebody to connect.
async fn wait_for_either<T>(
    mut accepting: std::pin::Pin<&mut impl Future<Output = T>>,
    readers: &mut Vec<std::pin::Pin<Box<impl Future<Output = ()>>>>,
) -> T {
    std::future::poll_fn(|cx| {
        readers.retain_mut(|reader| reader.as_mut().poll(cx).is_pending());
        accepting.as_mut().poll(cx)
    })
    .await
}

async fn ping() -> &'static str {
    "pong"
}

pub(crate) fn app() -> Router {
    Router::new().command("!ping", ping)
}

#[tokio::main]
async fn main() -> Result<()> {
    evenkeel::serve(Lines::bind("127.0.0.1:7777").await?, app()).await
}

#[tokio::test]
async fn two_people_get_their_own_answers() {
    let lines = Lines::bind("127.0.0.1:0").await.expect("a free port");
    let address = lines.listener.local_addr().expect("bound");
    let bot = tokio::spawn(evenkeel::Bot::new(app()).transport(lines).in_memory().serve());
    for _ in 0..2 {
        let mut stream = BufReader::new(TcpStream::connect(address).await.expect("the bot listens"));
        stream.write_all(b"hello\n!ping\n").await.expect("connected");
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("connected");
        assert_eq!(line, "pong\n");
    }
    bot.abort();
}
