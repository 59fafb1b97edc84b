//! What is said when nothing comes back, and that nothing stays behind.

use std::future::Future;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Waker};
use std::time::Duration;

use evenkeel_guard::isolate::isolate;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

use super::{Alive, again, is_gone, listen, stay, word};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_panic_comes_back_with_its_message() {
    let error = isolate(|number: u32| -> u32 { panic!("no such number: {number}") }, 7).await.unwrap_err();
    assert_eq!(error.panic(), Some("no such number: 7"));
    assert_eq!(error.to_string(), "the isolated function panicked: no such number: 7");
    assert!(!error.is_timeout() && !error.is_killed() && !error.is_unstarted() && !error.is_unreadable());
}

#[tokio::test]
async fn a_death_by_signal_is_told() {
    let aborted = isolate(|()| -> () { std::process::abort() }, ()).await.unwrap_err();
    assert_eq!((aborted.signal(), aborted.is_killed()), (Some(libc::SIGABRT), true));
    assert!(aborted.to_string().contains("signal 6 (SIGABRT)"), "{aborted}");

    // SAFETY: it is not safe; the child is there to die of it.
    let segfault = |()| unsafe { std::ptr::with_exposed_provenance_mut::<u8>(8).write_volatile(1) };
    let error = isolate(segfault, ()).await.unwrap_err();
    assert_eq!(error.signal(), Some(libc::SIGSEGV), "{error}");
}

#[tokio::test]
async fn a_stack_overflow_is_told() {
    fn depth(levels: u64) -> u64 {
        if levels == 0 { 0 } else { 1 + std::hint::black_box(depth)(std::hint::black_box(levels - 1)) }
    }
    assert_eq!(isolate(depth, u64::MAX).await.unwrap_err().signal(), Some(libc::SIGSEGV));
}

#[tokio::test]
async fn an_exit_is_told() {
    let error = isolate(|status: i32| -> () { std::process::exit(status) }, 3).await.unwrap_err();
    assert_eq!(error.exit_status(), Some(3));
    assert!(error.to_string().contains("status 3"), "{error}");
}

#[tokio::test]
async fn what_never_ends_is_killed() {
    fn spin() {
        loop {
            std::hint::spin_loop();
        }
    }
    fn deaf() {
        let mut all = std::mem::MaybeUninit::uninit();
        // SAFETY: the set is filled before it is used.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
        }
        loop {
            std::thread::sleep(Duration::from_secs(1000));
        }
    }
    fn locked() {
        let lock = std::sync::Mutex::new(());
        let _first = lock.lock().unwrap();
        std::mem::forget(lock.lock());
    }
    let stuck = |way: u8| match way {
        0 => spin(),
        1 => deaf(),
        _ => locked(),
    };
    for way in 0..3 {
        let error = isolate(stuck, way).timeout(SHORT).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(error.to_string().contains("within 50ms"), "{error}");
    }
}

/// Starts `cat`, whose standard input is a connection that nobody writes to, and never returns.
fn start_cat(port: u16) {
    let line = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut cat = Command::new("cat").stdin(OwnedFd::from(line.try_clone().unwrap())).spawn().unwrap();
    (&line).write_all(&cat.id().to_le_bytes()).unwrap();
    drop(line);
    cat.wait().unwrap();
}

#[tokio::test]
async fn the_timeout_kills_what_the_function_has_started() {
    for attempt in 0..8 {
        let (listener, port) = listen();
        let cat = tokio::spawn(Alive::accept(listener));
        let call = isolate(start_cat, port).timeout(SHORT * 2_u32.pow(attempt));
        assert!(call.await.unwrap_err().is_timeout());
        // Ends the wait for a cat if the time was too short to start one.
        drop(TcpStream::connect(("127.0.0.1", port)));
        let cat = cat.await.unwrap();
        if cat.process != 0 {
            return cat.end().await;
        }
    }
    panic!("no cat was started in time");
}

