//! At which line a future waits.

#![allow(clippy::redundant_async_block, reason = "it is the line of the author's that is looked for")]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use evenkeel_guard::{Asker, Executor, Label, Wait, awaited};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::sleep;

const LONG: Duration = Duration::from_secs(3600);

/// Polls a future until somebody has learned where it waits.
async fn waits(future: impl Future) -> Vec<Wait> {
    let (future, asker) = awaited(future);
    tokio::select! {
        _ = future => panic!("it has ended"),
        waits = asker.ask() => waits.expect("it has not ended"),
    }
}

/// The innermost line and what is awaited there, of each wait.
fn places(waits: &[Wait]) -> Vec<(u32, &str)> {
    let line = |wait: &Wait| wait.path.first().and_then(|frame| frame.line);
    waits.iter().map(|wait| (line(wait).unwrap_or(0), &*wait.call)).collect()
}

/// Checks that a future waits in one place.
async fn check(line: u32, call: &str, future: impl Future) {
    let waits = waits(future).await;
    assert_eq!(places(&waits), [(line, call)], "{waits:#?}");
    let file = waits[0].path[0].file.as_deref();
    assert!(file.is_some_and(|file| file.ends_with("tests/awaiting.rs")), "{file:?}");
}

#[tokio::test]
async fn each_leaf_of_tokio_names_the_line_that_awaits_it() {
    let (sender, mut receiver) = mpsc::channel::<()>(1);
    sender.try_send(()).expect("there is room");
    check(line!(), "tokio::sync::mpsc::Sender::send", async { sender.send(()).await }).await;
    receiver.recv().await.expect("one was sent");
    check(line!(), "tokio::sync::mpsc::Receiver::recv", async { receiver.recv().await }).await;
    let (_keep, mut receiver) = mpsc::unbounded_channel::<()>();
    check(line!(), "tokio::sync::mpsc::UnboundedReceiver::recv", async { receiver.recv().await }).await;
    let (_keep, receiver) = oneshot::channel::<()>();
    check(line!(), "tokio::sync::oneshot::Receiver", async { receiver.await }).await;
    let (_keep, mut receiver) = broadcast::channel::<()>(1);
    check(line!(), "tokio::sync::broadcast::Receiver::recv", async { receiver.recv().await }).await;
    let (_keep, mut receiver) = watch::channel(());
    check(line!(), "tokio::sync::watch::Receiver::changed", async { receiver.changed().await }).await;
    let lock = Mutex::new(());
    let _held = lock.lock().await;
    check(line!(), "tokio::sync::Mutex::lock", async { drop(lock.lock().await) }).await;
    check(line!(), "tokio::sync::Notify::notified", async { Notify::new().notified().await }).await;
    let none = Semaphore::new(0);
    check(line!(), "tokio::sync::Semaphore::acquire", async { drop(none.acquire().await) }).await;
    check(line!(), "tokio::time::sleep", async { sleep(LONG).await }).await;
    check(line!(), "tokio::task::JoinHandle", async { tokio::spawn(sleep(LONG)).await }).await;
    let mut set = tokio::task::JoinSet::new();
    set.spawn(sleep(LONG));
    check(line!(), "tokio::task::JoinSet::join_next", async { set.join_next().await }).await;
    let mut ticks = tokio::time::interval(LONG);
    ticks.tick().await;
    check(line!(), "tokio::time::Interval::tick", async { ticks.tick().await }).await;
}

#[tokio::test]
async fn sockets_name_the_line_that_awaits_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    check(line!(), "tokio::net::TcpListener::accept", async { listener.accept().await }).await;
    let address = listener.local_addr().expect("it is bound");
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (mut near, _far) = (near.expect("it listens"), far.expect("it connects"));
    let mut buffer = [0; 8];
    check(line!(), "tokio::io::AsyncReadExt::read", async { near.read(&mut buffer).await }).await;
    check(line!(), "tokio::io::AsyncReadExt::read_exact", async { near.read_exact(&mut buffer).await }).await;
    check(line!(), "tokio::net::TcpStream::readable", async { near.readable().await }).await;
}

async fn inner(mut orders: mpsc::Receiver<u32>) -> Option<u32> {
    orders.recv().await // INNER
}

async fn middle(orders: mpsc::Receiver<u32>) -> u32 {
    let order = inner(orders).await; // MIDDLE
    order.unwrap_or(0)
}

