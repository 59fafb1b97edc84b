//! Channels: those that keep a thread waiting, and those that are awaited.

use std::thread;

use evenkeel_guard::Class::{Sleep, Wait};

use crate::row::{Row, SHORT, blocks, harmless, here, once_asleep};

/// Items that go through each channel of a harmless row.
const ITEMS: u32 = 100;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = receiving_rows();
    rows.extend(sending_rows());
    rows.extend(harmless_rows());
    rows.extend(plain_thread_rows());
    rows
}

/// Waits for what another thread sends once this one is asleep.
fn receiving_rows() -> Vec<Row> {
    vec![
        blocks("std", "mpsc::Receiver::recv", Wait, || {
            let (tx, rx) = std::sync::mpsc::channel();
            let asleep = once_asleep(move || tx.send(7).unwrap());
            async move {
                asleep.here();
                here!(rx.recv()).unwrap()
            }
        }),
        blocks("std", "mpsc::Receiver::recv_timeout", Wait, || {
            let (tx, rx) = std::sync::mpsc::channel::<u32>();
            async move {
                let is_none = here!(rx.recv_timeout(SHORT)).is_err();
                drop(tx);
                is_none
            }
        }),
        blocks("std", "a loop over mpsc::Receiver", Wait, || {
            let (tx, rx) = std::sync::mpsc::sync_channel(1);
            thread::spawn(move || {
                (0..5).for_each(|number| {
                    thread::sleep(SHORT);
                    tx.send(number).unwrap();
                });
            });
            async move { here!(rx.iter().sum::<u32>()) }
        }),
        blocks("crossbeam-channel", "recv", Wait, || {
            let (tx, rx) = crossbeam_channel::unbounded();
            let asleep = once_asleep(move || tx.send(7).unwrap());
            async move {
                asleep.here();
                here!(rx.recv()).unwrap()
            }
        }),
        blocks("crossbeam-channel", "after", Sleep, || async {
            here!(crossbeam_channel::after(SHORT).recv()).is_ok()
        }),
        blocks("crossbeam-channel", "Select", Wait, || {
            let (one, other) = (crossbeam_channel::bounded(1), crossbeam_channel::bounded::<u32>(1));
            let asleep = once_asleep(move || one.0.send(7).unwrap());
            async move {
                asleep.here();
                let mut select = crossbeam_channel::Select::new();
                select.recv(&one.1);
                select.recv(&other.1);
                let selected = here!(select.select());
                let number = selected.recv(&one.1).unwrap();
                drop(other);
                number
            }
        }),
        blocks("flume", "recv", Wait, || {
            let (tx, rx) = flume::unbounded();
            let asleep = once_asleep(move || tx.send(7).unwrap());
            async move {
                asleep.here();
                here!(rx.recv()).unwrap()
            }
        }),
        blocks("kanal", "recv", Wait, || {
            let (tx, rx) = kanal::unbounded();
            let asleep = once_asleep(move || tx.send(7).unwrap());
            async move {
                asleep.here();
                here!(rx.recv()).unwrap()
            }
        }),
        blocks("async-channel", "recv_blocking", Wait, || {
            let (tx, rx) = async_channel::unbounded();
            let asleep = once_asleep(move || tx.try_send(7).unwrap());
            async move {
                asleep.here();
                here!(rx.recv_blocking()).unwrap()
            }
        }),
        blocks("oneshot", "recv", Wait, || {
            let (tx, rx) = oneshot::channel();
            let asleep = once_asleep(move || tx.send(7).unwrap());
            async move {
                asleep.here();
                here!(rx.recv()).unwrap()
            }
        }),
        blocks("tokio", "mpsc::Receiver::blocking_recv", Wait, || {
            let (tx, mut rx) = tokio::sync::mpsc::channel(1);
            let asleep = once_asleep(move || tx.try_send(7).unwrap());
            async move {
                asleep.here();
                here!(rx.blocking_recv()).unwrap()
            }
        })
        .outside_tokio(),
    ]
}

/// Waits for room in a channel that is full.
fn sending_rows() -> Vec<Row> {
    vec![
        blocks("std", "mpsc::SyncSender::send", Wait, || {
            let (tx, rx) = std::sync::mpsc::sync_channel(1);
            tx.send(1).unwrap();
            let asleep = once_asleep(move || rx.iter().take(2).for_each(drop));
            async move {
                asleep.here();
                here!(tx.send(2)).unwrap();
            }
        }),
        blocks("crossbeam-channel", "send", Wait, || {
            let (tx, rx) = crossbeam_channel::bounded(1);
            tx.send(1).unwrap();
            let asleep = once_asleep(move || rx.iter().take(2).for_each(drop));
            async move {
                asleep.here();
                here!(tx.send(2)).unwrap();
            }
        }),
        blocks("flume", "send", Wait, || {
            let (tx, rx) = flume::bounded(1);
            tx.send(1).unwrap();
            let asleep = once_asleep(move || rx.iter().take(2).for_each(drop));
            async move {
                asleep.here();
                here!(tx.send(2)).unwrap();
            }
        }),
        blocks("kanal", "send", Wait, || {
            let (tx, rx) = kanal::bounded(1);
            tx.send(1).unwrap();
            let asleep = once_asleep(move || {
                rx.recv().unwrap();
                rx.recv().unwrap();
            });
            async move {
                asleep.here();
                here!(tx.send(2)).unwrap();
            }
        }),
        blocks("async-channel", "send_blocking", Wait, || {
            let (tx, rx) = async_channel::bounded(1);
            tx.try_send(1).unwrap();
            let asleep = once_asleep(move || {
                rx.recv_blocking().unwrap();
                rx.recv_blocking().unwrap();
            });
            async move {
                asleep.here();
                here!(tx.send_blocking(2)).unwrap();
            }
        }),
        blocks("tokio", "mpsc::Sender::blocking_send", Wait, || {
            let (tx, mut rx) = tokio::sync::mpsc::channel(1);
            tx.try_send(1).unwrap();
            let asleep = once_asleep(move || {
                rx.blocking_recv().unwrap();
                rx.blocking_recv().unwrap();
            });
            async move {
                asleep.here();
                here!(tx.blocking_send(2)).unwrap();
            }
        })
        .outside_tokio(),
    ]
}

