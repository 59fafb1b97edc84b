//! What a bot promises at its edges, each as a figure beside its bar.

mod deadline;
mod handle;
mod isolation;
mod served;

use std::io;
use std::path::PathBuf;

/// One of the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Deadline,
    Served,
    Handle,
    Isolation,
}

/// In the order in which they run.
pub(crate) const ALL: [Part; 4] = [Part::Deadline, Part::Served, Part::Handle, Part::Isolation];

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Served => "serve",
            Self::Handle => "handle",
            Self::Isolation => "isolation",
        }
    }
}

/// Prints the parts that were asked for, or all.
///
/// # Errors
///
/// When a bot does not run, or a count is wrong. What takes too long is in the table.
pub(crate) fn run(only: &[Part]) -> io::Result<()> {
    let parts = if only.is_empty() { &ALL } else { only };
    for part in parts {
        println!("\n## {}\n", part.name());
        match part {
            Part::Deadline => deadline::run()?,
            Part::Served => served::run()?,
            Part::Handle => handle::run()?,
            Part::Isolation => isolation::run()?,
        }
    }
    Ok(())
}

/// A share of sorted figures.
pub(super) fn quantile<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// A folder for a journal, deleted in the end.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(part: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("evenkeel-ports-{part}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
