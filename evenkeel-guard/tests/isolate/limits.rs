//! What goes into a child, what comes out of it, and how much.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;

use evenkeel_guard::isolate::isolate;

use super::{again, word};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_result_has_a_limit() {
    let fill = |bytes: usize| "x".repeat(bytes);
    assert_eq!(isolate(fill, 1000).result_limit(1003).await.unwrap().len(), 1000);
    let error = isolate(fill, 1000).result_limit(1002).await.unwrap_err();
    assert!(error.is_too_large() && !error.is_unreadable() && !error.is_unstarted(), "{error}");
    assert!(
        error.to_string().contains("1002 bytes") && error.to_string().contains("`.result_limit("),
        "{error}"
    );
    let error = isolate(fill, 65 * MIB).await.unwrap_err();
    assert!(error.is_too_large() && error.to_string().contains("67108864"), "{error}");
    assert_eq!(isolate(fill, 65 * MIB).result_limit(u64::MAX).await.unwrap().len(), 65 * MIB);
}

#[tokio::test]
async fn a_result_without_end_is_cut_off() {
    /// Says that it is a list, of which there is always one more.
    #[derive(serde::Deserialize)]
    struct Endless;

    impl serde::Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut list = serializer.serialize_seq(Some(usize::MAX))?;
            loop {
                list.serialize_element(&"one more")?;
            }
        }
    }
    let error = isolate(|()| Endless, ()).result_limit(1000).await.map(drop).unwrap_err();
    assert!(error.is_too_large(), "{error}");
}

#[tokio::test]
async fn an_argument_has_a_limit() {
    let length = |text: String| text.len();
    assert_eq!(isolate(length, "x".repeat(1000)).argument_limit(1003).await.unwrap(), 1000);
    let error = isolate(length, "x".repeat(1000)).argument_limit(1002).await.unwrap_err();
    assert!(error.is_too_large(), "{error}");
    assert!(error.to_string().contains("`.argument_limit("), "{error}");
    let error = isolate(length, "x".repeat(65 * MIB)).await.unwrap_err();
    assert!(error.is_too_large(), "{error}");
}

#[tokio::test]
async fn a_long_panic_is_cut_off() {
    let error = isolate(|()| -> () { panic!("{}", "ä".repeat(20_000)) }, ()).await.unwrap_err();
    let message = error.panic().unwrap();
    assert!(message.starts_with("äää") && message.len() <= 20_000, "{}", message.len());
}

/// The variables that a child finds.
fn variables((): ()) -> Vec<(String, String)> {
    std::env::vars().collect()
}

#[tokio::test]
async fn no_secret_of_the_environment_is_handed_on() {
    if word().is_none() {
        let mut program = again("limits::no_secret_of_the_environment_is_handed_on", "again");
        let program = program.env("DATABASE_PASSWORD", "secret").env("LD_PRELOAD", "").env("LC_TIME", "C");
        let output = program.env("TZ", "UTC").env("TMPDIR", "/tmp").output().unwrap();
        return assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let found = isolate(variables, ()).await.unwrap();
    let value = |name: &str| found.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!((value("LC_TIME"), value("TZ"), value("TMPDIR")), (Some("C"), Some("UTC"), Some("/tmp")));
    assert_eq!(value("PATH"), std::env::var("PATH").ok().as_deref());
    let kept = "PATH HOME LANG LANGUAGE TZ TMPDIR RUST_BACKTRACE RUST_LIB_BACKTRACE LD_LIBRARY_PATH";
    let is_kept = |name: &str| name.starts_with("LC_") || kept.split(' ').any(|kept| kept == name);
    assert!(found.iter().all(|(name, _)| is_kept(name)), "{found:?}");

    let found = isolate(variables, ()).env("DATABASE_PASSWORD", "other").env("TZ", "CET").await.unwrap();
    let value = |name: &str| found.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!((value("DATABASE_PASSWORD"), value("TZ")), (Some("other"), Some("CET")));

    let found = isolate(variables, ()).inherit_env().env("MORE", "more").await.unwrap();
    let value = |name: &str| found.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!((value("DATABASE_PASSWORD"), value("MORE")), (Some("secret"), Some("more")));
    assert_eq!(value("EVENKEEL_ISOLATE"), None);
}

#[tokio::test]
async fn values_of_variables_are_not_printed() {
    let call = isolate(variables, ()).env("TOKEN", "secret");
    let printed = format!("{call:?}");
    assert!(printed.contains("TOKEN") && !printed.contains("secret"), "{printed}");
    call.await.unwrap();
}

/// A file of this process that every program it starts gets.
fn leaked() -> OwnedFd {
    let file = std::fs::File::open("/proc/self/status").unwrap();
    // SAFETY: it takes numbers only.
    let leaked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 100) };
    assert!(leaked >= 100);
    // SAFETY: nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(leaked) }
}

#[tokio::test]
async fn no_leaked_file_is_handed_on() {
    let leaked = leaked();
    let number = leaked.as_raw_fd();
    let plain = Command::new("ls").arg(format!("/proc/self/fd/{number}")).output().unwrap();
    assert!(plain.status.success(), "it would be handed on");
    let files = |()| {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let own = open.map(|file| file.unwrap().file_name().into_string().unwrap().parse::<i32>().unwrap());
        // SAFETY: it takes numbers only.
        let is_open = |file: &i32| unsafe { libc::fcntl(*file, libc::F_GETFD) } >= 0;
        let own: Vec<_> = own.collect::<Vec<_>>().into_iter().filter(is_open).collect();
        let listed = Command::new("ls").arg("/proc/self/fd").output().unwrap().stdout;
        (own, String::from_utf8(listed).unwrap())
    };
    let (own, started) = isolate(files, ()).await.unwrap();
    assert_eq!(own, [0, 1, 2, 3], "the last is the socket to the parent");
    assert_eq!(started.lines().collect::<Vec<_>>(), ["0", "1", "2", "3"], "the last is the folder");
}