#[tokio::test]
async fn a_dropped_future_takes_along_what_the_function_has_started() {
    let (listener, port) = listen();
    let call = tokio::spawn(isolate(start_cat, port).into_future());
    let cat = Alive::accept(listener).await;
    call.abort();
    cat.end().await;
}

#[tokio::test]
async fn what_the_function_leaves_behind_is_killed() {
    let sleep = |()| Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap().id();
    is_gone(isolate(sleep, ()).await.unwrap()).await;
}

#[tokio::test]
async fn a_dropped_future_leaves_no_process() {
    let (listener, port) = listen();
    let call = tokio::spawn(isolate(stay, port).into_future());
    let child = Alive::accept(listener).await;
    call.abort();
    child.end().await;
}

#[tokio::test]
async fn a_child_that_is_just_being_started_dies_too() {
    let sleep = |()| std::thread::sleep(Duration::from_secs(1000));
    for _ in 0..20 {
        let mut call = pin!(isolate(sleep, ()).into_future());
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    // Those before have given up their places, so this one's turn comes.
    isolate(drop, ()).await.unwrap();
}

#[test]
fn a_runtime_that_ends_ends_its_children() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (listener, port) = listen();
    runtime.spawn(isolate(stay, port).into_future());
    let child = runtime.block_on(Alive::accept(listener));
    drop(runtime);
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(child.end());
}

#[tokio::test]
async fn a_parent_killed_takes_its_children_along() {
    if let Some(port) = word() {
        let _ = isolate(stay, port.parse().unwrap()).await;
        return;
    }
    let (listener, port) = listen();
    let test = "ending::a_parent_killed_takes_its_children_along";
    let mut parent = again(test, &port.to_string()).stdout(Stdio::null()).spawn().unwrap();
    let child = Alive::accept(listener).await;
    assert_ne!(child.process, parent.id());
    parent.kill().unwrap();
    parent.wait().unwrap();
    child.end().await;
}

#[tokio::test]
async fn memory_has_a_limit() {
    let fill = |bytes: usize| std::hint::black_box(vec![1_u8; bytes]).len();
    let megabytes = |number: usize| number << 20;
    assert_eq!(isolate(fill, megabytes(32)).memory(64 << 20).await.unwrap(), megabytes(32));
    let error = isolate(fill, megabytes(128)).memory(64 << 20).await.unwrap_err();
    assert_eq!(error.signal(), Some(libc::SIGABRT), "{error}");
    assert!(error.to_string().contains(".memory(67108864)"), "{error}");
    // Code that asks first is told, and lives.
    let ask = |bytes: usize| Vec::<u8>::new().try_reserve_exact(bytes).is_err();
    assert!(isolate(ask, megabytes(128)).memory(64 << 20).await.unwrap());
}

#[derive(Debug, Deserialize)]
struct Mute;

impl Serialize for Mute {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("it does not speak"))
    }
}

/// Writes a number and reads a text.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Fickle(#[expect(dead_code, reason = "it is never read successfully")] String);

impl Serialize for Fickle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(7)
    }
}

#[tokio::test]
async fn what_serde_cannot_carry_is_told() {
    let error = isolate(|_: Mute| (), Mute).await.unwrap_err();
    assert!(error.is_unreadable() && error.to_string().starts_with("the argument"), "{error}");
    let error = isolate(|()| Mute, ()).await.unwrap_err();
    assert!(error.is_unreadable() && error.to_string().ends_with("it does not speak"), "{error}");
    let error = isolate(|_: Fickle| (), Fickle(String::new())).await.unwrap_err();
    assert!(error.is_unreadable() && error.to_string().starts_with("the argument"), "{error}");
    let error = isolate(|()| Fickle(String::new()), ()).await.unwrap_err();
    assert!(error.is_unreadable() && error.to_string().starts_with("the result"), "{error}");
}
