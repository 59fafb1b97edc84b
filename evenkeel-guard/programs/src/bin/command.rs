//! A command: counts the words of files, several at once, and says on standard error what has blocked.
//!
//! `cargo run --release --bin command -- Cargo.toml src/bin/command.rs`

use std::error::Error;
use std::path::PathBuf;

use evenkeel_guard::{Executor, Label};
use tokio::runtime::Handle;

/// The mistake: a file read on the thread. `tokio::fs::read_to_string(..).await` is the way.
async fn words(path: PathBuf) -> std::io::Result<usize> {
    let text = std::fs::read_to_string(&path)?; // read here
    Ok(text.split_whitespace().count())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let executor = Executor::threads(Handle::current(), 2);
    let label = Label::new("count");
    let counts: Vec<_> = std::env::args_os()
        .skip(1)
        .map(|path| {
            let (executor, label, path) = (executor.clone(), label.clone(), PathBuf::from(path));
            tokio::spawn(async move { (path.clone(), executor.run(label, words(path)).await) })
        })
        .collect();
    for count in counts {
        let (path, count) = count.await?;
        println!("{} {}", count??, path.display());
    }
    // A command ends before the reporter has looked at what was found last: this waits for it.
    for report in executor.failures() {
        eprintln!("{report}");
    }
    Ok(())
}
