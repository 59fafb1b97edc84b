//! What a figure may be at most, printed beside it; a command that exceeds one fails and names it.

use std::fmt::Display;
use std::io;

/// The bounds of one command, and which of its figures were too large.
#[derive(Default)]
pub(crate) struct Bounds {
    is_strict: bool,
    missed: Vec<String>,
}

impl Bounds {
    /// With `is_strict`, a latency that is too large fails the command, too.
    pub(crate) fn new(is_strict: bool) -> Self {
        Self { is_strict, missed: Vec::new() }
    }

    /// What to print beside a count or a ratio: it comes out alike on a busy machine, so the command fails where it is too large.
    pub(crate) fn most<T: Copy + PartialOrd + Display>(&mut self, figure: &str, value: T, most: T) -> String {
        self.checked(figure, value, most, true)
    }

    /// The same of a time by the clock, which a busy machine makes longer.
    pub(crate) fn latency_ms(&mut self, figure: &str, value: f64, most: f64) -> String {
        self.checked(&format!("{figure}, in ms"), value, most, self.is_strict)
    }

    fn checked<T: Copy + PartialOrd + Display>(
        &mut self,
        figure: &str,
        value: T,
        most: T,
        fails: bool,
    ) -> String {
        let is_met = value <= most;
        if !is_met && fails {
            self.missed.push(format!("{figure}: {value:.2}, at most {most} allowed"));
        }
        format!("at most {most}: {}", if is_met { "met" } else { "MISSED" })
    }

    /// # Errors
    ///
    /// When a figure was too large; it names each.
    pub(crate) fn verdict(self) -> io::Result<()> {
        if self.missed.is_empty() { Ok(()) } else { Err(io::Error::other(self.missed.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_named_and_fails() {
        let mut bounds = Bounds::new(false);
        assert_eq!(bounds.most("ticks", 2, 2), "at most 2: met");
        assert_eq!(bounds.most("instructions", 90.5, 80.0), "at most 80: MISSED");
        assert_eq!(bounds.most("nothing that can be compared", f64::NAN, 1.0), "at most 1: MISSED");
        let error = bounds.verdict().unwrap_err().to_string();
        assert!(error.starts_with("instructions: 90.50, at most 80 allowed; nothing"), "{error}");
    }

    #[test]
    fn a_latency_fails_only_where_that_is_asked_for() {
        for is_strict in [false, true] {
            let mut bounds = Bounds::new(is_strict);
            assert_eq!(bounds.latency_ms("p99", 3.0, 2.0), "at most 2: MISSED");
            assert_eq!(bounds.verdict().is_err(), is_strict);
        }
    }
}
