//! What the person at the terminal reads, and how a command ends.

use std::io::{self, BufRead, IsTerminal, Write};

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

/// Writes to standard output and flushes, so that whoever reads through a pipe has it now.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    // A reader that is gone (`evenkeel help | head -1`) has read what it wanted.
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

pub(crate) fn complain(line: &str) {
    // Without standard error there is nobody to tell.
    let _gone = writeln!(io::stderr(), "evenkeel: {line}");
}

/// Asks a question that only a yes answers. `None` where nobody can be asked, because standard input is no terminal.
pub(crate) fn ask(question: &str) -> Option<bool> {
    let stdin = io::stdin();
    stdin.is_terminal().then(|| answer(question, &mut stdin.lock(), &mut io::stderr()))
}

fn answer(question: &str, input: &mut impl BufRead, out: &mut impl Write) -> bool {
    // Who cannot read the question does not answer it with yes.
    let _gone = write!(out, "{question} [y/N] ").and_then(|()| out.flush());
    let mut line = String::new();
    let _unread = input.read_line(&mut line);
    matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::answer;

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
}
