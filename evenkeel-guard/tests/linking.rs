//! The wrappers end up in programs that depend on the room through a library, however they are built.

#![cfg(all(feature = "hook", target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// A workspace of its own, with the libc crate as only dependency: it builds in seconds.
const MANIFEST: &str = r#"
[package]
name = "linked"
version = "0.0.0"
edition = "2024"

[features]
default = ["hook"]
hook = []

[dependencies]
libc = { version = "0.2", default-features = false }

[profile.release]
lto = "fat"
codegen-units = 1

[workspace]
"#;

/// The room as it stands, behind a library's public function.
const LIBRARY: &str = r#"
#![allow(dead_code)]
mod hook;
mod report {
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum Class { Sleep, File, Network, Lookup, Process, Join, Wait, Contention, Input, Output }
}

mod sys {
    pub mod stack {
        #[derive(Clone, Copy, Debug)]
        pub struct Mark { pub stack: usize, pub wrapper: usize }
    }
}

struct Notebook(std::sync::Mutex<Vec<&'static str>>);
static NOTEBOOK: Notebook = Notebook(std::sync::Mutex::new(Vec::new()));

impl hook::CallObserver for Notebook {
    fn before(&self, call: &hook::Call) { self.0.lock().unwrap().push(call.symbol) }
    fn after(&self, _: &hook::Call) {}
}

pub fn seen(work: impl FnOnce()) -> Vec<&'static str> {
    assert!(hook::install(&NOTEBOOK) && hook::works());
    hook::watch(true);
    work();
    hook::watch(false);
    std::mem::take(&mut NOTEBOOK.0.lock().unwrap())
}

pub fn heard() -> usize { NOTEBOOK.0.lock().unwrap().len() }

pub fn symbols() -> Vec<&'static str> { hook::symbols().collect() }

#[inline(never)]
pub fn turn_on_and_off() -> bool {
    let was = hook::watch(true);
    std::hint::black_box(());
    hook::watch(was)
}
"#;

const PROGRAM: &str = r#"
use linked::seen;
use std::ffi::CString;
use std::time::Duration;

fn main() {
    assert_eq!(seen(|| std::thread::sleep(Duration::from_nanos(1))), ["clock_nanosleep"]);
    assert_eq!(seen(|| drop(std::fs::metadata("/"))), ["statx"]);
    assert_eq!(seen(|| drop(std::fs::File::open("/"))), ["open64"]);
    assert_eq!(seen(|| drop(std::thread::spawn(|| ()).join())), ["pthread_join"]);
    assert_eq!(seen(|| std::thread::park_timeout(Duration::from_nanos(1))), ["syscall"]);
    // What a shared object would be bound to: the program's own address, not that of libc.
    for symbol in linked::symbols().into_iter().filter(|symbol| !symbol.starts_with("__res_")) {
        let name = CString::new(symbol).unwrap();
        let (ours, theirs) =
            unsafe { (libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()), libc::dlsym(libc::RTLD_NEXT, name.as_ptr())) };
        assert!(!ours.is_null() && ours != theirs, "{symbol}");
    }
    output_is_told_when_the_pipe_is_full();
}

/// In a program of its own, since descriptor 1 is everybody's.
fn output_is_told_when_the_pipe_is_full() {
    use std::io::{Read, Write};
    let (mut reader, writer) = std::io::pipe().unwrap();
    unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&writer), 1) };
    let mut out = unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(1) };
    assert_eq!(linked::seen(|| out.write_all(b"x").unwrap()), [""; 0], "there is room");
    let room = unsafe { libc::fcntl(1, libc::F_GETPIPE_SZ) } as usize;
    out.write_all(&vec![0; room - 1]).unwrap();
    // Empties the pipe only when the write is seen to be stuck, which ends it.
    let drain = std::thread::spawn(move || {
        while linked::heard() == 0 {
            std::thread::yield_now();
        }
        reader.read_exact(&mut vec![0; room]).unwrap();
        // Handed back: without a reader, the write that comes after would fail.
        reader
    });
    assert_eq!(linked::seen(|| out.write_all(b"x").unwrap()), ["write"]);
    drop(drain.join().unwrap());
}
"#;

#[test]
fn wrappers_are_linked_in_debug_and_with_fat_lto() {
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linked");
    fs::create_dir_all(at.join("src")).expect("the target folder is ours");
    let file = |name: &str, text: &str| fs::write(at.join(name), text).expect("the target folder is ours");
    file("Cargo.toml", MANIFEST);
    file("src/lib.rs", LIBRARY);
    file("src/main.rs", PROGRAM);
    fs::copy(house.join("../Cargo.lock"), at.join("Cargo.lock")).expect("the versions of this workspace");
    for room in ["src/hook", "src/hook.rs"] {
        drop(fs::remove_file(at.join(room)));
        symlink(house.join(room), at.join(room)).expect("the target folder is ours");
    }
    for profile in ["dev", "release"] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--offline", "--profile", profile]).current_dir(&at);
        cargo.env("CARGO_TARGET_DIR", at.join("target"));
        let output = cargo.output().expect("cargo runs this test");
        assert!(output.status.success(), "{profile}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
