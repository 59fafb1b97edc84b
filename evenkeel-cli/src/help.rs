//! What the command says of itself.

/// What help can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Everything,
    Demo,
    New,
    Doctor,
    Dead,
    Jobs,
    Console,
    Lines,
}

/// The commands by name.
pub(crate) const COMMANDS: [&str; 8] = ["demo", "new", "doctor", "dead", "jobs", "console", "lines", "help"];

impl Topic {
    /// The topic of a command's name.
    pub(crate) fn of(command: &str) -> Option<Self> {
        match command {
            "demo" => Some(Self::Demo),
            "new" => Some(Self::New),
            "doctor" => Some(Self::Doctor),
            "dead" => Some(Self::Dead),
            "jobs" => Some(Self::Jobs),
            "console" => Some(Self::Console),
            "lines" => Some(Self::Lines),
            "help" => Some(Self::Everything),
            _ => None,
        }
    }

    /// What to type for this help.
    pub(crate) fn invocation(self) -> &'static str {
        match self {
            Self::Everything => "evenkeel --help",
            Self::Demo => "evenkeel demo --help",
            Self::New => "evenkeel new --help",
            Self::Doctor => "evenkeel doctor --help",
            Self::Dead => "evenkeel dead --help",
            Self::Jobs => "evenkeel jobs --help",
            Self::Console => "evenkeel console --help",
            Self::Lines => "evenkeel lines --help",
        }
    }
}

pub(crate) fn text(topic: Topic) -> &'static str {
    match topic {
        Topic::Everything => EVERYTHING,
        Topic::Demo => DEMO,
        Topic::New => NEW,
        Topic::Doctor => DOCTOR,
        Topic::Dead => DEAD,
        Topic::Jobs => JOBS,
        Topic::Console => CONSOLE,
        Topic::Lines => LINES,
    }
}

const EVERYTHING: &str = "\
evenkeel: tries, starts, examines and tends chat bots

Usage: evenkeel <command> [options]

Commands:
  demo       runs a bot on a page in your browser, with no account and no server
  new        writes a project to start from
  doctor     checks settings, journal and connection before a bot starts
  dead       shows what a bot gave up, gives it another chance, or forgets it
  jobs       shows what a bot will do later, and cancels it
  console    prints the address at which a running bot shows itself in the browser
  lines      names the lines of addresses that a stripped program reported
  help       tells about a command

Options:
  -h, --help       this text, or that of a command
  -V, --version    the version

Examples:
  evenkeel demo
  evenkeel new my-bot
  evenkeel help doctor
";

const DEMO: &str = "\
Runs a bot on a page in your browser, with no account and no server.

Usage: evenkeel demo [--listen ADDRESS:PORT] [--no-open]
       evenkeel demo --standin [ADDRESS:PORT]

Options:
  --listen ADDRESS:PORT    where the page is; 127.0.0.1:8787, or a free port if that one is taken
  --no-open                opens no browser
  --standin [ADDRESS:PORT] in place of a bot, starts a server that behaves as signal-cli-rest-api does, for bots
                           of your own: prints their settings, and you type as Alice, as Bob, or in a group of theirs
  -h, --help               this text

The first line on standard output is the page's address; with --standin the first three are the settings. The log is on
standard error; EVENKEEL_LOG filters it. Ctrl-C ends it.

Examples:
  evenkeel demo
  evenkeel demo --listen 127.0.0.1:0 --no-open
  evenkeel demo --standin 127.0.0.1:8080
";

const NEW: &str = "\
Writes a project to start from: a bot, its test, and its settings.

Usage: evenkeel new NAME [--path DIRECTORY]

Options:
  --path DIRECTORY    where it goes; the name, in the current directory, unless told
  -h, --help          this text

Without settings for Signal the bot runs on a page in the browser; `.env.example` says which settings there are.
The project depends on the source tree that this command was installed from, by its path.

Examples:
  evenkeel new my-bot
  evenkeel new my-bot --path ~/bots/my-bot
";

const DOCTOR: &str = "\
Checks settings, journal, connection and guarantees before a bot starts, and says what to change.

Usage: evenkeel doctor

Reads what a bot reads: the environment, `.env` and `evenkeel.toml` of the current directory. Sends no message,
changes nothing in the journal, and may be started beside the bot.

Options:
  -h, --help    this text

Exit code: 0 when all is well or there are only warnings, 1 when something failed.

Examples:
  evenkeel doctor
  SIGNAL_API_URL=http://127.0.0.1:8080 SIGNAL_PHONE_NUMBER=+15550100000 evenkeel doctor
";

