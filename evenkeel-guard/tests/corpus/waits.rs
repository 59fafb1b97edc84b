//! Processes, threads and locks.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use evenkeel_guard::Class::{Contention, Join, Process, Wait};

use crate::row::{Boxed, Row, Verdict, blocks, once_asleep, strict, thread_id, threads};

const SHORT: Duration = Duration::from_millis(1);

pub(crate) fn rows() -> Vec<Row> {
    vec![
        strict(30, "Command::status", blocks(Process, "std::process::Command::status"), || {
            Box::pin(async { assert!(here!(Command::new("true").status()).unwrap().success()) })
        }),
        strict(30, "Command::output", blocks(Process, "std::process"), || {
            Box::pin(async { assert!(here!(Command::new("true").output()).unwrap().status.success()) })
        }),
        strict(31, "Child::wait", blocks(Process, "std::process::Child::wait"), || {
            let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
            Box::pin(async move { assert!(here!(child.wait()).unwrap().success()) })
        }),
        strict(31, "Command with pre_exec", blocks(Process, "std::process::Command::status"), || {
            let mut command = Command::new("true");
            // SAFETY: the closure does nothing.
            unsafe { command.pre_exec(|| Ok(())) };
            Box::pin(async move { assert!(here!(command.status()).unwrap().success()) })
        }),
        // The standard library has one piece of code for both kinds of pipes.
        strict(31, "a child's output", blocks(Wait, "ChildStdout::read"), || {
            let mut child = Command::new("echo").stdout(Stdio::piped()).spawn().unwrap();
            let mut output = child.stdout.take().unwrap();
            assert!(child.wait().unwrap().success());
            Box::pin(async move { assert_eq!(here!(output.read(&mut [0; 8])).unwrap(), 1) })
        }),
        strict(34, "a pipe", blocks(Wait, "std::io::PipeReader::read"), || {
            let (mut reader, mut writer) = io::pipe().unwrap();
            writer.write_all(b"x").unwrap();
            Box::pin(async move { assert_eq!(here!(reader.read(&mut [0; 8])).unwrap(), 1) })
        }),
        strict(33, "spawn and join", blocks(Join, "std::thread::JoinHandle::join"), || {
            Box::pin(async { here!(thread::spawn(|| ()).join()).unwrap() })
        }),
        strict(34, "mpsc::Receiver::recv", blocks(Wait, "std::sync::mpsc"), || {
            let (tx, rx) = mpsc::channel();
            Box::pin(async move {
                once_asleep(thread_id(), move || tx.send(()).unwrap());
                here!(rx.recv()).unwrap();
            })
        }),
        strict(35, "Condvar::wait_timeout", blocks(Wait, "std::sync::Condvar::wait_timeout"), || {
            let pair = (Mutex::new(()), Condvar::new());
            Box::pin(async move {
                let guard = pair.0.lock().unwrap();
                drop(here!(pair.1.wait_timeout(guard, SHORT)).unwrap());
            })
        }),
        strict(36, "thread::park_timeout", blocks(Wait, "std::thread::park_timeout"), || {
            Box::pin(async { here!(thread::park_timeout(SHORT)) })
        }),
        strict(36, "futures::executor::block_on", blocks(Wait, "block_on"), || {
            let (tx, rx) = tokio::sync::oneshot::channel();
            Box::pin(async {
                once_asleep(thread_id(), || tx.send(()).unwrap());
                here!(futures_executor::block_on(rx)).unwrap();
            })
        }),
        threads(37, "Handle::block_on", blocks(Wait, "tokio::runtime::Handle::block_on"), || {
            let runtime = tokio::runtime::Handle::try_current();
            expect_none(runtime.is_err());
            Box::pin(async {
                let handle = tokio::runtime::Handle::current();
                here!(handle.block_on(tokio::time::sleep(SHORT)));
            })
        }),
        strict(38, "a lock that another thread holds", blocks(Contention, "std::sync::Mutex::lock"), || {
            contended(&Arc::new(Mutex::new(0)))
        }),
        strict(39, "a lock that nobody holds", Verdict::Fine, || {
            let (std, light) = (Mutex::new(0), parking_lot::Mutex::new(0));
            Box::pin(async move {
                for _ in 0..1000 {
                    *here!(std.lock()).unwrap() += 1;
                    *here!(light.lock()) += 1;
                }
            })
        }),
        strict(40, "a lock that is held for moments", Verdict::Gray, moments),
    ]
}

fn expect_none(is_outside: bool) {
    crate::row::expect(is_outside, || "the row is made outside of a runtime".to_owned());
}

/// Another thread holds the lock until this one sleeps.
fn contended(lock: &Arc<Mutex<u32>>) -> Boxed {
    let (lock, other) = (Arc::clone(lock), Arc::clone(lock));
    let (held, holds) = mpsc::channel();
    let (asks, asked) = mpsc::channel();
    thread::spawn(move || {
        let guard = other.lock().unwrap();
        held.send(()).unwrap();
        let thread_id = asked.recv().unwrap();
        let (asleep, sleeps) = mpsc::channel();
        once_asleep(thread_id, move || asleep.send(()).unwrap());
        sleeps.recv().unwrap();
        drop(guard);
    });
    holds.recv().unwrap();
    Box::pin(async move {
        asks.send(thread_id()).unwrap();
        *here!(lock.lock()).unwrap() += 1;
    })
}

fn moments() -> Boxed {
    let lock = Arc::new(Mutex::new(0));
    let other = Arc::clone(&lock);
    thread::spawn(move || {
        for _ in 0..1000 {
            *other.lock().unwrap() += 1;
        }
    });
    Box::pin(async move {
        // Each once: a place that waits time and again is to be told.
        *here!(lock.lock()).unwrap() += 1;
        black_box(&lock);
    })
}