/// One task sends, the other receives.
fn harmless_rows() -> Vec<Row> {
    vec![
        harmless("tokio", "sync::mpsc", || async {
            let (tx, mut rx) = tokio::sync::mpsc::channel(1);
            let task = tokio::spawn(async move {
                for number in 0..ITEMS {
                    tx.send(number).await.unwrap();
                }
            });
            let mut sum = 0;
            while let Some(number) = rx.recv().await {
                sum += number;
            }
            task.await.unwrap();
            sum
        }),
        harmless("tokio", "sync::broadcast and watch", || async {
            let (tx, mut rx) = tokio::sync::broadcast::channel(8);
            let (changes, mut changed) = tokio::sync::watch::channel(0);
            let task = tokio::spawn(async move {
                let mut sum = 0;
                while let Ok(number) = rx.recv().await {
                    sum += number;
                    changes.send_replace(number);
                }
                sum
            });
            for number in 0..ITEMS {
                tx.send(number).unwrap();
                let is_seen = |seen: &u32| *seen == number;
                changed.wait_for(is_seen).await.unwrap();
            }
            drop(tx);
            task.await.unwrap()
        }),
        harmless("flume", "send_async and recv_async", || async {
            let (tx, rx) = flume::bounded(1);
            let task = tokio::spawn(async move {
                for number in 0..ITEMS {
                    tx.send_async(number).await.unwrap();
                }
            });
            let mut sum = 0;
            while let Ok(number) = rx.recv_async().await {
                sum += number;
            }
            task.await.unwrap();
            sum
        }),
        harmless("kanal", "bounded_async", || async {
            let (tx, rx) = kanal::bounded_async(1);
            let task = tokio::spawn(async move {
                for number in 0..ITEMS {
                    tx.send(number).await.unwrap();
                }
            });
            let mut sum = 0;
            while let Ok(number) = rx.recv().await {
                sum += number;
            }
            task.await.unwrap();
            sum
        }),
        harmless("async-channel", "send and recv", || async {
            let (tx, rx) = async_channel::bounded(1);
            let task = tokio::spawn(async move {
                for number in 0..ITEMS {
                    tx.send(number).await.unwrap();
                }
            });
            let mut sum = 0;
            while let Ok(number) = rx.recv().await {
                sum += number;
            }
            task.await.unwrap();
            sum
        }),
        harmless("futures", "channel::mpsc", || async {
            let (mut tx, mut rx) = futures::channel::mpsc::channel(1);
            let task = tokio::spawn(async move {
                use futures::SinkExt;
                for number in 0..ITEMS {
                    tx.send(number).await.unwrap();
                }
            });
            let mut sum = 0;
            while let Some(number) = futures::StreamExt::next(&mut rx).await {
                sum += number;
            }
            task.await.unwrap();
            sum
        }),
        harmless("crossbeam-channel", "try_send and try_recv", || async {
            let (tx, rx) = crossbeam_channel::unbounded();
            for number in 0..ITEMS {
                tx.try_send(number).unwrap();
                tokio::task::yield_now().await;
            }
            rx.try_iter().sum::<u32>()
        }),
    ]
}

/// A plain thread sends, a task receives.
fn plain_thread_rows() -> Vec<Row> {
    vec![
        harmless("flume", "recv_async from a plain thread", || async {
            let (tx, rx) = flume::bounded(1);
            let sender = move || (0..ITEMS).for_each(|number| tx.send(number).unwrap());
            thread::spawn(sender);
            let mut sum = 0;
            while let Ok(number) = rx.recv_async().await {
                sum += number;
            }
            sum
        }),
        harmless("kanal", "to_async from a plain thread", || async {
            let (tx, rx) = kanal::bounded(1);
            let rx = rx.to_async();
            let sender = move || (0..ITEMS).for_each(|number| tx.send(number).unwrap());
            thread::spawn(sender);
            let mut sum = 0;
            while let Ok(number) = rx.recv().await {
                sum += number;
            }
            sum
        }),
        harmless("async-channel", "recv from a plain thread", || async {
            let (tx, rx) = async_channel::bounded(1);
            let sender = move || (0..ITEMS).for_each(|number| tx.send_blocking(number).unwrap());
            thread::spawn(sender);
            let mut sum = 0;
            while let Ok(number) = rx.recv().await {
                sum += number;
            }
            sum
        }),
        harmless("tokio", "mpsc::recv from a plain thread", || async {
            let (tx, mut rx) = tokio::sync::mpsc::channel(1);
            let sender = move || (0..ITEMS).for_each(|number| tx.blocking_send(number).unwrap());
            thread::spawn(sender);
            let mut sum = 0;
            while let Some(number) = rx.recv().await {
                sum += number;
            }
            sum
        }),
        harmless("oneshot", "awaited, from a plain thread", || async {
            let (tx, rx) = oneshot::channel();
            thread::spawn(move || tx.send(7).unwrap());
            rx.await.unwrap()
        }),
    ]
}
