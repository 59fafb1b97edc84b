//! Anyone who can set the environment and the standard input of a program cannot have it call anything.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use evenkeel_guard::isolate::isolate;

use super::{again, word};

const MARK: &str = "EVENKEEL_ISOLATE";
const REFUSED: Option<i32> = Some(77);
const READY: u8 = 0xE7;

/// What a child of this program is marked with, as its kernel remembers it.
async fn mark() -> String {
    let environment = isolate(|()| std::fs::read("/proc/self/environ").unwrap(), ()).await.unwrap();
    let environment = String::from_utf8(environment).unwrap();
    let mark = environment.split('\0').find_map(|entry| entry.strip_prefix("EVENKEEL_ISOLATE="));
    mark.unwrap().to_owned()
}

/// Where this program is in memory: its start, and its parts that can be read.
fn image() -> (usize, Vec<std::ops::Range<usize>>) {
    let exe = std::env::current_exe().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let lines = maps.lines().filter(|line| line.ends_with(exe.to_str().unwrap()));
    let parts = lines.filter(|line| line.contains(" r")).map(|line| {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        usize::from_str_radix(start, 16).unwrap()..usize::from_str_radix(end, 16).unwrap()
    });
    let parts: Vec<_> = parts.collect();
    (parts[0].start, parts)
}

/// The places of the records of this program's isolated functions, as a child is told them.
fn records() -> Vec<u64> {
    // Turned around, so that they do not stand in this program once more.
    let magic = [!0x9D1C_63E5_B47A_20F8_u64, !0x47E0_A93B_5C16_8FD2].map(|word| !std::hint::black_box(word));
    let (start, parts) = image();
    let places = parts.into_iter().flat_map(|part| (part.start..part.end - 8).step_by(8));
    let word = |at: usize| {
        // SAFETY: it lies in a part of the program that can be read.
        unsafe { std::ptr::with_exposed_provenance::<u64>(at).read_volatile() }
    };
    let records = places.filter(|at| [word(*at), word(at + 8)] == magic);
    records.map(|at| (at - start) as u64).collect()
}

