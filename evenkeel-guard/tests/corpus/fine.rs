//! What has to stay silent.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, SystemTime};
use std::{env, thread};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::row::{Boxed, Row, Verdict, scratch, strict, threads};

type Kind = fn() -> Boxed;

const SHORT: Duration = Duration::from_millis(1);

pub(crate) fn rows() -> Vec<Row> {
    let kinds: [(u8, &'static str, Kind); 12] = [
        (32, "tokio::process", process),
        (50, "sleep, yield_now and timeout of tokio", time),
        (51, "tokio::fs", files),
        (51, "tokio::net", network),
        (51, "tokio::net::lookup_host", lookup),
        (52, "spawn_blocking", spawn_blocking),
        (53, "a thread that sleeps by itself", detached),
        (54, "tokio::task::block_in_place", in_place_of_tokio),
        (54, "evenkeel_guard::block_in_place", in_place),
        (55, "functions named like those that block", names),
        (56, "what is always short", short),
        (46, "formatting, again", formatting),
    ];
    let strictly = kinds.into_iter().map(|(number, name, kind)| strict(number, name, Verdict::Fine, kind));
    let on_threads = kinds.into_iter().map(|(number, name, kind)| threads(number, name, Verdict::Fine, kind));
    strictly.chain(on_threads).collect()
}

/// All that a bot may do in any number.
pub(crate) fn kinds() -> [Kind; 6] {
    [time, files, network, spawn_blocking, short, formatting]
}

pub(crate) fn process() -> Boxed {
    Box::pin(async {
        let status = tokio::process::Command::new("true").status().await.unwrap();
        assert!(status.success());
    })
}

fn time() -> Boxed {
    Box::pin(async {
        tokio::time::sleep(SHORT).await;
        tokio::task::yield_now().await;
        let never = std::future::pending::<()>();
        assert!(tokio::time::timeout(SHORT, never).await.is_err());
    })
}

fn files() -> Boxed {
    let path = scratch("async");
    Box::pin(async move {
        tokio::fs::write(&path, "text").await.unwrap();
        assert_eq!(tokio::fs::read(&path).await.unwrap(), b"text");
        tokio::fs::remove_file(&path).await.unwrap();
    })
}

fn network() -> Boxed {
    Box::pin(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let far = tokio::spawn(async move {
            let (mut far, _) = listener.accept().await.unwrap();
            let mut byte = [0];
            far.read_exact(&mut byte).await.unwrap();
            far.write_all(&byte).await.unwrap();
        });
        let mut near = TcpStream::connect(address).await.unwrap();
        near.write_all(b"x").await.unwrap();
        near.read_exact(&mut [0]).await.unwrap();
        far.await.unwrap();
    })
}

fn lookup() -> Boxed {
    Box::pin(async { drop(tokio::net::lookup_host("localhost:80").await) })
}

fn spawn_blocking() -> Boxed {
    Box::pin(async {
        let read = tokio::task::spawn_blocking(|| std::fs::read("Cargo.toml")).await.unwrap();
        assert!(read.is_ok());
    })
}

fn detached() -> Boxed {
    Box::pin(async { drop(thread::spawn(|| thread::sleep(SHORT))) })
}

fn in_place_of_tokio() -> Boxed {
    Box::pin(async { tokio::task::block_in_place(|| thread::sleep(SHORT)) })
}

fn in_place() -> Boxed {
    Box::pin(async { evenkeel_guard::block_in_place(|| thread::sleep(SHORT)) })
}

/// Whose functions do nothing of the kind.
mod fs {
    pub(super) fn read(name: &str) -> u128 {
        name.len() as u128
    }

    pub(super) fn sleep(length: std::time::Duration) -> u128 {
        length.as_nanos()
    }
}

fn names() -> Boxed {
    Box::pin(async { assert!(black_box(fs::read("name")) < black_box(fs::sleep(SHORT))) })
}

fn short() -> Boxed {
    Box::pin(async {
        let mut map = HashMap::new();
        map.insert(SystemTime::now(), env::var("PATH"));
        drop(black_box((map, vec![1_u8; 1 << 20])));
    })
}

fn formatting() -> Boxed {
    Box::pin(async { drop(black_box((0..20).map(|n| format!("{n:?}")).collect::<Vec<_>>())) })
}
