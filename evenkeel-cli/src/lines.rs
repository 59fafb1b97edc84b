//! The lines of addresses, from a program's debug information: what a stripped program reports becomes readable.

mod file;

use std::path::Path;
use std::process::ExitCode;

use crate::terminal::{Failure, say};
use file::{DebugFile, Step};

/// Prints what is at each address; the exit code tells whether each has a line.
pub(crate) fn run(path: &Path, addresses: &[u64]) -> Result<ExitCode, Failure> {
    let file = DebugFile::open(path)?;
    let mut is_whole = true;
    for address in addresses {
        let steps = file.steps(*address)?;
        is_whole &= steps.iter().any(|step| step.line.is_some());
        say(&shown(*address, &steps))?;
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The innermost function beside the address, and below it those that it was compiled into.
fn shown(address: u64, steps: &[Step]) -> String {
    let head = format!("{address:#x}");
    if steps.is_empty() {
        return format!("{head}  ?\n");
    }
    let lines = steps.iter().enumerate().map(|(index, step)| {
        let margin = if index == 0 { head.clone() } else { " ".repeat(head.len()) };
        format!("{margin}  {step}\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_row_for_each_function_that_was_compiled_into_another() {
        let step = |function: &str, line| Step {
            function: Some(function.into()),
            file: Some("src/main.rs".into()),
            line,
        };
        let steps = [step("bot::nap", Some(3)), step("bot::run", Some(9)), step("bot::main", None)];
        let expected = "0x1a2  bot::nap (src/main.rs:3)\n       bot::run (src/main.rs:9)\n       bot::main (src/main.rs)\n";
        assert_eq!(shown(0x1a2, &steps), expected);
        assert_eq!(shown(0x1a2, &[]), "0x1a2  ?\n");
        let nameless = Step { function: None, file: None, line: None };
        assert_eq!(shown(0x5, &[nameless]), "0x5  ?\n");
    }

    #[test]
    fn this_program_knows_its_own_functions() {
        let program = std::env::current_exe().expect("tests have a file");
        let file = DebugFile::open(&program).expect("tests have debug information");
        let (address, line) = file.function("this_program_knows_its_own_functions").expect("a symbol");
        let steps = file.steps(address).expect("readable");
        let step = steps.last().expect("a function");
        assert!(step.function.as_deref().is_some_and(|name| name.contains("this_program_knows")), "{step}");
        assert!(step.file.as_deref().is_some_and(|file| file.ends_with("src/lines.rs")), "{step}");
        assert!(step.line.is_some() && line > 0);
        assert_eq!(file.steps(0).expect("readable").len(), 0);
    }

    #[test]
    fn a_file_that_is_none_is_told_with_what_to_name_instead() {
        for (path, says) in [("/nowhere/shop.debug", "shop.debug"), ("Cargo.toml", "no program")] {
            let Err(Failure::Failed(error)) = run(Path::new(path), &[1]) else {
                panic!("{path} has no lines")
            };
            let text = format!("{error:?}");
            assert!(text.contains(says), "{text}");
        }
    }
}
