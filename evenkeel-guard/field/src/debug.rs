//! Lines of a program that was stripped: `evenkeel lines` finds them in the file with its debug information.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use evenkeel_guard::Report;

/// Where the command is; `run.sh` builds it.
const PROGRAM: &str = "EVENKEEL";

/// Whether the innermost line of the table that a report's addresses lead to is one of these.
pub(crate) fn leads_to(report: &Report, file: &Path, noted: &[(&str, u32)]) -> bool {
    let lines: Vec<_> = report.addresses.iter().flat_map(|address| lines_of(address, file)).collect();
    let own = lines.iter().find(|line| line.contains("src/rows/"));
    own.is_some_and(|line| noted.iter().any(|(file, number)| line.contains(&format!("{file}:{number})"))))
}

/// What is at an address, innermost first. Each address is looked up once.
fn lines_of(address: &str, file: &Path) -> Vec<String> {
    static KNOWN: Mutex<Option<HashMap<String, Vec<String>>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(lines) = known.get(address) {
        return lines.clone();
    }
    let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "evenkeel".into());
    let output = Command::new(program).arg("lines").arg(file).arg(address).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    known.insert(address.to_owned(), lines.clone());
    lines
}
