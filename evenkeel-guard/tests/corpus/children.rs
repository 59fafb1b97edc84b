//! Rows that need a process of their own: for their standard streams, or to be stopped.

use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, thread};

use evenkeel_guard::Class::{Contention, Input, Output};
use evenkeel_guard::{Executor, Label};
use rustix::process::{Pid, Signal, kill_process};

use crate::row::{Outcome, Row, Verdict, blocks, in_child, once_asleep, runtime, thread_id};

const ROLE: &str = "EVENKEEL_CORPUS_ROLE";
const ASLEEP: &str = "asleep";
const OUTCOME: &str = "outcome ";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        in_child(19, "stdin().read_line", blocks(Input, "std::io::Stdin::read_line"), || {
            Box::pin(async {
                let mut line = String::new();
                here!(io::stdin().read_line(&mut line)).unwrap();
            })
        }),
        in_child(41, "one line to standard output", Verdict::Gray, || {
            Box::pin(async { here!(writeln!(io::stdout(), "a line")).unwrap() })
        }),
        in_child(41, "standard output into a full pipe", blocks(Output, "std::io"), || {
            Box::pin(async {
                once_asleep(thread_id(), || eprintln!("{ASLEEP}"));
                for _ in 0..100 {
                    here!(io::stdout().write_all(&[b'\n'; 4096])).unwrap();
                }
            })
        }),
        in_child(42, "tracing to standard error", Verdict::Fine, || {
            let subscriber = tracing_subscriber::fmt().with_writer(io::stderr).finish();
            Box::pin(async move {
                tracing::subscriber::with_default(subscriber, || {
                    here!(tracing::warn!("a line"));
                });
            })
        }),
    ]
}

/// This test program once more, in another role. It ends with its standard input.
fn child(role: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "children::a_process_plays_its_role", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs a row in a process of its own, whose standard output nobody reads before it sleeps.
pub(crate) fn outcome_of(row: &str) -> Outcome {
    let mut child = child(row);
    drop(child.stdin.take());
    let mut stdout = child.stdout.take().unwrap();
    let mut drain = Some(move || thread::spawn(move || io::copy(&mut stdout, &mut io::sink())));
    let (mut told, mut outcome) = (String::new(), None);
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(drain) = drain.take_if(|_| line == ASLEEP || line.starts_with(OUTCOME)) {
            drain();
        }
        outcome = outcome.or_else(|| line.strip_prefix(OUTCOME).and_then(Outcome::read));
        told.push_str(&line);
        told.push('\n');
    }
    child.wait().unwrap();
    outcome.unwrap_or_else(|| Outcome::wrong(told))
}

#[test]
fn a_process_plays_its_role() {
    let Ok(role) = env::var(ROLE) else { return };
    match &*role {
        "busy" => busy(),
        "harmless" => harmless(),
        name => {
            let row = rows().into_iter().find(|row| row.name == name).unwrap();
            let outcome = row.run_here();
            eprintln!("{OUTCOME}{}", outcome.written());
        }
    }
}

/// Keeps a core busy until standard input ends.
fn busy() {
    let (ended, ends) = mpsc::channel();
    thread::spawn(move || {
        let _read = io::stdin().read_to_end(&mut Vec::new());
        ended.send(()).unwrap();
    });
    while ends.try_recv().is_err() {
        black_box(0);
    }
}

/// Polls what is fine until standard input ends; no report may come of it.
fn harmless() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let polls = || async {
        loop {
            for _ in 0..1000 {
                black_box(format!("{:?}", thread::current().id()));
            }
            tokio::task::yield_now().await;
        }
    };
    let _tasks = [executor.spawn(&Label::new("one"), polls()), executor.spawn(&Label::new("two"), polls())];
    eprintln!("ready");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let reports: Vec<_> =
        executor.failures().into_iter().filter(|report| report.class != Contention).collect();
    assert!(reports.is_empty(), "{reports:#?}");
}

/// Waits for the child to say that it has begun.
fn ready(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
}

fn succeeds(mut child: Child) {
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// CPU time that a process has used, in ticks of the system, mostly of 10 ms.
fn ticks(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let numbers = text.rsplit(')').next().unwrap().split_whitespace();
    numbers.skip(11).take(2).map(|number| number.parse::<u64>().unwrap()).sum()
}

#[test]
fn row_59_busy_processes_do_not_make_a_harmless_poll_guilty() {
    let busy = [child("busy"), child("busy")];
    let mut harmless = child("harmless");
    ready(&mut harmless);
    // Where there are no more cores than processes, it is put aside for the others hundreds of times.
    while ticks(harmless.id()) < 100 {
        thread::yield_now();
    }
    succeeds(harmless);
    busy.into_iter().for_each(succeeds);
}

#[test]
fn row_60_a_process_that_was_stopped_has_not_computed_meanwhile() {
    let mut harmless = child("harmless");
    ready(&mut harmless);
    let id = Pid::from_child(&harmless);
    let state = || {
        let text = fs::read_to_string(format!("/proc/{}/stat", harmless.id())).unwrap();
        text.rsplit(')').next().unwrap().trim_start().chars().next()
    };
    for _ in 0..10 {
        kill_process(id, Signal::STOP).unwrap();
        while state() != Some('T') {
            thread::yield_now();
        }
        // Longer than any poll may keep a core.
        thread::sleep(Duration::from_millis(30));
        kill_process(id, Signal::CONT).unwrap();
        while state() == Some('T') {
            thread::yield_now();
        }
    }
    succeeds(harmless);
}
