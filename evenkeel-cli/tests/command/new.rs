//! A new project: what is refused, and that what is written builds, passes its tests and is clean.

use std::path::Path;
use std::process::Command;

use crate::running::{directory, evenkeel, finished};

/// Runs cargo in the project without the network, on what this workspace has built already.
fn cargo(arguments: &[&str], project: &Path) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../generated");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(arguments)
        .current_dir(project)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true");
    let output = cargo.output().expect("cargo starts");
    assert!(output.status.success(), "cargo {arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_new_project_passes_its_own_tests_and_is_clean() {
    let project = directory("new").join("my-bot");
    let path = project.to_str().expect("cargo's directories are UTF-8");
    let (code, out, err) = finished(evenkeel(["new", "my-bot", "--path", path]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("cargo run"), "{out}");
    let read = |name: &str| std::fs::read_to_string(project.join(name)).expect("it was just made");
    assert!(
        read(".gitignore").lines().any(|line| line == "/evenkeel.db*"),
        "the journal is not for the repository"
    );
    assert!(read("README.md").contains("`evenkeel.db`") && read(".env.example").contains("EVENKEEL_JOURNAL"));
    // The guard and `clippy.toml` tell authors to write this.
    let advised = "\n/// As advised.\npub async fn pause() {\n    tokio::time::sleep(std::time::Duration::ZERO).await;\n}\n";
    std::fs::write(project.join("src/lib.rs"), format!("//! Advice.\n{advised}"))
        .expect("the folder is there");
    // The same versions as here, so that nothing has to be fetched.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    std::fs::copy(lock, project.join("Cargo.lock")).expect("the workspace is locked");
    cargo(&["fmt", "--check"], &project);
    cargo(&["test", "--quiet", "--offline"], &project);
    cargo(&["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"], &project);
}

#[test]
fn nothing_that_exists_is_touched() {
    let taken = directory("taken");
    std::fs::write(taken.join("mine"), "mine").expect("it was just made");
    let path = taken.to_str().expect("cargo's directories are UTF-8");
    let (code, out, err) = finished(evenkeel(["new", "my-bot", "--path", path]));
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(2), "", 1), "{err}");
    assert!(err.contains("exists: choose another name"), "{err}");
    assert_eq!(std::fs::read_dir(&taken).expect("still there").count(), 1);
}

#[test]
fn a_name_that_cargo_refuses_is_one_line() {
    for name in ["9lives", "fn", "../up"] {
        let (code, _, err) = finished(evenkeel(["new", name]));
        assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");
        assert!(err.starts_with(&format!("evenkeel: `{name}` is no name for a project: ")), "{err}");
    }
}
