//! Every command that was polled, and how it stands: clean, or caught and kept in quarantine.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::report::{Label, as_seconds};
use crate::slot::{CommandId, locked};

/// Commands that are told apart. Later ones share a number, and are seen but never put in quarantine.
const COMMANDS: usize = 4096;
/// What a thread of somebody else's runtime polls between two tasks that have a label.
const NOTHING: CommandId = 0;
/// All commands beyond the last number.
const OTHERS: CommandId = 1;

/// When a command leaves quarantine by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parole {
    pub(crate) after: Duration,
    pub(crate) polls: u32,
}

/// A number for something that begins to keep a thread: higher than all before it.
pub(crate) fn incident() -> u64 {
    static INCIDENTS: AtomicU64 = AtomicU64::new(1);
    INCIDENTS.fetch_add(1, Ordering::Relaxed)
}

/// Where a command is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Standing {
    /// On the workers.
    Clean = 0,
    /// On threads of which there may be many, because they sleep.
    Blocking = 1,
    /// On few threads of low priority, because they keep a core busy.
    Compute = 2,
}

/// A command that is kept away from the workers, because it blocked them.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// What was polled.
    pub name: String,
    /// The file in which the author named it.
    pub file: &'static str,
    /// The line of that file.
    pub line: u32,
    /// Whether it kept a core busy (few threads of low priority), or slept in a call (many threads).
    pub is_compute: bool,
    /// How often it was put in quarantine.
    pub strikes: u32,
    /// How long ago the last time was, in seconds.
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    pub since: Duration,
    /// Whether only a pardon ends it. The first quarantine ends by itself, after ten minutes and a hundred clean polls.
    pub is_permanent: bool,
}

pub(crate) struct Book {
    /// Tells this book from others, for the number that a label remembers.
    number: u64,
    standings: Box<[AtomicU8; COMMANDS]>,
    /// Polls in quarantine since the last offence.
    clean_polls: Box<[AtomicU32]>,
    pages: Mutex<Pages>,
    parole: Parole,
}

#[derive(Default)]
struct Pages {
    /// By number.
    labels: Vec<Label>,
    numbers: HashMap<Place, CommandId>,
    records: HashMap<CommandId, Record>,
    /// The incident before which all is forgiven.
    pardoned: HashMap<CommandId, u64>,
}

