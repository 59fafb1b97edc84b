//! Libraries of a few lines of C that are loaded before a bot's own, to count or to change what it asks of the system.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Compiles `source` into a library at `target`.
///
/// # Errors
///
/// When there is no compiler, or it complains.
pub(crate) fn compile(source: &str, target: &Path) -> io::Result<()> {
    let file = target.with_extension("c");
    fs::write(&file, source)?;
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O2", "-o"]).arg(target).arg(file).args(["-ldl", "-lpthread"]);
    let missing = |error| {
        io::Error::other(format!("cannot run `cc`: {error}; install it: `apt-get install gcc libc6-dev`"))
    };
    let status = compile.status().map_err(missing)?;
    if status.success() { Ok(()) } else { Err(io::Error::other("`cc` cannot compile the library")) }
}