/// The line of this file that ends with a mark.
fn marked(mark: &str) -> u32 {
    let text = include_str!("awaiting.rs");
    let at = text.lines().position(|line| line.ends_with(mark)).expect("the mark is there");
    u32::try_from(at).expect("a short file") + 1
}

#[tokio::test]
async fn nested_functions_boxes_and_trait_objects_are_followed_outwards() {
    let (_keep, orders) = mpsc::channel(1);
    let boxed: Pin<Box<dyn Future<Output = u32> + Send>> = Box::pin(middle(orders));
    let (line, waits) = (line!(), waits(async move { boxed.await }).await);
    let frames: Vec<_> =
        waits[0].path.iter().map(|frame| (frame.line.expect("a line"), frame.to_string())).collect();
    assert_eq!(waits[0].call, "tokio::sync::mpsc::Receiver::recv");
    let lines: Vec<_> = frames.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [marked("// INNER"), marked("// MIDDLE"), line], "{frames:?}");
    assert!(
        frames[0].1.contains("awaiting::inner (") && frames[1].1.contains("awaiting::middle ("),
        "{frames:?}"
    );
    let text = waits[0].to_string();
    let begin = format!("awaiting.rs:{} in tokio::sync::mpsc::Receiver::recv <- awaiting::inner (", lines[0]);
    assert!(text.starts_with("at ") && text.contains(&begin), "{text}");
}

#[tokio::test]
async fn each_branch_of_join_and_select_is_a_wait() {
    let (_keep, receiver) = oneshot::channel::<()>();
    let (_keep_too, orders) = mpsc::channel(1);
    let all = async {
        tokio::join!(receiver, middle(orders), sleep(LONG)) // JOIN
    };
    let join = marked("// JOIN");
    let expected = [
        (marked("// INNER"), "tokio::sync::mpsc::Receiver::recv"),
        (join, "tokio::sync::oneshot::Receiver"),
        (join, "tokio::time::sleep"),
    ];
    let found = waits(all).await;
    let mut places = places(&found);
    // Which branch is polled first changes from poll to poll.
    places.sort_unstable();
    assert_eq!(places, expected, "{found:#?}");
    let (_keep, receiver) = oneshot::channel::<()>();
    let either = async {
        tokio::select! {
            _ = receiver => {}
            () = sleep(LONG) => {}
        }
    };
    let mut calls: Vec<_> = waits(either).await.into_iter().map(|wait| wait.call).collect();
    calls.sort();
    assert_eq!(calls, ["tokio::sync::oneshot::Receiver", "tokio::time::sleep"]);
}

#[tokio::test]
async fn what_a_timeout_limits_is_named_and_not_its_clock() {
    let (_keep, receiver) = oneshot::channel::<()>();
    let call = "tokio::sync::oneshot::Receiver";
    check(line!(), call, async { tokio::time::timeout(LONG, receiver).await }).await;
    let silent = std::future::pending::<()>();
    check(line!(), "tokio::time::timeout", async { tokio::time::timeout(LONG, silent).await }).await;
}

#[tokio::test]
async fn a_set_of_futures_is_named_where_it_is_awaited() {
    let mut set: FuturesUnordered<_> = (0..3).map(|_| sleep(LONG)).collect();
    check(line!(), "futures::stream::FuturesUnordered", async { set.next().await }).await;
}

#[tokio::test]
async fn many_waits_are_told_in_part() {
    let all = futures_util::future::join_all(
        (0..20).map(|n| async move { sleep(LONG + Duration::from_secs(n)).await }),
    );
    let found = waits(all).await;
    assert_eq!(found.len(), 1, "one line is one wait: {found:#?}");
}

#[tokio::test]
async fn a_future_of_the_authors_own_is_named_by_its_function() {
    let mut kept: Option<Waker> = None;
    let own = async {
        // OWN
        poll_fn(|cx| {
            kept = Some(cx.waker().clone()); // CLONED
            Poll::<()>::Pending
        })
        .await;
    };
    let found = waits(own).await;
    assert_eq!(found[0].path[0].line, Some(marked("// CLONED")), "{found:#?}");
}

#[tokio::test]
async fn a_future_that_has_ended_has_nothing_to_tell() {
    let (future, asker) = awaited(async { 7 });
    assert_eq!(future.await, 7);
    assert_eq!(asker.ask().await, None);
    let (future, asker) = awaited(sleep(LONG));
    let asked = asker.clone();
    let asked = tokio::spawn(async move { asked.ask().await });
    tokio::task::yield_now().await;
    drop(future);
    assert_eq!(asked.await.expect("no panic"), None, "it was dropped while somebody asked");
    assert_eq!(asker.ask().await, None);
}

