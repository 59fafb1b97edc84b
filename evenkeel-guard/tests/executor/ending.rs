//! What is said when an executor or a guard ends.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use evenkeel_guard::{Allow, Executor, Options, watch_with};
use tracing_subscriber::fmt::MakeWriter;

use super::runtime;

/// The log of one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What this thread logs in `ends`, for `main` may return right after it.
fn log_of(ends: impl FnOnce()) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    tracing::subscriber::with_default(subscriber, ends);
    String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap()
}

#[test]
fn an_entry_that_has_covered_nothing_is_told_of_at_once() {
    let runtime = runtime();
    let options = || Options::default().with_allow(Allow::default().with("file", "shop::nowhere")).unwrap();
    let threads = Executor::with(runtime.handle().clone(), &options());
    let on = Executor::on_with(runtime.handle().clone(), &options());
    let guard = watch_with(&mut tokio::runtime::Builder::new_multi_thread(), &options());
    for text in [log_of(|| drop(threads)), log_of(|| drop(on)), log_of(|| drop(guard))] {
        assert!(text.contains("`file@shop::nowhere`, an entry of the list"), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
