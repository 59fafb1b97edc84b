//! A bot to which the network says what it has to say by itself: threads beside it hand that to its handle, in batches, and the network
//! hears `ok` once it is kept. What was not acknowledged comes again, after a kill to the next process.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::{Receiver, Sender, channel};

use evenkeel::{Conversation, Handle, Reply};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::promises::run;

/// The variable that makes it such a bot. With the value `nameless` nothing of it has an id: a mistake, which has to be seen.
pub(crate) const OUTSIDE: &str = "BENCH_OUTSIDE";

const THREADS: u64 = 4;
/// So much is said by one call.
const BATCH: usize = 100;

/// What is to be said.
struct Order {
    id: String,
    conversation: String,
    text: String,
}

/// The threads. They end with the bot, or with this.
pub(crate) struct Outside(Vec<Sender<Order>>);

impl Outside {
    /// Begins, where the environment says so; what is kept comes out at the other end, by id.
    pub(crate) fn from_env(handle: &Handle) -> Option<(Self, UnboundedReceiver<String>)> {
        let is_named = std::env::var(OUTSIDE).ok()? != "nameless";
        let (kept, ids) = unbounded_channel();
        let threads = (0..THREADS).map(|_| {
            let (order, orders) = channel();
            let (handle, kept) = (handle.clone(), kept.clone());
            std::thread::spawn(move || say(&handle, &orders, &kept, is_named));
            order
        });
        Some((Self(threads.collect()), ids))
    }

    /// Hands over `ID CONVERSATION TEXT`. One conversation is always one thread's.
    pub(crate) fn order(&self, id: &str, conversation: &str, text: &str) {
        let mut hasher = DefaultHasher::new();
        conversation.hash(&mut hasher);
        let order = Order { id: id.to_owned(), conversation: conversation.to_owned(), text: text.to_owned() };
        if let Some(thread) = self.0.get((hasher.finish() % THREADS) as usize) {
            // One that has ended has heard that the bot has.
            let _taken = thread.send(order);
        }
    }
}

fn say(handle: &Handle, orders: &Receiver<Order>, kept: &UnboundedSender<String>, is_named: bool) {
    while let Ok(first) = orders.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(orders.try_iter().take(BATCH - 1)).collect();
        let all = batch.iter().map(|order| {
            let sending = handle.to(&Conversation::direct(&*order.conversation)).send(answer(&order.text));
            if is_named { sending.with_id(&*order.id) } else { sending }
        });
        if handle.send_all(all).wait().is_err() {
            return;
        }
        // The network may have gone.
        batch.into_iter().for_each(|order| kept.send(order.id).unwrap_or_default());
    }
}

/// What is said, in the words of the commands that would have answered.
fn answer(text: &str) -> Reply {
    let (command, token) = text.split_once(' ').unwrap_or(("", text));
    let run = run();
    match command {
        "!two" => Reply::text(format!("first {token} r{run}")).and(format!("second {token} r{run}")),
        "!now" => Reply::text(format!("now {token} r{run}")).and(format!("then {token} r{run}")),
        _ => Reply::text(format!("said {token} r{run}")),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_is_what_the_commands_would_answer() {
    for (text, words) in
        [("!echo t1e", &["said"][..]), ("!two t1e", &["first", "second"]), ("!fail t1e", &["said"])]
    {
        let chat_words: Vec<_> = answer(text)
            .actions()
            .iter()
            .map(|action| match action {
                evenkeel::Action::Send(draft) => draft.text.split(' ').next().unwrap_or_default().to_owned(),
                other => panic!("no text: {other:?}"),
            })
            .collect();
        assert_eq!(chat_words, words, "{text}");
    }
}