#[tokio::test]
async fn all_who_ask_at_once_are_answered_by_one_poll() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let mut sleeping = Box::pin(sleep(LONG));
    let (future, asker) = awaited(poll_fn(move |cx| {
        counted.fetch_add(1, SeqCst);
        sleeping.as_mut().poll(cx)
    }));
    let task = tokio::spawn(future);
    tokio::task::yield_now().await;
    assert_eq!(polls.load(SeqCst), 1);
    let asking = futures_util::future::join_all((0..5).map(|_| asker.ask())).await;
    assert!(asking.iter().all(|waits| waits.as_ref().is_some_and(|waits| waits.len() == 1)), "{asking:#?}");
    assert_eq!(polls.load(SeqCst), 2);
    task.abort();
}

#[tokio::test]
async fn who_asks_before_the_first_poll_is_answered_by_it() {
    let asker = Asker::new();
    let asked = asker.clone();
    let asked = tokio::spawn(async move { asked.ask().await });
    tokio::task::yield_now().await;
    let task = tokio::spawn(asker.attach(sleep(LONG)));
    let waits = asked.await.expect("no panic").expect("it has not ended");
    let call = waits.first().map(|wait| (&*wait.call, wait.path.len()));
    assert_eq!(call, Some(("tokio::time::sleep", 0)), "no line of an author is in it");
    task.abort();
}

#[tokio::test]
async fn a_future_goes_on_as_ever_after_it_was_asked() {
    let (send, receiver) = oneshot::channel();
    let (future, asker) = awaited(async { receiver.await });
    let task = tokio::spawn(future);
    for _ in 0..3 {
        assert_eq!(asker.ask().await.map(|waits| waits.len()), Some(1));
    }
    send.send(5).expect("it waits");
    assert_eq!(task.await.expect("no panic"), Ok(5));
}

#[test]
fn on_the_executor_a_waiting_task_tells_its_line_while_another_blocks() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let executor = Executor::threads(runtime.handle().clone(), 1);
    let (_keep, orders) = mpsc::channel(1);
    let (future, asker) = awaited(middle(orders));
    let task = executor.spawn(&Label::new("order"), async move {
        let _order = future.await;
    });
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (blocking, other) = awaited(async move {
        let _ended = held.recv();
    });
    executor.spawn(&Label::new("blocking"), blocking).detach();
    let waits = runtime.block_on(asker.ask()).expect("it has not ended");
    assert_eq!(places(&waits), [(marked("// INNER"), "tokio::sync::mpsc::Receiver::recv")]);
    drop(release);
    assert_eq!(runtime.block_on(other.ask()), None, "what blocked has no line, and ends");
    drop(task);
}

/// Counts who keeps it.
struct Kept;

impl Wake for Kept {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn the_last_asker_takes_the_waker_along() {
    let kept = Arc::new(Kept);
    let waker = Waker::from(Arc::clone(&kept));
    let mut cx = std::task::Context::from_waker(&waker);
    let (future, asker) = awaited(std::future::pending::<()>());
    let mut future = Box::pin(future);
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert_eq!(Arc::strong_count(&kept), 3, "the door has one");
    drop(asker.clone());
    assert_eq!(Arc::strong_count(&kept), 3);
    drop(asker);
    assert_eq!(Arc::strong_count(&kept), 2, "a task must not keep itself");
    let other = Waker::from(Arc::new(Kept));
    assert!(future.as_mut().poll(&mut std::task::Context::from_waker(&other)).is_pending());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert_eq!(Arc::strong_count(&kept), 2);
}

#[test]
fn without_a_runtime_it_is_looked_up_on_a_thread_of_its_own() {
    let (future, asker) = awaited(async {
        let (_keep, receiver) = oneshot::channel::<()>();
        drop(receiver.await); // BARE
    });
    let waits = futures_executor::block_on(async {
        let (future, asked) = (std::pin::pin!(future), std::pin::pin!(asker.ask()));
        match futures_util::future::select(future, asked).await {
            futures_util::future::Either::Right((waits, _)) => waits,
            futures_util::future::Either::Left(_) => panic!("it has ended"),
        }
    });
    let waits = waits.expect("it has not ended");
    assert_eq!(places(&waits), [(marked("// BARE"), "tokio::sync::oneshot::Receiver")]);
}
