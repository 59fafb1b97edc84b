//! What the command says of itself.

/// What help can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Everything,
    Demo,
    New,
    Doctor,
}

/// The commands by name.
pub(crate) const COMMANDS: [&str; 4] = ["demo", "new", "doctor", "help"];

impl Topic {
    /// The topic of a command's name.
    pub(crate) fn of(command: &str) -> Option<Self> {
        match command {
            "demo" => Some(Self::Demo),
            "new" => Some(Self::New),
            "doctor" => Some(Self::Doctor),
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
        }
    }
}

pub(crate) fn text(topic: Topic) -> &'static str {
    match topic {
        Topic::Everything => EVERYTHING,
        Topic::Demo => DEMO,
        Topic::New => NEW,
        Topic::Doctor => DOCTOR,
    }
}

const EVERYTHING: &str = "\
evenkeel: tries, starts and examines chat bots

Usage: evenkeel <command> [options]

Commands:
  demo       runs a bot on a page in your browser, with no account and no server
  new        writes a project to start from
  doctor     checks settings, connection and guarantees before a bot starts
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
                           of your own: prints their settings, and you type as Alice
  -h, --help               this text

The first line on standard output is the page's address. The log is on standard error; EVENKEEL_LOG filters it.
Ctrl-C ends it.

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

Examples:
  evenkeel new my-bot
  evenkeel new my-bot --path ~/bots/my-bot
";

const DOCTOR: &str = "\
Checks settings, connection and guarantees before a bot starts, and says what to change.

Usage: evenkeel doctor

Reads what a bot reads: the environment, `.env` and `evenkeel.toml` of the current directory. Sends no message.

Options:
  -h, --help    this text

Exit code: 0 when all is well or there are only warnings, 1 when something failed.

Examples:
  evenkeel doctor
  SIGNAL_API_URL=http://127.0.0.1:8080 SIGNAL_PHONE_NUMBER=+15550100000 evenkeel doctor
";
