//! Processes.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use evenkeel_guard::Class::{Contention, File, Join, Network, Process, Wait};

use crate::row::{Row, blocks, harmless, here};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        blocks("std", "Command::status", Process, || async {
            here!(Command::new("true").status()).unwrap().success()
        })
        .beside(&[Network, Wait]),
        blocks("std", "Command::output", Process, || async {
            String::from_utf8(here!(Command::new("echo").arg("hello").output()).unwrap().stdout)
        })
        .beside(&[Network, Wait, File]),
        blocks("std", "Child::wait", Process, || {
            let mut child = Command::new("sleep").arg("0.02").stdin(Stdio::null()).spawn().unwrap();
            async move { here!(child.wait()).unwrap().success() }
        }),
        blocks("std", "Command::spawn with pre_exec", Process, || {
            let mut command = Command::new("true");
            // SAFETY: the closure does nothing.
            unsafe { command.pre_exec(|| Ok(())) };
            async move {
                let mut child = here!(command.spawn()).unwrap();
                here!(child.wait()).unwrap().success()
            }
        }),
        blocks("std", "PipeReader::read", Wait, || {
            let (mut reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(b"x").unwrap();
            async move { here!(reader.read(&mut [0; 8])).unwrap() }
        }),
        blocks("duct", "cmd!(..).read()", Process, || async {
            here!(duct::cmd!("echo", "hello").read()).unwrap()
        })
        .beside(&[Network, Wait, File, Join, Contention]),
        harmless("tokio", "process::Command::output", || async {
            let output = tokio::process::Command::new("echo").arg("hello").output().await.unwrap();
            String::from_utf8(output.stdout)
        }),
        harmless("tokio", "process::Child::wait", || async {
            let mut child = tokio::process::Command::new("true").spawn().unwrap();
            child.wait().await.unwrap().success()
        }),
    ]
}
