//! What the function finds in its process.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use evenkeel_guard::isolate::isolate;

use super::{again, word};

#[tokio::test]
async fn threads_work() {
    let sum = |count: u64| {
        let threads: Vec<_> = (0..count).map(|number| std::thread::spawn(move || number)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    };
    assert_eq!(isolate(sum, 10).await.unwrap(), 45);
}

#[tokio::test]
async fn names_are_looked_up() {
    let look_up =
        |name: String| (name.as_str(), 80).to_socket_addrs().unwrap().all(|at| at.ip().is_loopback());
    assert!(isolate(look_up, "localhost".to_owned()).await.unwrap());
}

#[tokio::test]
async fn libraries_are_loaded() {
    let load = |()| {
        // SAFETY: the name ends in a zero, and this library runs nothing when loaded.
        let library = unsafe { libc::dlopen(c"libm.so.6".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null());
        // SAFETY: the library stays loaded, and the name ends in a zero.
        !unsafe { libc::dlsym(library, c"cos".as_ptr()) }.is_null()
    };
    assert!(isolate(load, ()).await.unwrap());
}

#[tokio::test]
async fn files_and_the_folder_are_the_parents() {
    let here = |()| (std::env::current_dir().unwrap(), fs::read("/proc/self/exe").unwrap().len());
    let (folder, size) = isolate(here, ()).await.unwrap();
    assert_eq!(folder, std::env::current_dir().unwrap());
    assert_eq!(size as u64, fs::metadata(std::env::current_exe().unwrap()).unwrap().len());
}

#[tokio::test]
async fn panics_can_be_caught_and_threads_of_it_joined() {
    let caught = |()| {
        let caught = std::panic::catch_unwind(|| panic!("caught")).is_err();
        caught && std::thread::spawn(|| panic!("joined")).join().is_err()
    };
    assert!(isolate(caught, ()).await.unwrap());
}

#[tokio::test]
async fn a_runtime_of_its_own_works() {
    let run = |()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async { tokio::spawn(async { 7 }).await.unwrap() })
    };
    assert_eq!(isolate(run, ()).await.unwrap(), 7);
}

#[tokio::test]
async fn a_broken_pipe_is_an_error_and_no_death() {
    let write = |()| {
        let (read, mut write) = std::io::pipe().unwrap();
        drop(read);
        std::io::Write::write(&mut write, b"x").unwrap_err().kind() == std::io::ErrorKind::BrokenPipe
    };
    assert!(isolate(write, ()).await.unwrap());
}

#[tokio::test]
async fn standard_input_is_empty() {
    let read = |()| {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(isolate(read, ()).await.unwrap(), "");
}

#[tokio::test]
async fn statics_are_fresh_and_main_has_not_run() {
    static TOUCHED: AtomicBool = AtomicBool::new(false);
    TOUCHED.store(true, Ordering::Relaxed);
    assert!(!isolate(|()| TOUCHED.load(Ordering::Relaxed), ()).await.unwrap());
}

#[tokio::test]
async fn the_mark_is_not_handed_on() {
    let marked = |()| {
        let own = std::env::vars_os().any(|(name, _)| name.to_string_lossy().contains("ISOLATE"));
        let grandchild = Command::new("env").output().unwrap();
        assert!(grandchild.status.success() && !grandchild.stdout.is_empty());
        own || String::from_utf8_lossy(&grandchild.stdout).contains("ISOLATE")
    };
    assert!(!isolate(marked, ()).await.unwrap());
}

#[tokio::test]
async fn isolated_functions_can_isolate() {
    let nested = |number: u32| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(isolate(|number| number * 2, number).into_future()).unwrap() + 1
    };
    assert_eq!(isolate(nested, 4).await.unwrap(), 9);
}

#[tokio::test]
async fn the_parents_files_are_not_handed_on() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
    let files = |()| {
        let open = fs::read_dir("/proc/self/fd").unwrap();
        let links = open.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let files = isolate(files, ()).await.unwrap();
    assert!(files.iter().any(|file| file == "/dev/null"), "{files:?}");
    assert!(!files.contains(&link.to_string_lossy().into_owned()), "{files:?}");
    // The socket to the parent, which its own children do not get.
    assert_eq!(files.iter().filter(|file| file.starts_with("socket:")).count(), 1, "{files:?}");
    let grandchild = |()| Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap().stdout;
    let files = String::from_utf8(isolate(grandchild, ()).await.unwrap()).unwrap();
    assert!(!files.contains("socket:"), "{files}");
}

#[tokio::test]
async fn printing_goes_to_standard_error_and_leaves_the_result_whole() {
    let print = |()| {
        println!("by println");
        print!("without an end");
        // SAFETY: the text ends in a zero.
        unsafe { libc::puts(c"by C".as_ptr()) };
        // SAFETY: as many bytes as said.
        unsafe { libc::write(1, b"by write".as_ptr().cast(), 8) };
        eprintln!("by eprintln");
        "whole".to_owned()
    };
    if word().is_some() {
        assert_eq!(isolate(print, ()).await.unwrap(), "whole");
        return;
    }
    let test = "inside::printing_goes_to_standard_error_and_leaves_the_result_whole";
    let output = again(test, "print").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for printed in ["by println", "without an end", "by C", "by write", "by eprintln"] {
        assert!(err.contains(printed) && !out.contains(printed), "{printed}: {out}{err}");
    }
}

#[tokio::test]
async fn a_parent_without_standard_files_can_isolate() {
    if word().is_none() {
        let test = "inside::a_parent_without_standard_files_can_isolate";
        assert!(again(test, "close").status().unwrap().success());
        return;
    }
    for standard in 0..3 {
        // SAFETY: nothing prints between here and the exit below.
        unsafe { libc::close(standard) };
    }
    let print = |()| {
        println!("by println");
        7
    };
    let is_well = isolate(print, ()).await.is_ok_and(|number| number == 7);
    // The harness would print, into whatever file has the place of standard output by now.
    std::process::exit(if is_well { 0 } else { 1 });
}
