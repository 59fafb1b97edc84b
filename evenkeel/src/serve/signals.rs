//! Requests to stop: those that come from outside the process, and the author's own.

use std::future::Future;
use std::io::Result;

use tokio::sync::mpsc;

use super::foreign;

/// Has writes behind the limit of a file's size (`ulimit -f`, `LimitFSIZE=` of systemd) fail as on a full disk; else the first
/// of them ends the process. Inside a runtime that has sockets, as all that waits for signals.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd"))]
pub(super) fn outlive_size_limits() {
    use tokio::signal::unix::{SignalKind, signal};
    // Source: signal(7). A handler stays when nobody listens any more, so that it does what ignoring would.
    let number = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 31 } else { 25 };
    drop(signal(SignalKind::from_raw(number)));
}

/// Elsewhere the signal has another number, or there is none.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd")))]
pub(super) fn outlive_size_limits() {}

/// Sends one message once the author's future has ended.
pub(super) async fn after(shutdown: impl Future<Output = ()>, stop: mpsc::Sender<()>) {
    if let Err(error) = foreign::finished(shutdown).await {
        tracing::error!(error, "the future of `Bot::with_shutdown` panicked: the bot stops");
    }
    // A wire that is gone has stopped already.
    let _told = stop.send(()).await;
}

/// Sends one message for each signal to stop, for as long as it is polled.
pub(super) async fn tell(stop: mpsc::Sender<()>) {
    if let Err(error) = listen(stop).await {
        tracing::warn!(%error, "no signals here: the bot ends only with its process");
        std::future::pending::<()>().await;
    }
}

/// Sends one message for each request to stop: SIGTERM, SIGINT (Ctrl-C), and the first SIGHUP.
///
/// A terminal that closes says so several times, by its shell and by the kernel, and systemd may say it behind SIGTERM:
/// SIGHUP is never the second request, which ends at once. Under `nohup` it stays ignored. SIGQUIT keeps the system's
/// meaning, an end at once with a core dump: anyone who looks into a stuck process needs it, and the journal loses nothing.
#[cfg(unix)]
async fn listen(stop: mpsc::Sender<()>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    let mut is_asked = false;
    loop {
        let is_hangup = tokio::select! {
            _ = interrupt.recv() => false,
            _ = terminate.recv() => false,
            () = received(&mut hangup) => true,
        };
        if is_hangup && is_asked {
            continue;
        }
        is_asked = true;
        if stop.send(()).await.is_err() {
            return Ok(());
        }
    }
}

/// Waits for the next one; for ever if nobody listens.
#[cfg(unix)]
async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether this process was started so that it does not end with its terminal.
#[cfg(target_os = "linux")]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_signals(&status).is_some_and(|mask| mask & 1 != 0)
}

/// Elsewhere only `unsafe` code can tell, so that SIGHUP keeps the meaning that the system gives it.
#[cfg(all(unix, not(target_os = "linux")))]
fn is_hangup_ignored() -> bool {
    true
}

/// Bit 0 is signal 1. Source: proc_pid_status(5).
#[cfg(any(target_os = "linux", all(test, unix)))]
fn ignored_signals(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(not(unix))]
async fn listen(stop: mpsc::Sender<()>) -> Result<()> {
    loop {
        tokio::signal::ctrl_c().await?;
        if stop.send(()).await.is_err() {
            return Ok(());
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_ignored_signals_are_read_as_the_kernel_writes_them() {
        let status = |mask: &str| format!("Name:\tbot\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert_eq!(ignored_signals(&status("0000000000001001")), Some(0x1001));
        assert_eq!(ignored_signals(&status("0000000000001000")), Some(0x1000));
        assert_eq!(ignored_signals("Name:\tbot\n"), None);
    }
}
