//! Every command that was polled, and how it stands: clean, or caught and kept in quarantine.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::call::incident;
use crate::clock::Moment;
use crate::report::{Label, as_seconds};
use crate::slot::{CommandId, locked};

/// Commands that are told apart. Later ones share a number, and are seen but never put in quarantine.
const COMMANDS: usize = 4096;
/// What a thread of somebody else's runtime polls between two tasks that have a label.
pub(crate) const UNNAMED: CommandId = 0;
/// All commands beyond the last number.
const OTHERS: CommandId = 1;

/// Polls of a command that have to end before more than [`AT_FIRST`] of it run at a time.
const PROVEN: u32 = 16;
/// This many threads a command may keep that has shown nothing yet: if none of them comes back, that is all it has cost.
const AT_FIRST: u32 = 2;
/// After so long a command runs as it comes, whatever keeps those that began: it may be slow, and nothing worse.
const HELD_BACK: Duration = Duration::from_millis(250);

/// When a command leaves quarantine by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parole {
    pub(crate) after: Duration,
    pub(crate) polls: u32,
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

/// How often a command has been in quarantine, and whether this time is a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strikes {
    pub(crate) count: u32,
    pub(crate) is_new: bool,
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

/// Whether a poll is one of the first of its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    No,
    Yes,
    /// There are enough of them under way: it has to wait.
    Later,
}

/// Says of an incident that nobody looks into it: its strike stands as it is.
const UNSEEN: u64 = 1 << 63;

/// A strike comes in two steps. [`Registry::strike`] takes the command off the workers where the incident is found, without a lock
/// and at once. Anyone who looks into it then says that it stands ([`Registry::confirm`]) or not ([`Registry::withdraw`]).
pub(crate) struct Registry {
    /// Tells this registry from others, for the number that a label remembers.
    number: u64,
    commands: Box<[Command]>,
    /// Whether there is a strike that nobody will look into.
    has_unseen: AtomicBool,
    /// Strikes that are not confirmed yet.
    provisional: AtomicU64,
    pages: Mutex<Pages>,
    parole: Parole,
}

/// What is asked on each poll or in the middle of a call.
#[derive(Default)]
struct Command {
    standing: AtomicU8,
    /// Whether it is never put in quarantine.
    is_exempt: AtomicBool,
    /// Polls in quarantine since the last offence.
    clean_polls: AtomicU32,
    /// Calls that keep a worker's thread at this moment.
    stuck: AtomicU32,
    /// Polls that have ended since it was last seen to keep a thread; counted up to [`PROVEN`].
    proven: AtomicU32,
    /// Polls that were begun before that.
    first_polls: AtomicU32,
    /// Since when it is held back, in nanoseconds; zero while it is not.
    held_back: AtomicU64,
    /// The incident whose strike is not confirmed yet, or zero.
    provisional: AtomicU64,
    /// The incident before which all is forgiven.
    pardoned: AtomicU64,
}

#[derive(Default)]
struct Pages {
    /// By number.
    labels: Vec<Label>,
    numbers: HashMap<CommandKey, CommandId>,
    records: HashMap<CommandId, Record>,
}

