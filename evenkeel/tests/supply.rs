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
];

/// Licences that one crate may have, and no other.
const ALLOWED_FOR: &[(&str, &[&str])] = &[
    // As good as public domain: SQLCipher and the SQLite inside it (feature `sqlcipher`).
    ("sqlcipher-src", &["WTFPL", "blessing"]),
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

/// Whether a licence expression can be met with those allowed for the crate: every `AND` part by one of its `OR` parts.
fn is_allowed(crate_name: &str, expression: &str) -> bool {
    let own = ALLOWED_FOR.iter().find(|(name, _)| *name == crate_name).map_or(&[][..], |(_, own)| own);
    let fits = |licence: &str| ALLOWED.contains(&licence.trim()) || own.contains(&licence.trim());
    let bare = expression.replace(['(', ')'], " ").replace('/', " OR ");
    bare.split(" AND ").all(|part| part.split(" OR ").any(fits))
}

#[test]
fn every_licence_is_allowed() {
    let refused: BTreeMap<String, String> = packages()
        .iter()
        .map(|package| {
            let text = |field: &str| package[field].as_str().unwrap_or("none").to_owned();
            (text("name"), text("license"))
        })
        .filter(|(name, licence)| !is_allowed(name, licence))
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
    let check = |expression| is_allowed("some-crate", expression);
    assert!(check("MIT OR Apache-2.0") && check("MIT/Apache-2.0"));
    assert!(check("(MIT OR GPL-3.0) AND Unicode-3.0"));
    assert!(!check("GPL-3.0") && !check("MIT AND GPL-3.0") && !check("none"));
}

#[test]
fn an_allowance_is_for_the_crate_that_is_named() {
    for (name, licences) in ALLOWED_FOR {
        assert!(
            licences.iter().all(|licence| is_allowed(name, licence) && !is_allowed("some-crate", licence))
        );
    }
    // One that nobody needs any more goes.
    let packages = packages();
    let is_there = |name: &str| packages.iter().any(|package| package["name"] == name);
    assert!(ALLOWED_FOR.iter().all(|(name, _)| is_there(name)), "{ALLOWED_FOR:?}");
}
