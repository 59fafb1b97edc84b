//! What the journal on a file costs: durable messages per second, latency, syncs, bytes, and how fast it comes back.

pub(crate) mod bots;
pub(crate) mod fill;
pub(crate) mod producers;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use evenkeel::journal::sqlite::{SqliteJournal, Stats};
use evenkeel::journal::{
    Acceptance, Answer, DeadFilter, Entry, EventEntry, Journal, NewJob, OperatorEntry, Query, Reason,
    ReplyEntry, Written,
};
use evenkeel::{Conversation, Event, Message, Outbound, Reply, SendKey, Sender};

/// How long each rate is measured.
pub(super) const FOR: Duration = Duration::from_secs(5);

/// Messages per second in the measurement of latency.
const OFFERED: u64 = 500;

const MANY: u64 = 100_000;
const JOBS: u64 = 1_000_000;
/// When they are due: in the year 2100.
const FAR_MS: u64 = 4_102_444_800_000;

/// Runs everything and prints the table.
pub(crate) fn run() -> io::Result<()> {
    in_folder(|folder| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        measure(folder, |what| runtime.block_on(what))
    })
}

/// In a folder under the current one, which is on a disk where a temporary one might not be.
pub(super) fn in_folder(measure: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let folder = std::env::current_dir()?.join(format!("target/journal-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn measure(folder: &Path, wait: impl Fn(Measuring<'_>) -> io::Result<()>) -> io::Result<()> {
    println!("durable messages: accept, begin, promise, done, sent; 300 bytes; every batch is one sync");
    producers::heading();
    for count in [1, 32, 1000] {
        let path = folder.join(format!("rate-{count}.db"));
        wait(Box::pin(async move {
            producers::throughput(&path, count).await?.print();
            Ok(())
        }))?;
    }
    wait(Box::pin(accepting(folder)))?;
    wait(Box::pin(recovery(&folder.join("recovery.db"))))?;
    bots::first_handler(&folder.join("recovery.db"))?;
    wait(Box::pin(dead(&folder.join("dead.db"))))?;
    wait(Box::pin(jobs(&folder.join("jobs.db"))))?;
    bots::on_time(&folder.join("jobs.db"))
}

type Measuring<'a> = std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + 'a>>;

pub(super) fn open(path: &Path) -> io::Result<SqliteJournal> {
    SqliteJournal::open(path).map_err(|error| bots::told(&error))
}

pub(super) async fn write(journal: &mut SqliteJournal, batch: Vec<Entry>) -> io::Result<Vec<Answer>> {
    let written = journal.write(batch).await.map_err(|error| bots::told(&error))?;
    Ok(written.into_answers())
}

pub(super) async fn recover(journal: &mut SqliteJournal) -> io::Result<evenkeel::journal::Recovered> {
    journal.recover().await.map_err(|error| bots::told(&error))
}

pub(super) fn accept(number: u64, begins: bool) -> Entry {
    Entry::Accept { event: event(number, "x".repeat(80)), now_ms: now_ms(), begins }
}

pub(crate) fn event(number: u64, text: String) -> Event {
    let who = format!("+1555{:07}", number % 5000);
    let id = format!("{who}:1:{}", 1_700_000_000_000 + number);
    let message = Message::text(id.clone(), text);
    Event::new(id, Conversation::direct(who.clone()), Sender::new(who), message)
        .with_sent(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000))
}

pub(super) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

fn promise(sequence: u64) -> Entry {
    let reply = Reply::text("a short answer to what was asked");
    let key = SendKey { sequence, index: 0 };
    let conversation = Conversation::direct(format!("+1555{:07}", sequence % 5000));
    let action = reply.actions()[0].clone();
    Entry::Promise {
        outbound: Outbound::new(conversation, action, key),
        command: "!ping".to_owned(),
        begins: true,
    }
}

/// What follows from a batch that was written: each accepted event is done with a reply, each reply is sent.
pub(super) fn follow(Written(written): &Written, next: &mut Vec<Entry>) -> u64 {
    let mut accepted = 0;
    for (entry, answer) in written {
        match (entry, answer) {
            (_, Answer::Accepted(Acceptance::New(sequence))) => {
                accepted += 1;
                next.extend([promise(*sequence), Entry::Event(*sequence, EventEntry::Done)]);
            }
            (Entry::Promise { outbound, .. }, _) => {
                next.push(Entry::Reply(outbound.key, ReplyEntry::Sent { id: None }));
            }
            _ => {}
        }
    }
    accepted
}

pub(super) fn syncs(stats: &Stats) -> u64 {
    stats.full_commits + 2 * stats.checkpoints
}

/// Pages in use, by the header of the file (<https://sqlite.org/fileformat2.html#the_database_header>).
pub(super) fn used_bytes(path: &Path) -> io::Result<u64> {
    let mut head = [0; 40];
    File::open(path)?.read_exact(&mut head)?;
    let number = |at: usize| head[at..at + 4].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    Ok((number(28) - number(36)) * 4096)
}

/// User and system time of this process.
pub(super) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// At 500 messages a second: a bare write and sync, and an accept, in turn.
async fn accepting(folder: &Path) -> io::Result<()> {
    let bare = bare_syncs(&folder.join("bare"), FOR)?;
    let mut journal = open(&folder.join("latency.db"))?;
    recover(&mut journal).await?;
    let health = journal.health();
    let mut taken = Vec::new();
    let mut next = Vec::new();
    let start = Instant::now();
    let count = OFFERED * FOR.as_secs();
    let mut number = 0;
    while number < count {
        let due = start + Duration::from_micros(1_000_000 / OFFERED) * u32::try_from(number).unwrap_or(0);
        // A timer of tokio is too coarse for this.
        while Instant::now() < due {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let mut batch = std::mem::take(&mut next);
        let mut arrived = Vec::new();
        while number < count {
            let due = start + Duration::from_micros(1_000_000 / OFFERED) * u32::try_from(number).unwrap_or(0);
            if due > Instant::now() {
                break;
            }
            arrived.push(due);
            batch.push(accept(number, true));
            number += 1;
        }
        let written = journal.write(batch).await.map_err(|error| bots::told(&error))?;
        taken.extend(arrived.into_iter().map(|due| due.elapsed()));
        follow(&written, &mut next);
    }
    journal.close().await;
    let stats = health.stats();
    let (bare, taken) = (percentiles(bare), percentiles(taken));
    println!("\nat {OFFERED} messages/s, p50 / p99 / max in ms");
    println!("  bare write + fdatasync   {:.2} / {:.2} / {:.2}", bare[0], bare[1], bare[2]);
    println!("  accept                   {:.2} / {:.2} / {:.2}", taken[0], taken[1], taken[2]);
    println!("  syncs per message        {:.2}", syncs(&stats) as f64 / count as f64);
    Ok(())
}

fn bare_syncs(path: &Path, how_long: Duration) -> io::Result<Vec<Duration>> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let start = Instant::now();
    let mut taken = Vec::new();
    for number in 0..OFFERED * how_long.as_secs() {
        let due = start + Duration::from_micros(1_000_000 / OFFERED) * u32::try_from(number).unwrap_or(0);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        file.write_all(&[b'x'; 300])?;
        file.sync_data()?;
        // From its own beginning: a write that begins late because of the one before is no slower for that.
        taken.push(begun.elapsed());
    }
    Ok(taken)
}

pub(super) fn percentiles(mut times: Vec<Duration>) -> [f64; 3] {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    [at(0.5), at(0.99), at(1.0)]
}

async fn recovery(path: &Path) -> io::Result<()> {
    let mut journal = open(path)?;
    recover(&mut journal).await?;
    for from in (0..MANY).step_by(1000) {
        write(&mut journal, (from..from + 1000).map(|number| accept(number, number % 100 == 0)).collect())
            .await?;
    }
    drop(journal);
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut journal = open(path)?;
    let opened = start.elapsed();
    let left = recover(&mut journal).await?;
    println!(
        "\nrecovery with {} pending: {:.0} ms ({:.0} ms of them to open; {:.0} ms of CPU)",
        left.events.len(),
        millis(start.elapsed()),
        millis(opened),
        millis(cpu_time() - cpu)
    );
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn dead(path: &Path) -> io::Result<()> {
    let mut journal = open(path)?;
    recover(&mut journal).await?;
    for from in (0..MANY).step_by(1000) {
        write(&mut journal, (from..from + 1000).map(|number| accept(number, true)).collect()).await?;
        let dead_letter = |sequence| {
            Entry::Event(
                sequence,
                EventEntry::DeadLetter {
                    reason: Reason::Failed,
                    error: "the weather service is down: connection refused".to_owned(),
                    command: "!weather".to_owned(),
                    now_ms: now_ms(),
                },
            )
        };
        write(&mut journal, (from + 1..=from + 1000).map(dead_letter).collect()).await?;
    }
    let (start, cpu) = (Instant::now(), cpu_time());
    let answers = write(&mut journal, vec![Entry::Query(Query::ListDead(DeadFilter::default()))]).await?;
    let asked = start.elapsed();
    let Some(Answer::Dead(dead)) = answers.into_iter().next() else { return Ok(()) };
    let count = dead.await.map_err(|error| bots::told(&error))?.len();
    let (listed, cpu) = (start.elapsed(), cpu_time() - cpu);
    let start = Instant::now();
    write(
        &mut journal,
        vec![Entry::Operator(OperatorEntry::Replay { filter: DeadFilter::default(), now_ms: now_ms() })],
    )
    .await?;
    println!(
        "dead letters: {count} listed in {:.0} ms ({:.0} ms of CPU), which held the writer up for {:.1} ms, replayed in {:.0} ms",
        millis(listed),
        millis(cpu),
        millis(asked),
        millis(start.elapsed())
    );
    Ok(())
}

async fn jobs(path: &Path) -> io::Result<()> {
    let mut journal = open(path)?;
    recover(&mut journal).await?;
    let start = Instant::now();
    for from in (0..JOBS).step_by(4000) {
        let job = |number: u64| {
            let due_ms = FAR_MS + number.wrapping_mul(0x9e37_79b9) % 86_400_000;
            Entry::Schedule(NewJob {
                name: number.to_string(),
                conversation: String::new(),
                due_ms,
                body: vec![b'x'; 100].into(),
                keeps_due: false,
            })
        };
        write(&mut journal, (from..from + 4000).map(job).collect()).await?;
    }
    let kept = start.elapsed();
    let start = Instant::now();
    let mut due = Vec::new();
    for _ in 0..100 {
        due =
            write(&mut journal, vec![Entry::Query(Query::Due { until_ms: FAR_MS + 86_400_000, limit: 100 })])
                .await?;
    }
    let asked = start.elapsed() / 100;
    let Some(Answer::Due { jobs, .. }) = due.first() else { return Ok(()) };
    let fire = |job: &evenkeel::journal::Job| {
        let Entry::Accept { event, now_ms, .. } = accept(job.id, true) else {
            unreachable!("it is an accept")
        };
        Entry::Fire {
            job: job.id,
            due_ms: job.due_ms,
            event: Some(event),
            begins: true,
            next_ms: None,
            now_ms,
        }
    };
    let batch = jobs.iter().map(fire).collect();
    let start = Instant::now();
    write(&mut journal, batch).await?;
    println!(
        "jobs: {JOBS} kept in {:.1} s ({:.1} us each); 100 due found in {:.2} ms, fired in {:.2} ms; {:.0} bytes each",
        kept.as_secs_f64(),
        kept.as_secs_f64() * 1e6 / JOBS as f64,
        millis(asked),
        millis(start.elapsed()),
        file_bytes(path) as f64 / JOBS as f64,
    );
    Ok(())
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |data| data.len())
}
