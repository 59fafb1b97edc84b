//! Opens a page in the person's browser, if there is a person with a browser.

use std::io::{self, IsTerminal};
use std::process::{Command, Stdio};

/// Opens `url`, and says nothing when that fails: the address is on the terminal.
pub(super) fn open(url: &str) {
    if !io::stdout().is_terminal() || !has_display() {
        return;
    }
    let mut command = opener();
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(mut child) = command.spawn() {
        // Some openers live as long as the browser does. The thread takes the child's exit status, so that no zombie
        // stays, and ends with the child or with the process.
        let _detached = std::thread::Builder::new().name("browser".into()).spawn(move || child.wait());
    }
}

fn has_display() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos")) || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

fn opener() -> Command {
    if cfg!(windows) {
        let mut command = Command::new("cmd");
        // The empty word is the title of the window, which `start` takes from its first quoted argument.
        command.args(["/C", "start", ""]);
        command
    } else if cfg!(target_os = "macos") {
        Command::new("open")
    } else {
        Command::new("xdg-open")
    }
}