const DEAD: &str = "\
Shows what a bot gave up, gives it another chance, or forgets it: beside the running bot, or without it.

Usage: evenkeel dead [list] [filters] [--json]
       evenkeel dead show ID [--text]
       evenkeel dead replay ID.. | --all | filters [--dry-run] [--yes]
       evenkeel dead discard ID.. | --all | filters [--dry-run] [--yes]
       evenkeel dead export [FILE] [filters] [--text]

Filters, which may be combined:
  --command NAME       those of this command
  --reason REASON      failed, panicked, poison, unreadable, refused,
                       not_sent, unknown, parked, rate_limited or no_network
  --conversation ID    those of the conversation with this id, as `show` has it:
                       of another network than the primary one, `discord:42`
  --limit N            the oldest N of them

Options:
  --all                everything that was given up
  --dry-run            says how many there are, and changes nothing
  --yes                asks nothing: see below
  --json               one object in JSON for each line
  --text               what people and the bot wrote, too; it is left out unless this is given
  --journal FILE       the bot's journal; what EVENKEEL_JOURNAL names, or evenkeel.db, unless told
  -h, --help           this text

An export without FILE, or to `-`, goes to standard output.
An ID is 17 for an event, or 17.2 for a reply. Events come back at the end of their conversations, parked ones at their
place, replies at the end of the outbox. What is replayed and fails again has a new ID; a parked event keeps its own.
A filter is one transaction: all of it is done or nothing; IDs are one each.
`discard` by anything but IDs, and `replay --all`, ask first. Where nobody is at the terminal, they want `--yes`.
EVENKEEL_JOURNAL and EVENKEEL_JOURNAL_KEY are read as a bot reads them: from the environment, `.env`, `evenkeel.toml`.

Exit code: 0 when it was done, 1 when something failed, an ID is not there or the answer was no, 2 for a slip.

Examples:
  evenkeel dead
  evenkeel dead show 17 --text
  evenkeel dead replay --command '!weather' --reason failed
  evenkeel dead discard 17 17.2 --dry-run
  evenkeel dead export dead.jsonl --text --journal /var/lib/bot/evenkeel.db
";

const JOBS: &str = "\
Shows what a bot will do later, and cancels it: beside the running bot, or without it.

Usage: evenkeel jobs [list] [--json]
       evenkeel jobs cancel NAME

Options:
  --json            one object in JSON for each line
  --journal FILE    the bot's journal; what EVENKEEL_JOURNAL names, or evenkeel.db, unless told
  -h, --help        this text

NAME is a name of the list. The number before the dot, or the function with or without its path, will do where it is that
of one job alone. A schedule of the router's that is cancelled comes back at the next start: take it out of the program as
well.

Exit code: 0 when it was done, 1 when something failed or there is no such job, 2 for a slip.

Examples:
  evenkeel jobs
  evenkeel jobs cancel 17.1
  evenkeel jobs cancel schedule my_bot::sweep
";

const CONSOLE: &str = "\
Prints the address at which a running bot shows itself in the browser, with the token that opens it.

Usage: evenkeel console [--journal FILE]

Options:
  --journal FILE    the bot's journal; what EVENKEEL_JOURNAL names, or evenkeel.db, unless told
  -h, --help        this text

A bot has a console if it is built with the feature `page` and started with EVENKEEL_CONSOLE, for example 127.0.0.1:4243.
The token is in a file beside the journal that only the bot's account may read, `evenkeel.db.console`. It outlives a
restart of the bot; take the file away and start the bot again for a new one.

Exit code: 0 when the console is there, 1 when there is none, 2 for a slip.

Examples:
  evenkeel console
  xdg-open \"$(evenkeel console)\"
  evenkeel console --journal /var/lib/bot/evenkeel.db
";

const LINES: &str = "\
Names the functions and lines of addresses that a program without debug information reported.

Usage: evenkeel lines FILE ADDRESS..

FILE is the program as it was before it was stripped, the file that `objcopy --only-keep-debug` made of it, or its
package `FILE.dwp`, with the program beside it. It has to be of the same build: a report says which, and
`readelf --notes FILE` prints it. Of a stripped program that names its debug file, that file is read.

ADDRESS is as a report has it: 0x1a2b3, or shop+0x1a2b3. It counts from the file's own beginning and lies inside the call;
of a return address from elsewhere, take one away. Below the innermost function are those that it was compiled into.

Options:
  -h, --help    this text

Exit code: 0 when each address has a line, 1 when one has none or the file cannot be read, 2 for a slip.

Examples:
  evenkeel lines shop.debug 0x1a2b3
  evenkeel lines target/release/shop shop+0x1a2b3 shop+0x1b004
";
