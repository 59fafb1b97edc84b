//! What stands in a line of the log may come from anybody: anyone who reads it at a terminal sees all of it, and one line is one.

use std::io::{self, Write};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use crate::visible::{visible, visible_but_for_colours};

/// What begins the further lines of something that was logged in several.
const GOES_ON: &str = "\n  | ";

/// Writes lines in which everything is visible; the inner one writes them.
pub(super) struct Shown<M> {
    pub(super) to: M,
    /// Whether the lines are coloured.
    pub(super) is_coloured: bool,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Shown<M> {
    type Writer = Shown<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Shown { to: self.to.make_writer(), is_coloured: self.is_coloured }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Self::Writer {
        Shown { to: self.to.make_writer_for(of), is_coloured: self.is_coloured }
    }
}

impl<W: Write> Write for Shown<W> {
    /// Takes a whole line, as `tracing-subscriber` hands it over: it makes some of what others wrote harmless, and not all.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        let shown = if self.is_coloured { visible_but_for_colours(text) } else { visible(text).into_owned() };
        let shown = shown.replace('\n', GOES_ON);
        self.to.write_all(format!("{shown}{end}").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_log_shows_what_others_wrote_and_obeys_none_of_it() {
        for is_coloured in [false, true] {
            let log = Log::default();
            let to = {
                let log = log.clone();
                move || log.clone()
            };
            let writer = Shown { to, is_coloured };
            let format = tracing_subscriber::fmt().with_writer(writer).with_ansi(is_coloured).without_time();
            tracing::subscriber::with_default(format.finish(), || {
                let hostile = "a\u{202e}b\u{9b}2Jc\u{7}d\re\u{1b}]0;f\u{1b}[2J\u{feff}";
                let error = io::Error::other(hostile);
                tracing::error!(hostile, error = %error, dyn_error = &error as &dyn std::error::Error, "said {hostile}");
                tracing::warn!("one\n2026-01-01 ERROR forged");
            });
            let bytes = log.0.lock().unwrap();
            let text = std::str::from_utf8(&bytes).unwrap();
            for letter in ['\u{202e}', '\u{9b}', '\u{7}', '\r', '\u{feff}'] {
                assert!(!text.contains(letter), "{letter:?} in {text:?}");
            }
            assert!(
                !text.contains("\u{1b}]") && !text.contains("\u{1b}[2J") && text.contains("\\u{202e}"),
                "{text:?}"
            );
            assert_eq!(text.contains("\u{1b}["), is_coloured, "the colours are ours");
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(lines.len(), 3, "{text}");
            assert_eq!(lines[2], "  | 2026-01-01 ERROR forged");
        }
    }
}
