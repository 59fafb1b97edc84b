//! Whatever a function has started ends with it, also what has left its group and its session.

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use evenkeel_guard::isolate::isolate;
use serde::{Deserialize, Serialize};

use super::{Alive, again, listen, word};

/// Starts a process as daemons are started, in a session of its own and without a parent, and says by a connection that
/// it lives.
fn start_daemon(port: u16) {
    let mut line = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 3<&0; cat <&3 >/dev/null & echo $!"]);
    shell.stdin(OwnedFd::from(line.try_clone().unwrap())).stderr(Stdio::null());
    // SAFETY: it takes no argument, and may be called between fork and exec.
    unsafe {
        shell.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
    // The shell ends at once, and leaves what it has started to anyone who takes it.
    let output = shell.output().unwrap();
    let process: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    line.write_all(&process.to_le_bytes()).unwrap();
}

/// How a function ends that has started a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum End {
    Return,
    Panic,
    Abort,
    Exit,
    Crash,
    Never,
}

fn start_and_end((port, end): (u16, End)) {
    start_daemon(port);
    match end {
        End::Return => {}
        End::Panic => panic!("as told"),
        End::Abort => std::process::abort(),
        End::Exit => std::process::exit(3),
        // SAFETY: it is not safe; the child is there to die of it.
        End::Crash => unsafe { std::ptr::with_exposed_provenance_mut::<u8>(8).write_volatile(1) },
        End::Never => loop {
            std::thread::park();
        },
    }
}

async fn check_end(end: End) {
    let (listener, port) = listen();
    let daemon = tokio::spawn(Alive::accept(listener));
    let result = isolate(start_and_end, (port, end)).await;
    let error = result.err();
    let error = error.as_ref();
    match end {
        End::Return => assert!(error.is_none(), "{error:?}"),
        End::Panic => assert_eq!(error.and_then(|error| error.panic()), Some("as told")),
        End::Abort => assert_eq!(error.and_then(|error| error.signal()), Some(libc::SIGABRT)),
        End::Exit => assert_eq!(error.and_then(|error| error.exit_status()), Some(3)),
        End::Crash => assert_eq!(error.and_then(|error| error.signal()), Some(libc::SIGSEGV)),
        End::Never => unreachable!("it is ended by others"),
    }
    daemon.await.unwrap().end().await;
}

#[tokio::test]
async fn a_daemon_ends_when_the_function_returns() {
    check_end(End::Return).await;
}

#[tokio::test]
async fn a_daemon_ends_when_the_function_panics() {
    check_end(End::Panic).await;
}

#[tokio::test]
async fn a_daemon_ends_when_the_functions_process_ends() {
    check_end(End::Exit).await;
}

#[tokio::test]
async fn a_daemon_ends_when_the_functions_process_dies() {
    check_end(End::Abort).await;
    check_end(End::Crash).await;
}

/// Who has started it is told of the end only when there is nothing left.
#[tokio::test]
async fn nothing_is_left_when_the_result_is_there() {
    let start = |count: u32| {
        let sleep = || {
            let mut sleep = Command::new("sleep");
            sleep.arg("1000").stdin(Stdio::null());
            // SAFETY: it takes no argument, and may be called between fork and exec.
            unsafe {
                sleep.pre_exec(|| {
                    libc::setsid();
                    Ok(())
                });
            }
            sleep.spawn().unwrap().id()
        };
        (0..count).map(|_| sleep()).collect::<Vec<_>>()
    };
    for process in isolate(start, 20).await.unwrap() {
        assert!(super::has_left(process), "{process} is still there");
    }
}

#[tokio::test]
async fn a_daemon_ends_with_the_time() {
    let (listener, port) = listen();
    let call = tokio::spawn(
        isolate(start_and_end, (port, End::Never)).timeout(Duration::from_secs(2)).into_future(),
    );
    let daemon = Alive::accept(listener).await;
    assert!(call.await.unwrap().unwrap_err().is_timeout());
    daemon.end().await;
}

#[tokio::test]
async fn a_daemon_ends_with_the_future() {
    let (listener, port) = listen();
    let call = tokio::spawn(isolate(start_and_end, (port, End::Never)).into_future());
    let daemon = Alive::accept(listener).await;
    call.abort();
    daemon.end().await;
}

#[tokio::test]
async fn a_daemon_ends_with_the_program() {
    if let Some(port) = word() {
        let _ = isolate(start_and_end, (port.parse().unwrap(), End::Never)).await;
        return;
    }
    let (listener, port) = listen();
    let test = "descendants::a_daemon_ends_with_the_program";
    let mut parent = again(test, &port.to_string()).stdout(Stdio::null()).spawn().unwrap();
    let daemon = Alive::accept(listener).await;
    parent.kill().unwrap();
    parent.wait().unwrap();
    daemon.end().await;
}

/// What a parent ignores, its children ignore, too.
#[tokio::test]
async fn a_parent_that_ignores_signals_can_end_its_children() {
    if word().is_none() {
        let test = "descendants::a_parent_that_ignores_signals_can_end_its_children";
        assert!(again(test, "alone").status().unwrap().success());
        return;
    }
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        // SAFETY: it takes two numbers.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let (listener, port) = listen();
    let call = tokio::spawn(isolate(start_and_end, (port, End::Never)).into_future());
    let daemon = Alive::accept(listener).await;
    call.abort();
    daemon.end().await;
}

/// A keeper that was stopped, by the function or somebody else, still ends.
#[tokio::test]
async fn a_keeper_that_was_stopped_ends_its_own() {
    let (listener, port) = listen();
    let stop = |port: u16| {
        start_daemon(port);
        let keeper = libc::pid_t::try_from(std::os::unix::process::parent_id()).unwrap();
        // SAFETY: it takes two numbers.
        assert_eq!(unsafe { libc::kill(keeper, libc::SIGSTOP) }, 0);
    };
    let daemon = tokio::spawn(Alive::accept(listener));
    isolate(stop, port).await.unwrap();
    daemon.await.unwrap().end().await;
}