/// What makes two labels the same command.
type Place = (Box<str>, &'static str, u32, u32);

struct Record {
    strikes: u32,
    since: Instant,
}

impl Book {
    pub(crate) fn new(parole: Parole) -> Self {
        static BOOKS: AtomicU64 = AtomicU64::new(1);
        let labels = vec![Label::new("a task without a name").general(), Label::new("others").general()];
        Self {
            number: BOOKS.fetch_add(1, Ordering::Relaxed),
            standings: Box::new([const { AtomicU8::new(0) }; COMMANDS]),
            clean_polls: (0..COMMANDS).map(|_| AtomicU32::new(0)).collect(),
            pages: Mutex::new(Pages { labels, ..Pages::default() }),
            parole,
        }
    }

    /// The number of a label; the same for all labels of one name and line.
    pub(crate) fn command(&self, label: &Label) -> CommandId {
        if let Some((book, command)) = label.number()
            && book == self.number
        {
            return command;
        }
        let location = label.location();
        let place = (Box::from(label.name()), location.file(), location.line(), location.column());
        let mut pages = locked(&self.pages);
        let command = pages.numbers.get(&place).copied().unwrap_or_else(|| {
            if pages.labels.len() == COMMANDS {
                return OTHERS;
            }
            let command = pages.labels.len() as CommandId;
            pages.labels.push(label.clone());
            pages.numbers.insert(place, command);
            command
        });
        label.remember((self.number, command));
        command
    }

    pub(crate) fn label(&self, command: CommandId) -> Label {
        let pages = locked(&self.pages);
        pages.labels.get(command as usize).unwrap_or(&pages.labels[NOTHING as usize]).clone()
    }

    /// Whether it is polled on the workers: one load, for each poll.
    #[inline]
    pub(crate) fn is_clean(&self, command: CommandId) -> bool {
        self.standings[command as usize % COMMANDS].load(Ordering::Relaxed) == Standing::Clean as u8
    }

    pub(crate) fn standing(&self, command: CommandId) -> Standing {
        match self.standings[command as usize % COMMANDS].load(Ordering::Relaxed) {
            1 => Standing::Blocking,
            2 => Standing::Compute,
            _ => Standing::Clean,
        }
    }

    /// Puts a command in quarantine. Answers how often it has been there now; zero for what cannot be put there, and
    /// for what began before a pardon: a call that goes on is found again and again.
    pub(crate) fn strike(&self, command: CommandId, standing: Standing, incident: u64) -> u32 {
        if self.label(command).is_general() {
            return 0;
        }
        let mut pages = locked(&self.pages);
        if pages.pardoned.get(&command).is_some_and(|pardoned| incident < *pardoned) {
            return 0;
        }
        let before = self.standing(command);
        let record = pages.records.entry(command).or_insert(Record { strikes: 0, since: Instant::now() });
        if before == Standing::Clean {
            (record.strikes, record.since) = (record.strikes + 1, Instant::now());
        }
        self.clean_polls[command as usize].store(0, Ordering::Relaxed);
        self.standings[command as usize].store(standing as u8, Ordering::Relaxed);
        record.strikes
    }

    /// A poll in quarantine has ended. After the time of parole and enough clean ones, the command is clean again;
    /// one that comes back stays for good. Answers whether it was let go.
    pub(crate) fn polled(&self, command: CommandId, is_clean: bool) -> bool {
        let Some(polls) = self.clean_polls.get(command as usize) else {
            return false;
        };
        if self.is_clean(command) {
            return false; // Let go while this poll was under way.
        }
        if !is_clean {
            polls.store(0, Ordering::Relaxed);
            return false;
        }
        if polls.fetch_add(1, Ordering::Relaxed) + 1 < self.parole.polls {
            return false;
        }
        let pages = locked(&self.pages);
        let record = pages.records.get(&command);
        let is_over = record
            .is_some_and(|record| !record.is_permanent() && record.since.elapsed() >= self.parole.after);
        if is_over {
            self.standings[command as usize].store(Standing::Clean as u8, Ordering::Relaxed);
        }
        is_over
    }

    /// Lets every command of this name go, and forgets what it did and is doing. Answers how many there were.
    pub(crate) fn pardon(&self, name: &str) -> usize {
        let mut pages = locked(&self.pages);
        let Pages { labels, records, pardoned, .. } = &mut *pages;
        let (before, now) = (records.len(), incident());
        records.retain(|command, _| {
            let is_meant = labels.get(*command as usize).is_some_and(|label| label.name() == name);
            if is_meant {
                self.standings[*command as usize].store(Standing::Clean as u8, Ordering::Relaxed);
                pardoned.insert(*command, now);
            }
            !is_meant
        });
        before - records.len()
    }

    /// Those in quarantine, by name.
    pub(crate) fn quarantined(&self) -> Vec<Quarantined> {
        let pages = locked(&self.pages);
        let inside = pages.records.iter().filter(|(command, _)| self.standing(**command) != Standing::Clean);
        let mut quarantined: Vec<_> = inside
            .filter_map(|(command, record)| {
                let label = pages.labels.get(*command as usize)?;
                Some(Quarantined {
                    name: label.name().to_owned(),
                    file: label.location().file(),
                    line: label.location().line(),
                    is_compute: self.standing(*command) == Standing::Compute,
                    strikes: record.strikes,
                    since: record.since.elapsed(),
                    is_permanent: record.is_permanent(),
                })
            })
            .collect();
        quarantined.sort_by(|one, other| one.name.cmp(&other.name));
        quarantined
    }
}

impl Record {
    fn is_permanent(&self) -> bool {
        self.strikes > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Parole = Parole { after: Duration::ZERO, polls: 3 };

    #[test]
    fn labels_of_one_name_and_line_are_one_command() {
        let book = Book::new(AT_ONCE);
        let label = |name: &str| Label::new(name);
        let (ping, again, pong) = (label("ping"), label("ping"), label("pong"));
        assert_eq!(book.command(&ping), book.command(&again));
        assert_ne!(book.command(&ping), book.command(&pong));
        assert_eq!(book.label(book.command(&pong)).name(), "pong");
        let other = Book::new(AT_ONCE);
        other.command(&pong);
        assert_eq!(other.label(other.command(&ping)).name(), "ping", "a label of two books");
    }

    #[test]
    fn parole_follows_clean_polls_and_is_given_once() {
        let book = Book::new(AT_ONCE);
        let command = book.command(&Label::new("!weather"));
        assert_eq!(book.strike(command, Standing::Blocking, incident()), 1);
        assert_eq!(book.strike(command, Standing::Blocking, incident()), 1, "the same quarantine");
        assert_eq!(book.standing(command), Standing::Blocking);
        let polls = [true, true, false, true, true].map(|is_clean| book.polled(command, is_clean));
        assert_eq!(polls, [false; 5], "an offence starts the count anew");
        assert!(book.polled(command, true));
        assert_eq!(book.standing(command), Standing::Clean);
        assert_eq!(book.strike(command, Standing::Compute, incident()), 2);
        assert!((0..10).all(|_| !book.polled(command, true)), "it came back");
        assert!(book.quarantined()[0].is_permanent);
    }

    #[test]
    fn the_operator_pardons_by_name() {
        let book = Book::new(Parole { after: Duration::MAX, polls: 1 });
        let command = book.command(&Label::new("!weather"));
        let under_way = incident();
        book.strike(command, Standing::Compute, under_way);
        assert_eq!((book.pardon("!other"), book.quarantined().len()), (0, 1));
        assert_eq!((book.pardon("!weather"), book.quarantined().len()), (1, 0));
        assert_eq!(
            book.strike(command, Standing::Blocking, under_way),
            0,
            "the call that was pardoned goes on"
        );
        assert_eq!(book.standing(command), Standing::Clean);
        assert_eq!(book.strike(command, Standing::Blocking, incident()), 1);
    }

    #[test]
    fn what_is_everybodys_is_never_put_in_quarantine() {
        let book = Book::new(AT_ONCE);
        let routing = book.command(&Label::new("routing").general());
        assert_eq!(book.strike(routing, Standing::Blocking, incident()), 0);
        assert_eq!(book.standing(routing), Standing::Clean);
        for n in 0..=COMMANDS {
            book.command(&Label::new(n.to_string()));
        }
        let late = book.command(&Label::new("late"));
        assert_eq!((late, book.strike(late, Standing::Compute, incident())), (OTHERS, 0));
    }
}