/// Starts a program with the mark and a socket, asks for a place, and gives what it answers and how it ends.
fn ask(command: &mut Command, mark: &str, place: u64) -> (Vec<u8>, ExitStatus, String) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    command.env(MARK, mark).stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    // The command holds the other end.
    command.stdin(Stdio::null());
    // The place, no limit of memory, one of 9 bytes for the result, and an argument that is an empty list. A child that
    // refuses does not read it.
    let numbers = [place, u64::MAX, 9, 1].map(u64::to_le_bytes);
    let _ = ours.write_all(&numbers.concat());
    let _ = ours.write_all(&[0x90]);
    let mut answer = Vec::new();
    let _ = ours.read_to_end(&mut answer);
    let output = child.wait_with_output().unwrap();
    (answer, output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

/// Shows that the other tests ask rightly.
#[tokio::test]
async fn the_program_itself_may_ask_for_what_it_isolates() {
    let (mark, records) = (mark().await, records());
    let answers = records.iter().map(|record| ask(&mut this_program(), &mark, *record));
    let (begun, refused): (Vec<_>, Vec<_>) = answers.partition(|(answer, ..)| answer.first() == Some(&READY));
    assert!(begun.len() > 40, "{begun:?}");
    // The magic number may stand where the guard compares with it.
    assert!(
        refused.len() <= 2 && refused.iter().all(|(_, status, _)| status.code() == REFUSED),
        "{refused:?}"
    );
}

#[tokio::test]
async fn nothing_but_isolated_functions_is_called() {
    let (mark, records, (start, parts)) = (mark().await, records(), image());
    let end = parts.iter().map(|part| part.end).max().unwrap() - start;
    let own = (nothing_but_isolated_functions_is_called as *const ()).addr() - start;
    let near = records.iter().flat_map(|record| [record - 8, record + 8, record + 16, record + 1]);
    let far = (1..100).map(|step| (end / 100 * step) as u64 & !7);
    let odd = [own as u64, 0, 8, u64::MAX, u64::MAX - 7, 1 << 47, end as u64, end as u64 - 8];
    for place in near.take(60).chain(far).chain(odd) {
        let (answer, status, said) = ask(&mut this_program(), &mark, place);
        assert_eq!((answer, status.code()), (Vec::new(), REFUSED), "{place:x}: {said}");
        assert!(said.contains("no isolated function"), "{said}");
    }
}

/// Asks for all records from a program that is a copy of this one.
fn ask_from_a_copy(mark: &str) {
    let original = std::env::var("EVENKEEL_TEST_ORIGINAL").unwrap();
    // The copy's records lie where the original's do.
    for record in records() {
        let (answer, status, said) = ask(&mut Command::new(&original), mark, record);
        assert_eq!((answer, status.code()), (Vec::new(), REFUSED), "{said}");
        assert!(said.contains("another program started this process"), "{said}");
    }
}

#[tokio::test]
async fn another_program_may_ask_for_nothing() {
    if let Some(mark) = word() {
        return ask_from_a_copy(&mark);
    }
    let (original, mark) = (std::env::current_exe().unwrap(), mark().await);
    let copy = original.with_file_name(format!("copy-{}", std::process::id()));
    std::fs::copy(&original, &copy).unwrap();
    let mut command = again("hostile::another_program_may_ask_for_nothing", &mark);
    let mut from_copy = Command::new(&copy);
    from_copy.args(command.get_args()).env("EVENKEEL_TEST_AGAIN", &mark);
    command = from_copy;
    let outcome = command.env("EVENKEEL_TEST_ORIGINAL", &original).output();
    std::fs::remove_file(&copy).unwrap();
    let output = outcome.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[tokio::test]
async fn a_socket_that_is_only_passed_on_proves_nothing() {
    let (mark, record) = (mark().await, records()[0]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\"; exit $?"]).arg(std::env::current_exe().unwrap());
    let (answer, status, said) = ask(&mut shell, &mark, record);
    assert_eq!((answer, status.code()), (Vec::new(), REFUSED), "{said}");
    assert!(said.contains("does not lead to the process"), "{said}");
}

#[tokio::test]
async fn what_is_no_socket_is_refused() {
    let mark = mark().await;
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    for input in [Stdio::null(), Stdio::piped(), Stdio::from(file)] {
        let output = this_program().env(MARK, &mark).stdin(input).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), REFUSED, "{said}");
        assert!(said.contains(MARK) && said.contains("no local socket"), "{said}");
    }
}

/// As a server does that was started as root. Its children cannot make sure of it, unless it lets itself be looked at.
#[tokio::test]
async fn a_program_that_has_changed_its_user_is_told_what_to_do() {
    // SAFETY: it takes no argument.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    if word().is_none() {
        let test = "hostile::a_program_that_has_changed_its_user_is_told_what_to_do";
        let output = again(test, "alone").output().unwrap();
        return assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    // SAFETY: it takes numbers only.
    assert_eq!(unsafe { libc::setgid(65534) + libc::setuid(65534) }, 0);
    let error = isolate(drop, ()).await.unwrap_err();
    assert!(error.is_unstarted() && error.to_string().contains("`prctl(PR_SET_DUMPABLE, 1)`"), "{error}");
    // SAFETY: it takes numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) }, 0);
    isolate(drop, ()).await.unwrap();
}

#[tokio::test]
async fn a_mark_that_is_none_of_ours_changes_nothing() {
    let mark = mark().await;
    for other in ["", "1", "zz", &format!("{mark}0"), &format!("{mark}.1"), "ffffffffffffffff0"] {
        let output = this_program().arg("--list").env(MARK, other).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{other}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("a_mark_that_is_none_of_ours"));
    }
    assert!(Path::new("/proc/self/exe").exists());
}
