//! What the person at the terminal reads, and how a command ends.

use std::io::{self, BufRead, IsTerminal, Write};

use evenkeel::visible;

/// One line for the person at the terminal: what is wrong, and what to type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misuse(pub(crate) String);

/// How a run of the command ended, if not well.
pub(crate) enum Failure {
    /// What was typed cannot be done: one line, exit code 2.
    Misuse(Misuse),
    /// Something went wrong on the way: the causes and the hint, exit code 1.
    Failed(evenkeel::Error),
}

impl From<Misuse> for Failure {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl From<evenkeel::Error> for Failure {
    fn from(error: evenkeel::Error) -> Self {
        Self::Failed(error)
    }
}

/// Writes for a person to standard output. Much of it comes from others, names, texts and errors: the terminal obeys nothing
/// of it, through a pager either.
pub(crate) fn say(text: &str) -> Result<(), evenkeel::Error> {
    put(&visible(text))
}

/// Writes JSON for a program to standard output, as it is; a terminal gets the same values, with every character that it
/// would obey or hide in the notation of JSON.
pub(crate) fn say_json(lines: &str) -> Result<(), evenkeel::Error> {
    match io::stdout().is_terminal() {
        true => put(&visible_json(lines)),
        false => put(lines),
    }
}

/// The same values of JSON, written so that a terminal shows all of them.
pub(crate) fn visible_json(lines: &str) -> String {
    // In JSON such characters stand in strings alone, but for the ends of lines, which stay.
    let mut shown = String::with_capacity(lines.len());
    for letter in lines.chars() {
        match visible(letter.encode_utf8(&mut [0; 4])) {
            std::borrow::Cow::Borrowed(_) => shown.push(letter),
            std::borrow::Cow::Owned(_) => {
                let units = letter
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}"))
                    .collect::<String>();
                shown.push_str(&units);
            }
        }
    }
    shown
}

/// Flushes, so that anyone who reads through a pipe has it now.
fn put(text: &str) -> Result<(), evenkeel::Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that is gone (`evenkeel help | head -1`) has read what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(evenkeel::Error::from(error).context("standard output takes nothing"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn complain(line: &str) {
    // Without standard error there is nobody to tell.
    let _gone = writeln!(io::stderr(), "evenkeel: {}", visible(line));
}

/// Asks a question that only a yes answers. `None` where nobody can be asked, because standard input is no terminal.
pub(crate) fn ask(question: &str) -> Option<bool> {
    let stdin = io::stdin();
    stdin.is_terminal().then(|| answer(question, &mut stdin.lock(), &mut io::stderr()))
}

fn answer(question: &str, input: &mut impl BufRead, out: &mut impl Write) -> bool {
    // Who cannot read the question does not answer it with yes.
    let _gone = write!(out, "{} [y/N] ", visible(question)).and_then(|()| out.flush());
    let mut line = String::new();
    let _unread = input.read_line(&mut line);
    matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (typed, is_yes) in
            [("y\n", true), (" YES \n", true), ("\n", false), ("", false), ("n\n", false), ("yep\n", false)]
        {
            let mut asked = Vec::new();
            assert_eq!(answer("discard?", &mut typed.as_bytes(), &mut asked), is_yes, "{typed:?}");
            assert_eq!(asked, b"discard? [y/N] ");
        }
    }

    #[test]
    fn json_on_a_terminal_has_the_same_values_and_nothing_that_is_obeyed() {
        let texts = [
            "\u{202e}evil",
            "\u{9b}2J\u{1b}",
            "\u{e0041}tag",
            "plain \"quoted\" \\ 👩‍🚀",
            "\u{7f}\u{feff}\n\t",
        ];
        let lines = serde_json::to_string(&texts).expect("strings") + "\n";
        let shown = visible_json(&lines);
        assert_eq!(visible(&shown), shown, "nothing is left to be made visible");
        let read: Vec<String> = serde_json::from_str(&shown).expect("it is JSON still");
        assert_eq!(read, texts);
    }
}
