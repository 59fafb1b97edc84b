//! What a panic says goes into the log: std's own hook writes to standard error itself, and a worker that panics would wait there
//! for as long as nobody reads.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::thread;

/// What std says where it cannot unwind: the process ends behind the hook.
const LAST_WORDS: [&str; 3] = [
    "panic in a destructor during cleanup",
    "panic in a function that cannot unwind",
    "unsafe precondition(s) violated",
];

/// Where the lines of panics go.
pub(super) trait PanicObserver: Send + Sync + 'static {
    /// Whether the log is still the bot's; if not, std says what it usually says.
    fn is_open(&self) -> bool;

    /// Takes a line, and waits for nobody.
    fn observe(&self, line: &str);

    /// Waits until what was heard is written, if that is soon.
    fn write_soon(&self);
}

/// Has panics told to this observer from now on. A hook of the program's own stays as it is, and writes where it likes.
pub(super) fn tell(observer: impl PanicObserver) {
    // Where a panic ends the process, the line has to be written before.
    if cfg!(panic = "abort") {
        return;
    }
    let usual = panic::take_hook();
    if !is_stds(&*usual) {
        panic::set_hook(usual);
        return;
    }
    panic::set_hook(Box::new(move |panic| {
        if !observer.is_open() {
            return usual(panic);
        }
        let message = message(panic.payload());
        observer.observe(&line(panic, message));
        if LAST_WORDS.iter().any(|words| message.starts_with(words)) {
            observer.write_soon();
        }
    }));
}

/// Whether a hook that was just taken is the one of std, which the next one that is taken is for certain.
fn is_stds(taken: &dyn Fn(&PanicHookInfo<'_>)) -> bool {
    let stds = panic::take_hook();
    // Neither has a place in memory: the tables of their functions tell them apart.
    std::ptr::eq(taken, &*stds)
}

fn message(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

fn line(panic: &PanicHookInfo<'_>, message: &str) -> String {
    let (now, thread) = (jiff::Timestamp::now(), thread::current());
    let name = thread.name().unwrap_or("without a name");
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    let mut line = format!("{now:.6} ERROR evenkeel::panic: thread `{name}` panicked{place}: {message}");
    let calls = Backtrace::capture();
    if calls.status() == BacktraceStatus::Captured {
        line.push_str(&format!("\n{calls}"));
    }
    line.trim_end().to_owned() + "\n"
}
