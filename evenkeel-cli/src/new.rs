//! Writes a project to start from.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use evenkeel::Error;

use crate::terminal::{Failure, Misuse, say};

/// Where each file of a project goes, and what is in it.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("../template/Cargo.toml.template")),
    ("src/main.rs", include_str!("../template/main.rs")),
    ("clippy.toml", include_str!("../template/clippy.toml")),
    (".env.example", include_str!("../template/env.example")),
    (".gitignore", include_str!("../template/gitignore")),
    ("README.md", include_str!("../template/README.md")),
    ("rustfmt.toml", "max_width = 110\nuse_small_heuristics = \"Max\"\n"),
];

/// Names that cargo refuses, or that a dependency has.
const TAKEN: [&str; 10] = [
    "test",
    "core",
    "std",
    "alloc",
    "build",
    "deps",
    "examples",
    "incremental",
    "evenkeel",
    "evenkeel-signal",
];
/// Source: the Rust reference, strict and reserved keywords of the edition 2024.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct super \
    trait true try type typeof unsafe unsized use virtual where while yield";

/// Writes the project `name` into `directory`, or into one of its name.
pub(crate) fn run(name: &str, directory: Option<PathBuf>) -> Result<(), Failure> {
    check(name)?;
    let directory = directory.unwrap_or_else(|| PathBuf::from(name));
    let sources = sources(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    make(&directory)?;
    for (path, template) in FILES {
        write(&directory.join(path), &filled(template, name, sources))?;
    }
    let place = directory.display();
    say(&format!(
        "made `{name}` in {place}: a bot, its tests and its settings\n\n  cd {place}\n  cargo run     # on a page in your \
         browser\n  cargo test\n"
    ))?;
    Ok(())
}

/// The rules of cargo for the name of a package with a binary.
fn check(name: &str) -> Result<(), Misuse> {
    let wrong = |why: &str| Err(Misuse(format!("`{name}` is no name for a project: {why}")));
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !is_plain || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return wrong("begin with a letter and go on with letters, digits, `-` and `_`, like `my-bot`");
    }
    if name.len() > 64 {
        return wrong("64 letters are the most");
    }
    if KEYWORDS.split_whitespace().any(|word| word == name) {
        return wrong("it is a word of the Rust language; type `my-bot` or the like");
    }
    if TAKEN.contains(&name) {
        return wrong("it is taken by Rust, by cargo or by a dependency; type `my-bot` or the like");
    }
    Ok(())
}

/// Makes the directory itself, so that nothing of anybody's is overwritten, and those around it.
fn make(directory: &Path) -> Result<(), Failure> {
    let place = directory.display();
    if let Some(around) = directory.parent() {
        fs::create_dir_all(around).map_err(|error| failed(around, error))?;
    }
    match fs::create_dir(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Misuse(format!("`{place}` exists: choose another name, or another place with `--path`"))
                .into())
        }
        Err(error) => Err(failed(directory, error).into()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(around) = path.parent() {
        fs::create_dir_all(around).map_err(|error| failed(around, error))?;
    }
    fs::write(path, text).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::from(error)
        .context(format!("writing `{}`", path.display()))
        .with_hint("choose a place that you may write to with `--path`")
}

fn filled(template: &str, name: &str, sources: &Path) -> String {
    let template = template.replace("{{name}}", name);
    let template = template.replace("{{evenkeel}}", &dependency("evenkeel", sources));
    template.replace("{{evenkeel-signal}}", &dependency("evenkeel-signal", sources))
}

fn dependency(name: &str, sources: &Path) -> String {
    // `Debug` quotes and escapes as TOML does, for all that paths hold in practice.
    format!("path = {:?}", sources.join(name).display().to_string())
}

/// The source tree that this command was built from: no version is published on which a project could depend.
fn sources(manifest: &Path) -> Result<&Path, Misuse> {
    let sources = manifest.parent().unwrap_or(Path::new(""));
    if ["evenkeel", "evenkeel-signal"].iter().all(|name| sources.join(name).join("Cargo.toml").is_file()) {
        return Ok(sources);
    }
    Err(Misuse(format!(
        "a project needs the source tree of Evenkeel, and `{}` is there no more: put it back, or type `cargo install --locked \
         --path evenkeel-cli` where it is now",
        sources.display()
    )))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check, filled, sources};

    #[test]
    fn a_project_depends_on_the_source_tree_and_none_is_made_without_it() {
        let tree = sources(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("this is one");
        let filled = filled("evenkeel = { {{evenkeel}} }", "bot", tree);
        assert_eq!(filled, format!("evenkeel = {{ path = {:?} }}", tree.join("evenkeel")));
        let gone = sources(Path::new("/nowhere/evenkeel-cli")).expect_err("there is none").0;
        assert!(gone.contains("`/nowhere` is there no more") && gone.contains("cargo install"), "{gone}");
    }

    #[test]
    fn names_follow_the_rules_of_cargo() {
        for fine in ["my-bot", "a", "Shop_2"] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for wrong in
            ["", "9lives", "-x", "../up", "a b", "bot\n", "café", "fn", "test", "evenkeel", &"x".repeat(65)]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
