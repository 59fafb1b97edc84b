//! Help, and what is answered to slips.

use crate::running::{evenkeel, finished};

#[test]
fn help_and_version_go_to_standard_output() {
    for (arguments, says) in [
        (&["--help"][..], "Usage: evenkeel <command>"),
        (&["help", "demo"], "--listen ADDRESS:PORT"),
        (&["demo", "--help"], "--listen ADDRESS:PORT"),
        (&["help", "new"], "evenkeel new my-bot"),
        (&["doctor", "-h"], "Exit code: 0"),
        (&["help", "dead"], "evenkeel dead replay --command"),
        (&["jobs", "--help"], "evenkeel jobs cancel 17.1"),
        (&["console", "--help"], "xdg-open \"$(evenkeel console)\""),
        (&["lines", "--help"], "evenkeel lines shop.debug 0x1a2b3"),
        (&["--version"], concat!("evenkeel ", env!("CARGO_PKG_VERSION"))),
    ] {
        let (code, out, err) = finished(evenkeel(arguments));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(out.contains(says), "{arguments:?}: {out}");
    }
}

#[test]
fn a_slip_is_one_line_on_standard_error_and_exit_code_2() {
    for (arguments, says) in [
        (&["docter"][..], "did you mean `evenkeel doctor`?"),
        (&["demo", "--noopen"], "did you mean `--no-open`?"),
        (&["demo", "--listen", "8787"], "write it like `127.0.0.1:"),
        (&["new"], "type `evenkeel new my-bot`"),
        (&["dead", "replay"], "replay what? Give IDs, `--all`, or a filter"),
        (&["dead", "--journal", "nowhere.db"], "there is no journal `nowhere.db` here"),
        (&["lines", "shop.debug"], "type `evenkeel lines shop.debug 0x1a2b3`"),
        (&["jobs", "--journal", "memory"], "a journal that only its bot can see"),
    ] {
        let (code, out, err) = finished(evenkeel(arguments));
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(2), "", 1), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_a_failure_and_a_reader_that_is_gone_is_none() {
    use std::process::Stdio;
    let folder = crate::running::directory("unwritten");
    std::fs::write(folder.join("evenkeel.toml"), "").expect("the folder is there");
    for arguments in [&["--help"][..], &["--version"], &["help", "dead"], &["doctor"]] {
        let run = |out: Stdio| {
            let mut command = evenkeel(arguments);
            command.current_dir(&folder).stdin(Stdio::null()).stdout(out);
            let ended = command.output().expect("the command starts");
            (ended.status.code(), String::from_utf8(ended.stderr).expect("the command writes UTF-8"))
        };
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let (code, err) = run(full.into());
        assert_eq!(code, Some(1), "{arguments:?}: {err}");
        assert!(
            err.starts_with("evenkeel: standard output takes nothing: No space left"),
            "{arguments:?}: {err}"
        );
        let (reader, writer) = std::io::pipe().expect("there is room for a pipe");
        drop(reader);
        assert_eq!(run(writer.into()), (Some(0), String::new()), "{arguments:?}");
    }
}
