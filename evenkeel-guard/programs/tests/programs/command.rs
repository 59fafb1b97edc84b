//! The command.

use std::process::Command;

use crate::line;

const SOURCE: &str = include_str!("../../src/bin/command.rs");

#[test]
fn a_command_answers_and_says_at_its_end_what_has_blocked() {
    let files = ["Cargo.toml", "src/bin/command.rs"];
    let output = Command::new(env!("CARGO_BIN_EXE_command")).args(files).output().expect("it is built");
    assert!(output.status.success(), "{output:?}");
    let counted = String::from_utf8_lossy(&output.stdout);
    assert_eq!(counted.lines().count(), 2, "{counted}");
    let said = String::from_utf8_lossy(&output.stderr);
    let place = format!("command.rs:{}", line(SOURCE, "read here"));
    assert!(said.contains("`count`") && said.contains(&place), "no {place} in\n{said}");
    assert!(said.contains("std::fs::read_to_string") && said.contains("tokio::fs"), "{said}");
}

#[test]
fn what_fails_in_a_command_fails_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_command")).arg("nowhere").output().expect("it is built");
    assert!(!output.status.success(), "{output:?}");
}
