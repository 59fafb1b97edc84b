//! The last word of a program whose bot has failed: `main` says it on standard error, and may wait there for a reader.

use std::io;
use std::sync::mpsc::sync_channel;
use std::thread::{self, Builder};
use std::time::Duration;

/// How long a thread of the process may wait for standard error once the bot has failed.
const LAST: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// From now on, ends the process in place of `main` if some thread holds standard error's lock for longer than a second: it
/// writes, and nobody reads. What else the program does after its bot has failed goes on.
pub(super) fn end_unread() {
    let (tell, told) = sync_channel(0);
    // Both end with the process. Where there is no room for a thread, `main` waits as it would without them.
    let looking = Builder::new().name("evenkeel-end".to_owned()).spawn(move || {
        loop {
            drop(io::stderr().lock());
            if tell.send(()).is_err() {
                return;
            }
            thread::sleep(PAUSE);
        }
    });
    if looking.is_ok() {
        let ending = Builder::new().name("evenkeel-end".to_owned()).spawn(move || {
            while told.recv_timeout(LAST).is_ok() {}
            std::process::exit(1);
        });
        drop(ending);
    }
}
