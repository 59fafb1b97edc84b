//! What comes into the house: licences that allow it, and no source but the standard index.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Each is the licence of a crate in `Cargo.lock`, or the one chosen where a crate offers several.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0", // root certificates: data, not code
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
    // Public domain and as good as that, in SQLCipher and the SQLite inside it (feature `sqlcipher`).
    "WTFPL",
    "blessing",
];

fn packages() -> Vec<Value> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let arguments =
        ["metadata", "--format-version", "1", "--all-features", "--locked", "--manifest-path", root];
    let output = Command::new(env!("CARGO")).args(arguments).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array_mut().map(std::mem::take).expect("a list of packages")
}

/// Whether a licence expression can be met with the allowed ones: every `AND` part by one of its `OR` parts.
fn is_allowed(expression: &str) -> bool {
    let bare = expression.replace(['(', ')'], " ").replace('/', " OR ");
    bare.split(" AND ").all(|part| part.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim())))
}

#[test]
fn every_licence_is_allowed() {
    let refused: BTreeMap<String, String> = packages()
        .iter()
        .map(|package| {
            (package["name"].to_string(), package["license"].as_str().unwrap_or("none").to_owned())
        })
        .filter(|(_, licence)| !is_allowed(licence))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_dependency_comes_from_the_standard_index() {
    let packages = packages();
    let named = |name: &str| packages.iter().find(|package| package["name"] == name).expect("a dependency");
    let index = &named("serde")["source"];
    assert!(index.as_str().is_some_and(|source| source.starts_with("registry+")), "{index}");
    for package in &packages {
        // Our own crates have no source.
        assert!(package["source"].is_null() || package["source"] == *index, "{package:#}");
    }
}

#[test]
fn licence_expressions_are_read() {
    assert!(is_allowed("MIT OR Apache-2.0") && is_allowed("MIT/Apache-2.0"));
    assert!(is_allowed("(MIT OR GPL-3.0) AND Unicode-3.0"));
    assert!(!is_allowed("GPL-3.0") && !is_allowed("MIT AND GPL-3.0") && !is_allowed("none"));
}