/// What makes two labels the same command.
type CommandKey = (Box<str>, &'static str, u32, u32);

struct Record {
    strikes: u32,
    since: Instant,
}

impl Registry {
    pub(crate) fn new(parole: Parole) -> Self {
        static REGISTRIES: AtomicU64 = AtomicU64::new(1);
        let labels = vec![Label::new("a task without a name").general(), Label::new("others").general()];
        let commands: Box<[Command]> = (0..COMMANDS).map(|_| Command::default()).collect();
        for label in 0..labels.len() {
            commands[label].is_exempt.store(true, Ordering::Relaxed);
        }
        Self {
            number: REGISTRIES.fetch_add(1, Ordering::Relaxed),
            commands,
            has_unseen: AtomicBool::new(false),
            provisional: AtomicU64::new(0),
            pages: Mutex::new(Pages { labels, ..Pages::default() }),
            parole,
        }
    }

    fn of(&self, command: CommandId) -> &Command {
        &self.commands[command as usize % COMMANDS]
    }

    /// The number of a label; the same for all labels of one name and line.
    pub(crate) fn command(&self, label: &Label) -> CommandId {
        if let Some((registry, command)) = label.number()
            && registry == self.number
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
            self.of(command).is_exempt.store(label.is_general(), Ordering::Relaxed);
            pages.labels.push(label.clone());
            pages.numbers.insert(place, command);
            command
        });
        label.remember((self.number, command));
        command
    }

    pub(crate) fn label(&self, command: CommandId) -> Label {
        let pages = locked(&self.pages);
        pages.labels.get(command as usize).unwrap_or(&pages.labels[UNNAMED as usize]).clone()
    }

    /// Whether it is polled on the workers: one load, for each poll.
    #[inline]
    pub(crate) fn is_clean(&self, command: CommandId) -> bool {
        self.of(command).standing.load(Ordering::Relaxed) == Standing::Clean as u8
    }

    pub(crate) fn standing(&self, command: CommandId) -> Standing {
        match self.of(command).standing.load(Ordering::Relaxed) {
            1 => Standing::Blocking,
            2 => Standing::Compute,
            _ => Standing::Clean,
        }
    }

    /// Puts a command in quarantine until the incident has been looked into. Neither allocates nor locks. Answers whether it was on
    /// the workers until now.
    pub(crate) fn strike(&self, command: CommandId, standing: Standing, incident: u64) -> bool {
        let of = self.of(command);
        if of.is_exempt.load(Ordering::Relaxed) || incident < of.pardoned.load(Ordering::Relaxed) {
            return false;
        }
        of.clean_polls.store(0, Ordering::Relaxed);
        let (clean, caught) = (Standing::Clean as u8, standing as u8);
        let was_clean =
            of.standing.compare_exchange(clean, caught, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if was_clean {
            self.provisional.fetch_add(1, Ordering::Relaxed);
            of.provisional.store(incident, Ordering::Release);
        }
        was_clean
    }

    /// Nobody will look into an incident: whatever strike came of it stands.
    pub(crate) fn leave_unseen(&self, command: CommandId, incident: u64) {
        let provisional = &self.of(command).provisional;
        let left =
            provisional.compare_exchange(incident, incident | UNSEEN, Ordering::AcqRel, Ordering::Relaxed);
        if left.is_ok() {
            self.has_unseen.store(true, Ordering::Release);
        }
    }

    /// Confirms what nobody will look into. Answers the labels.
    pub(crate) fn confirm_unseen(&self) -> Vec<Label> {
        if !self.has_unseen.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let unseen = (0..COMMANDS as CommandId).filter_map(|command| {
            let incident = self.of(command).provisional.load(Ordering::Acquire);
            let standing = self.standing(command);
            let is_meant = incident & UNSEEN != 0 && standing != Standing::Clean;
            is_meant.then(|| self.confirm(command, standing, incident)).filter(|strikes| strikes.is_new)?;
            Some(self.label(command))
        });
        unseen.collect()
    }

    /// An incident was no offence: a strike that came of it is taken back, and leaves nothing.
    pub(crate) fn withdraw(&self, command: CommandId, incident: u64) {
        let of = self.of(command);
        if of.provisional.compare_exchange(incident, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.provisional.fetch_sub(1, Ordering::Relaxed);
            of.standing.store(Standing::Clean as u8, Ordering::Release);
        }
    }

    /// Strikes that were given and have not been looked into.
    pub(crate) fn provisional_strikes(&self) -> u64 {
        self.provisional.load(Ordering::Relaxed)
    }

    /// An incident was an offence. Nothing comes of it for what cannot be put in quarantine, and for what began before a pardon: a call
    /// that goes on is found again and again.
    pub(crate) fn confirm(&self, command: CommandId, standing: Standing, incident: u64) -> Strikes {
        let of = self.of(command);
        let mut pages = locked(&self.pages);
        if of.is_exempt.load(Ordering::Relaxed) || (incident & !UNSEEN) < of.pardoned.load(Ordering::Relaxed)
        {
            return Strikes::default();
        }
        let was_clean = self.standing(command) == Standing::Clean;
        let was_provisional = self.take_provisional(of);
        let record = pages.records.entry(command).or_insert(Record { strikes: 0, since: Instant::now() });
        let is_new = was_clean || was_provisional;
        if is_new {
            (record.strikes, record.since) = (record.strikes + 1, Instant::now());
        }
        of.clean_polls.store(0, Ordering::Relaxed);
        of.standing.store(standing as u8, Ordering::Release);
        Strikes { count: record.strikes, is_new }
    }

    /// How often a command has been in quarantine, as far as that is confirmed.
    pub(crate) fn strikes(&self, command: CommandId) -> u32 {
        locked(&self.pages).records.get(&command).map_or(0, |record| record.strikes)
    }

    /// Whether a command is in quarantine, and for certain.
    pub(crate) fn is_confirmed(&self, command: CommandId) -> bool {
        !self.is_clean(command) && self.of(command).provisional.load(Ordering::Relaxed) == 0
    }

    /// Whether one more poll of the command may begin: mostly one load. A command that has shown nothing yet is held back, since each
    /// poll that never returns costs a thread. If [`First::Yes`], [`Registry::ended`] has to follow.
    #[inline]
    pub(crate) fn begins(&self, command: CommandId) -> First {
        let of = self.of(command);
        if of.proven.load(Ordering::Relaxed) >= PROVEN { First::No } else { self.begins_first(of) }
    }

    #[cold]
    fn begins_first(&self, of: &Command) -> First {
        if of.is_exempt.load(Ordering::Relaxed) {
            return First::No;
        }
        let kept = of.first_polls.fetch_add(1, Ordering::Relaxed) + of.stuck.load(Ordering::Relaxed);
        if kept < AT_FIRST {
            return First::Yes;
        }
        let (now, none) = (Moment::now(), 0);
        let since = of.held_back.compare_exchange(none, now.nanos(), Ordering::Relaxed, Ordering::Relaxed);
        let since = since.map_or_else(Moment::from_nanos, |_| now);
        if since.elapsed() >= HELD_BACK {
            return First::Yes;
        }
        of.first_polls.fetch_sub(1, Ordering::Relaxed);
        First::Later
    }

    /// A poll has ended that was one of the first. Answers whether the command has shown enough by that.
    pub(crate) fn ended(&self, command: CommandId) -> bool {
        let of = self.of(command);
        of.first_polls.fetch_sub(1, Ordering::Relaxed);
        of.held_back.store(0, Ordering::Relaxed);
        of.proven.fetch_add(1, Ordering::Relaxed) + 1 == PROVEN
    }

    /// Whether a command may be polled without more ado.
    pub(crate) fn is_proven(&self, command: CommandId) -> bool {
        let of = self.of(command);
        of.proven.load(Ordering::Relaxed) >= PROVEN || of.is_exempt.load(Ordering::Relaxed)
    }

    /// A call of this command lasts: it has to prove itself anew.
    pub(crate) fn doubt(&self, command: CommandId) {
        self.of(command).proven.store(0, Ordering::Relaxed);
    }

    /// A call of this command begins to keep a worker's thread. Answers how many do so at this moment.
    pub(crate) fn sticks(&self, command: CommandId) -> u32 {
        self.of(command).stuck.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// It has returned.
    pub(crate) fn comes_off(&self, command: CommandId) {
        self.of(command).stuck.fetch_sub(1, Ordering::Relaxed);
    }

    /// A poll in quarantine has ended. After the time of parole and enough clean ones, the command is clean again;
    /// one that comes back stays for good. Answers whether it was let go.
    pub(crate) fn polled(&self, command: CommandId, is_clean: bool) -> bool {
        let polls = &self.of(command).clean_polls;
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
            self.of(command).standing.store(Standing::Clean as u8, Ordering::Relaxed);
        }
        is_over
    }

    /// Lets every command of this name go, and forgets what it did and is doing. Answers how many there were.
    pub(crate) fn pardon(&self, name: &str) -> usize {
        let mut pages = locked(&self.pages);
        let Pages { labels, records, .. } = &mut *pages;
        let now = incident();
        let meant = labels.iter().enumerate().filter(|(_, label)| label.name() == name);
        let meant = meant.map(|(command, _)| command as CommandId).filter(|command| {
            let was_caught = self.standing(*command) != Standing::Clean;
            records.remove(command).is_some() || was_caught
        });
        let meant: Vec<_> = meant.collect();
        for command in &meant {
            let of = self.of(*command);
            of.pardoned.store(now, Ordering::Relaxed);
            self.take_provisional(of);
            of.standing.store(Standing::Clean as u8, Ordering::Release);
        }
        meant.len()
    }

    /// Whether a strike was provisional, which it is no more.
    fn take_provisional(&self, of: &Command) -> bool {
        let was_provisional = of.provisional.swap(0, Ordering::AcqRel) != 0;
        self.provisional.fetch_sub(u64::from(was_provisional), Ordering::Relaxed);
        was_provisional
    }

    /// Those in quarantine, by name; those as well whose strike has not been looked into yet.
    pub(crate) fn quarantined(&self) -> Vec<Quarantined> {
        let pages = locked(&self.pages);
        let inside = pages.labels.iter().enumerate().map(|(command, label)| (command as CommandId, label));
        let inside = inside.filter(|(command, _)| self.standing(*command) != Standing::Clean);
        let mut quarantined: Vec<_> = inside
            .map(|(command, label)| {
                let record = pages.records.get(&command);
                let is_provisional = self.of(command).provisional.load(Ordering::Relaxed) != 0;
                Quarantined {
                    name: label.name().to_owned(),
                    file: label.location().file(),
                    line: label.location().line(),
                    is_compute: self.standing(command) == Standing::Compute,
                    strikes: record.map_or(0, |record| record.strikes) + u32::from(is_provisional),
                    since: record.map(|record| record.since.elapsed()).unwrap_or_default(),
                    is_permanent: record.is_some_and(Record::is_permanent),
                }
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
        let registry = Registry::new(AT_ONCE);
        let label = |name: &str| Label::new(name);
        let (ping, again, pong) = (label("ping"), label("ping"), label("pong"));
        assert_eq!(registry.command(&ping), registry.command(&again));
        assert_ne!(registry.command(&ping), registry.command(&pong));
        assert_eq!(registry.label(registry.command(&pong)).name(), "pong");
        let other = Registry::new(AT_ONCE);
        other.command(&pong);
        assert_eq!(other.label(other.command(&ping)).name(), "ping", "a label of two registries");
    }

    #[test]
    fn parole_follows_clean_polls_and_is_given_once() {
        let registry = Registry::new(AT_ONCE);
        let command = registry.command(&Label::new("!weather"));
        assert_eq!(registry.confirm(command, Standing::Blocking, incident()).count, 1);
        assert_eq!(registry.confirm(command, Standing::Blocking, incident()).count, 1, "the same quarantine");
        assert_eq!(registry.standing(command), Standing::Blocking);
        let polls = [true, true, false, true, true].map(|is_clean| registry.polled(command, is_clean));
        assert_eq!(polls, [false; 5], "an offence starts the count anew");
        assert!(registry.polled(command, true));
        assert_eq!(registry.standing(command), Standing::Clean);
        assert_eq!(registry.confirm(command, Standing::Compute, incident()).count, 2);
        assert!((0..10).all(|_| !registry.polled(command, true)), "it came back");
        assert!(registry.quarantined()[0].is_permanent);
    }

    #[test]
    fn the_operator_pardons_by_name() {
        let registry = Registry::new(Parole { after: Duration::MAX, polls: 1 });
        let command = registry.command(&Label::new("!weather"));
        let under_way = incident();
        registry.confirm(command, Standing::Compute, under_way);
        assert_eq!((registry.pardon("!other"), registry.quarantined().len()), (0, 1));
        assert_eq!((registry.pardon("!weather"), registry.quarantined().len()), (1, 0));
        assert_eq!(
            registry.confirm(command, Standing::Blocking, under_way).count,
            0,
            "the call that was pardoned goes on"
        );
        assert_eq!(registry.standing(command), Standing::Clean);
        assert_eq!(registry.confirm(command, Standing::Blocking, incident()).count, 1);
    }

    #[test]
    fn what_is_everybodys_is_never_put_in_quarantine() {
        let registry = Registry::new(AT_ONCE);
        let routing = registry.command(&Label::new("routing").general());
        assert_eq!(registry.confirm(routing, Standing::Blocking, incident()).count, 0);
        assert_eq!(registry.standing(routing), Standing::Clean);
        for n in 0..=COMMANDS {
            registry.command(&Label::new(n.to_string()));
        }
        let late = registry.command(&Label::new("late"));
        assert_eq!((late, registry.confirm(late, Standing::Compute, incident()).count), (OTHERS, 0));
    }

    #[test]
    fn a_strike_counts_at_once_and_leaves_nothing_when_it_is_withdrawn() {
        let registry = Registry::new(AT_ONCE);
        let command = registry.command(&Label::new("!weather"));
        let (first, second) = (incident(), incident());
        assert!(registry.strike(command, Standing::Blocking, first));
        assert!(!registry.strike(command, Standing::Blocking, second), "it is there already");
        assert_eq!((registry.quarantined()[0].strikes, registry.provisional_strikes()), (1, 1));
        registry.withdraw(command, second);
        assert_eq!(registry.standing(command), Standing::Blocking, "another incident's");
        registry.withdraw(command, first);
        assert_eq!((registry.standing(command), registry.quarantined().len()), (Standing::Clean, 0));
        assert_eq!(registry.provisional_strikes(), 0);
        assert_eq!(registry.confirm(command, Standing::Blocking, second).count, 1, "the second was one");
        registry.withdraw(command, second);
        assert_eq!(registry.standing(command), Standing::Blocking, "what is confirmed stays");
        assert!(registry.is_confirmed(command) && registry.strikes(command) == 1);
    }

    #[test]
    fn what_nobody_looks_into_stands() {
        let registry = Registry::new(AT_ONCE);
        let (unseen, seen) = (registry.command(&Label::new("unseen")), registry.command(&Label::new("seen")));
        let (first, second) = (incident(), incident());
        registry.strike(unseen, Standing::Blocking, first);
        registry.strike(seen, Standing::Blocking, second);
        registry.leave_unseen(unseen, first);
        registry.withdraw(unseen, first);
        let confirmed: Vec<_> =
            registry.confirm_unseen().iter().map(|label| label.name().to_owned()).collect();
        assert_eq!(confirmed, ["unseen"]);
        assert_eq!(registry.confirm_unseen().len(), 0);
        registry.withdraw(seen, second);
        let inside = registry.quarantined();
        assert_eq!(inside.iter().map(|one| (&*one.name, one.strikes)).collect::<Vec<_>>(), [("unseen", 1)]);
    }

    #[test]
    fn a_pardon_covers_what_is_not_confirmed_yet() {
        let registry = Registry::new(AT_ONCE);
        let command = registry.command(&Label::new("!weather"));
        let under_way = incident();
        registry.strike(command, Standing::Blocking, under_way);
        assert_eq!(registry.pardon("!weather"), 1);
        assert_eq!(registry.confirm(command, Standing::Blocking, under_way).count, 0);
        assert!(!registry.strike(command, Standing::Blocking, under_way), "it goes on");
        assert!(registry.quarantined().is_empty());
    }
}
