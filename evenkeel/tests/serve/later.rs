//! What a later release of a bot finds in its journal under names and in shapes that have changed or gone: it is named, kept, told of,
//! and in nobody's way; and the release before, started again, goes on with it. Time is paused.

use std::any::type_name;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::journal::memory::{MemoryJournal, MemoryStore};
use evenkeel::journal::{Dead, DeadFilter, Reason};
use evenkeel::operator::DeadLetters;
use evenkeel::status::Status;
use evenkeel::transport::Sent;
use evenkeel::{App, Bot, Context, Dialogue, MessageId, Result, Router, State, Text};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};

use crate::home::{BEGAN_MS, End, Home, soon};
use crate::line::{Answer, Far, line_with};
use crate::stuck::log;

const HOUR: Duration = Duration::from_secs(3600);
const SORRY: &str = "Sorry, something went wrong. It has been logged.";

/// The release that began it all.
mod first {
    use evenkeel::{Conversation, Job};

    use super::*;

    #[derive(Serialize, Deserialize)]
    pub(super) enum Order {
        WhichSize,
        WhereTo { size: String },
    }

    pub(super) async fn remind(cx: Context) -> Result<&'static str> {
        cx.after(HOUR, ring, ("tea".to_owned(),))?;
        cx.repeat("every 1h".parse::<evenkeel::schedule::Schedule>()?, tick, ())?;
        Ok("I will")
    }

    pub(super) async fn ring(Job((text,)): Job<(String,)>) -> String {
        format!("you wanted {text}")
    }

    pub(super) async fn tick(_: Job<()>) -> &'static str {
        "tick"
    }

    pub(super) async fn sweep(cx: Context) {
        cx.send(&Conversation::direct("ops"), "swept");
    }

    pub(super) async fn buy(cx: Context, State(charged): State<Count>) -> Result<String> {
        let receipt =
            cx.step("charge", async { Ok(u64::from(charged.fetch_add(1, Ordering::Relaxed)) + 4711) });
        let receipt = receipt.await?;
        if cx.is_first_attempt() {
            cx.reply_now("charged").await?;
            std::future::pending::<()>().await;
        }
        Ok(format!("paid, receipt {receipt}"))
    }

    pub(super) async fn order(mut dialogue: Dialogue<Order>) -> Result<&'static str> {
        dialogue.set(Order::WhichSize)?;
        Ok("which size?")
    }

    pub(super) async fn answer(mut dialogue: Dialogue<Order>, Text(text): Text) -> Result<String> {
        match dialogue.take() {
            None => Ok("say !order".into()),
            Some(Order::WhichSize) => {
                dialogue.set(Order::WhereTo { size: text })?;
                Ok("where to?".into())
            }
            Some(Order::WhereTo { size }) => Ok(format!("a {size} one goes to {text}")),
        }
    }
}

/// The release after it, with other names and other shapes.
mod second {
    use evenkeel::{Conversation, Job};

    use super::*;

    #[derive(Serialize, Deserialize)]
    pub(super) struct Receipt {
        number: u64,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Order {
        size: String,
    }

    pub(super) async fn later(cx: Context) -> Result<&'static str> {
        cx.after(HOUR, own, ())?;
        Ok("later")
    }

    pub(super) async fn own(_: Job<()>) -> &'static str {
        "mine"
    }

    pub(super) async fn remind_again(cx: Context, Job((text,)): Job<(String,)>) -> String {
        let function = cx.event().job().map(|job| job.function().to_owned()).unwrap_or_default();
        assert!(function.ends_with("second::remind_again"), "{function}");
        format!("once more: {text}")
    }

    pub(super) async fn reminders(cx: Context) -> Result<String> {
        let jobs = cx.jobs().await?;
        let is_known = jobs.iter().all(|job| job.function == type_name_of(&clean));
        Ok(format!("{} waiting, known: {is_known}", jobs.len()))
    }

    pub(super) async fn remind_by_number(Job((number,)): Job<(u64,)>) -> String {
        number.to_string()
    }

    pub(super) async fn clean(cx: Context) {
        cx.send(&Conversation::direct("ops"), "cleaned");
    }

    pub(super) async fn buy(cx: Context, State(charged): State<Count>) -> Result<String> {
        let charge = async { Ok(Receipt { number: u64::from(charged.fetch_add(1, Ordering::Relaxed)) }) };
        Ok(format!("paid, number {}", cx.step("charge", charge).await?.number))
    }

    pub(super) async fn order(mut dialogue: Dialogue<Order>) -> Result<String> {
        let was = dialogue.take().map_or("nothing".to_owned(), |order| order.size);
        dialogue.set(Order { size: "large".into() })?;
        Ok(format!("large, it was {was}"))
    }
}

type Count = Arc<AtomicU32>;

async fn ping() -> &'static str {
    "pong"
}

fn type_name_of<F>(_: &F) -> &'static str {
    type_name::<F>()
}

/// What outlives each release: a file, or a store in memory; and the clock.
struct House {
    home: Home,
    memory: Option<MemoryStore>,
    count: AtomicU32,
}

struct Release<'a> {
    house: &'a House,
    bot: JoinHandle<Result<()>>,
    far: Far,
    dead: DeadLetters,
    status: Status,
}

impl House {
    fn on_file(name: &str) -> Self {
        Self { home: Home::new(&format!("later-{name}")), memory: None, count: AtomicU32::new(0) }
    }

    /// One of each kind after the other: it is noon in both.
    fn both(name: &str) -> impl Iterator<Item = Self> {
        [None, Some(MemoryStore::default())].into_iter().map(move |memory| {
            let kind = if memory.is_some() { "memory" } else { "file" };
            Self { memory, ..Self::on_file(&format!("{name}-{kind}")) }
        })
    }

    fn start(&self, router: Router<Count>) -> Release<'_> {
        self.start_app(router.with_state(Count::default()))
    }

    fn start_app(&self, app: App) -> Release<'_> {
        self.start_on(app, Box::new(|_| Ok(Sent::message(MessageId::new("sent")))))
    }

    fn start_on(&self, app: App, answer: Answer) -> Release<'_> {
        let (transport, far) = line_with(Duration::ZERO, answer);
        let Some(store) = &self.memory else {
            let bot = self.home.bot(transport, app);
            let (dead, status) = (bot.dead_letters(), bot.status());
            return Release {
                house: self,
                bot: tokio::spawn(bot.on_this_runtime().serve()),
                far,
                dead,
                status,
            };
        };
        let bot = Bot::new(app).transport(transport).with_journal(MemoryJournal::over(store.clone()));
        let bot = bot.with_clock(self.home.clock());
        let (dead, status) = (bot.dead_letters(), bot.status());
        Release { house: self, bot: tokio::spawn(bot.on_this_runtime().serve()), far, dead, status }
    }

    /// Changes the file behind the bot's back, between two releases.
    fn change(&self, sql: &str) {
        let raw = rusqlite::Connection::open(self.home.file()).unwrap();
        assert!(raw.execute(sql, []).unwrap() > 0, "{sql}");
    }
}

impl Release<'_> {
    fn say(&self, who: &str, text: &str) {
        let id = self.house.count.fetch_add(1, Ordering::Relaxed).to_string();
        self.far.repeat(&id, who, text);
    }

    /// The text of the next reply.
    async fn hears(&mut self) -> String {
        soon(self.far.reply()).await.1
    }

    /// Says something and hears the answer.
    async fn asked(&mut self, who: &str, text: &str) -> String {
        self.say(who, text);
        self.hears().await
    }

    /// Nothing is in the way of anybody.
    async fn is_well(&mut self) {
        for who in ["alice", "bob", "somebody new"] {
            assert_eq!(self.asked(who, "!ping").await, "pong", "{who}");
        }
    }

    async fn listed(&self) -> Vec<Dead> {
        self.dead.list(DeadFilter::default()).await.expect("the bot runs")
    }

    async fn replays(&self) -> u64 {
        self.dead.replay(DeadFilter::default()).await.expect("the bot runs")
    }

    async fn unknown(&self) -> BTreeMap<String, u64> {
        self.status.snapshot().await.expect("the bot runs").unknown_jobs
    }

    async fn end(self, end: End) {
        match end {
            End::Stop => {
                drop(self.far.hang_up());
                self.bot.await.unwrap().unwrap();
            }
            End::Kill => {
                sleep(Duration::from_millis(6)).await;
                self.bot.abort();
                assert!(self.bot.await.unwrap_err().is_cancelled());
            }
        }
    }
}

fn text_of(lines: &Mutex<Vec<u8>>) -> String {
    String::from_utf8(lines.lock().unwrap().clone()).unwrap()
}

fn first() -> Router<Count> {
    let router = Router::new().command("!ping", ping).command("!remind", first::remind);
    let router = router.job(first::ring).job(first::tick).command("!buy", first::buy);
    router.command("!order", first::order).fallback(first::answer)
}

fn second() -> Router<Count> {
    Router::new().command("!ping", ping).command("!later", second::later).job(second::own)
}

#[tokio::test(start_paused = true)]
async fn jobs_whose_functions_have_gone_are_told_kept_and_in_nobodys_way() {
    let (lines, _guard) = log();
    let (ring, tick) = (type_name_of(&first::ring), type_name_of(&first::tick));
    for house in House::both("jobs") {
        lines.lock().unwrap().clear();
        let mut bot = house.start(first());
        assert_eq!(bot.asked("alice", "!remind").await, "I will");
        assert!(bot.unknown().await.is_empty());
        bot.end(End::Stop).await;
        assert!(!text_of(&lines).contains("jobs are planned"));

        let mut bot = house.start(second());
        bot.is_well().await;
        let both = [(ring.to_owned(), 1), (tick.to_owned(), 1)];
        assert_eq!(bot.unknown().await, BTreeMap::from(both));
        let said = text_of(&lines);
        let warnings: Vec<_> = said.lines().filter(|line| line.contains("jobs are planned whose")).collect();
        let names = format!("`{ring}` (1), `{tick}` (1)");
        assert!(warnings.len() == 1 && warnings[0].contains("WARN"), "{said}");
        assert!(warnings[0].contains(&names) && warnings[0].contains("with_job_alias"), "{said}");
        assert_eq!(bot.asked("bob", "!later").await, "later");
        assert_eq!(bot.hears().await, "mine", "due a moment after theirs");
        let dead = bot.listed().await;
        let mut named: Vec<_> = dead.iter().map(|dead| (&*dead.command, dead.reason)).collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        assert_eq!(named, [(ring, Reason::Failed), (tick, Reason::Failed)]);
        for dead in &dead {
            let named = format!("no job of this bot is named `{}`: `", dead.command);
            assert!(dead.error.starts_with(&named) && dead.error.contains("direct conversation"), "{dead:?}");
            assert!(!dead.error.contains("tea"), "{dead:?}");
        }
        advance(3 * HOUR).await;
        bot.is_well().await;
        assert_eq!(bot.listed().await.len(), 2, "one stands for all firings of a job that happens again");
        assert_eq!(bot.unknown().await, BTreeMap::from([(tick.to_owned(), 1)]), "it goes on being planned");
        assert_eq!(bot.replays().await, 2);
        bot.is_well().await;
        assert_eq!(bot.listed().await.len(), 2, "to replay them is no use as long as they are gone");
        bot.end(End::Stop).await;

        let mut bot = house.start(first());
        assert_eq!(bot.replays().await, 2);
        let mut heard = [bot.hears().await, bot.hears().await];
        heard.sort();
        assert_eq!(heard, ["tick", "you wanted tea"], "the release before goes on with them");
        assert_eq!(bot.hears().await, "tick", "and with the next firing");
        bot.is_well().await;
        assert!(bot.listed().await.is_empty() && bot.unknown().await.is_empty());
        bot.end(End::Stop).await;
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_go_on_under_an_alias_also_those_that_are_dead_letters() {
    let (lines, _guard) = log();
    for house in House::both("alias") {
        let mut bot = house.start(first());
        for _ in 0..2 {
            assert_eq!(bot.asked("alice", "!remind").await, "I will");
        }
        bot.end(End::Kill).await;
        let mut bot = house.start(second());
        advance(HOUR + HOUR / 2).await;
        bot.is_well().await;
        assert_eq!(bot.listed().await.len(), 4);
        bot.end(End::Stop).await;

        lines.lock().unwrap().clear();
        let router = second().job(second::remind_again).command("!reminders", second::reminders);
        let app = router.job(second::clean).with_state(Count::default());
        let app = app.with_job_alias(type_name_of(&first::ring), second::remind_again);
        let mut bot = house.start_app(app.with_job_alias(type_name_of(&first::tick), second::clean));
        assert_eq!(bot.asked("alice", "!reminders").await, "2 waiting, known: true");
        assert!(bot.unknown().await.is_empty());
        let rings = DeadFilter { command: Some(type_name_of(&first::ring).into()), ..DeadFilter::default() };
        assert_eq!(bot.dead.replay(rings).await, Some(2), "found by the function");
        assert_eq!([bot.hears().await, bot.hears().await], ["once more: tea"; 2]);
        bot.is_well().await;
        bot.end(End::Stop).await;
        assert!(!text_of(&lines).contains("jobs are planned"));
    }
}

#[tokio::test(start_paused = true)]
async fn arguments_of_another_shape_are_a_dead_letter_that_the_release_before_can_do() {
    let (_lines, _guard) = log();
    for house in House::both("arguments") {
        let mut bot = house.start(first());
        assert_eq!(bot.asked("alice", "!remind").await, "I will");
        bot.end(End::Stop).await;
        let app = second().job(second::remind_by_number).job(second::clean).with_state(Count::default());
        let app = app.with_job_alias(type_name_of(&first::ring), second::remind_by_number);
        let mut bot = house.start_app(app.with_job_alias(type_name_of(&first::tick), second::clean));
        advance(HOUR + HOUR / 2).await;
        assert_eq!(bot.hears().await, "cleaned");
        bot.is_well().await;
        let dead = bot.listed().await;
        assert_eq!(dead.len(), 1);
        let named = "the arguments of `serve::later::second::remind_by_number` do not fit its `Job`";
        assert!(dead[0].error.starts_with(named) && !dead[0].error.contains("tea"), "{}", dead[0].error);
        bot.end(End::Stop).await;

        let mut bot = house.start(first());
        assert_eq!(bot.replays().await, 1);
        assert_eq!(bot.hears().await, "you wanted tea");
        bot.end(End::Stop).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_has_gone_is_forgotten_and_one_that_was_renamed_is_due_when_it_was() {
    let (lines, _guard) = log();
    for house in House::both("schedule") {
        let sweeping = || Router::new().schedule("daily 13:00 UTC", first::sweep).command("!ping", ping);
        let cleaning = || Router::new().schedule("daily 13:00 UTC", second::clean).command("!ping", ping);
        let mut bot = house.start(sweeping());
        bot.is_well().await;
        bot.end(End::Stop).await;
        advance(2 * HOUR).await;
        let app = cleaning().with_state(Count::default());
        let mut bot = house.start_app(app.with_job_alias(type_name_of(&first::sweep), second::clean));
        assert_eq!(bot.hears().await, "cleaned", "what was missed is made up for");
        assert!(house.home.now_ms() < BEGAN_MS + 3 * 3_600_000, "at once");
        bot.is_well().await;
        assert!(!text_of(&lines).contains("a schedule that this bot has no more"));
        advance(24 * HOUR).await;
        assert_eq!(bot.hears().await, "cleaned");
        bot.is_well().await;
        bot.end(End::Stop).await;

        advance(24 * HOUR).await;
        let mut bot = house.start(sweeping());
        bot.is_well().await;
        let forgotten = format!("schedule {}", type_name_of(&second::clean));
        let said = text_of(&lines);
        let line = said.lines().find(|line| line.contains("a schedule that this bot has no more"));
        assert!(line.is_some_and(|line| line.contains(&forgotten)), "{said}");
        advance(23 * HOUR).await;
        assert_eq!(bot.hears().await, "swept", "at its own time, tomorrow");
        bot.is_well().await;
        assert!(bot.listed().await.is_empty() && bot.unknown().await.is_empty());
        bot.end(End::Stop).await;
        lines.lock().unwrap().clear();
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_of_another_shape_is_not_done_again_and_the_release_before_goes_on_behind_it() {
    let (lines, _guard) = log();
    for house in House::both("step") {
        let charged = Count::default();
        let mut bot = house.start_app(first().with_state(Arc::clone(&charged)));
        assert_eq!(bot.asked("alice", "!buy").await, "charged");
        bot.end(End::Kill).await;

        let router = second().command("!buy", second::buy);
        let mut bot = house.start_app(router.with_state(Arc::clone(&charged)));
        assert_eq!(bot.hears().await, SORRY);
        bot.is_well().await;
        let dead = bot.listed().await;
        assert_eq!((dead.len(), &*dead[0].command), (1, "!buy"));
        let error = "what was kept of the step `charge` does not fit, from column 4 on";
        assert_eq!(dead[0].error, error);
        assert!(text_of(&lines).contains("it was done, and is not done again"));
        bot.end(End::Stop).await;

        let mut bot = house.start_app(first().with_state(Arc::clone(&charged)));
        assert_eq!(bot.replays().await, 1);
        assert_eq!(bot.hears().await, "paid, receipt 4711");
        bot.is_well().await;
        bot.end(End::Stop).await;
        assert_eq!(charged.load(Ordering::Relaxed), 1);
        lines.lock().unwrap().clear();
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_name_has_gone_goes_with_its_event() {
    let (_lines, _guard) = log();
    for house in House::both("stepless") {
        let mut bot = house.start(first());
        assert_eq!(bot.asked("alice", "!buy").await, "charged");
        bot.end(End::Kill).await;
        let mut bot = house.start(second().command("!buy", async || "for free"));
        assert_eq!(bot.hears().await, "for free");
        bot.is_well().await;
        assert!(bot.listed().await.is_empty());
        bot.end(End::Stop).await;
        if house.memory.is_none() {
            let raw = rusqlite::Connection::open(house.home.file()).unwrap();
            let left: i64 = raw.query_row("SELECT count(*) FROM step", [], |row| row.get(0)).unwrap();
            assert_eq!(left, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialogue_of_another_shape_stays_as_it_is_until_the_author_has_decided() {
    let (lines, _guard) = log();
    let former = type_name::<first::Order>();
    let ordering = || second().command("!order", second::order).with_state(Count::default());
    for house in House::both("dialogue") {
        let mut bot = house.start(first());
        assert_eq!(bot.asked("alice", "!order").await, "which size?");
        bot.end(End::Stop).await;

        let mut bot = house.start_app(ordering().with_dialogue_alias::<second::Order>(former));
        assert_eq!(bot.asked("alice", "!order").await, SORRY);
        bot.is_well().await;
        assert_eq!(bot.asked("bob", "!order").await, "large, it was nothing", "others begin one");
        let dead = bot.listed().await;
        let named = "what is kept of the dialogue `serve::later::second::Order` does not fit, from column";
        assert!(dead.len() == 1 && dead[0].error.starts_with(named), "{dead:?}");
        assert!(text_of(&lines).contains("App::with_dialogue_reset"));
        assert_eq!(bot.dead.discard(DeadFilter::default()).await, Some(1));
        bot.end(End::Stop).await;

        let mut bot = house.start(first());
        assert_eq!(bot.asked("alice", "large").await, "where to?", "nothing of it was lost");
        bot.end(End::Stop).await;

        let app = ordering().with_dialogue_alias::<second::Order>(former);
        let mut bot = house.start_app(app.with_dialogue_reset::<second::Order>());
        assert_eq!(bot.asked("alice", "!order").await, "large, it was nothing");
        assert_eq!(bot.asked("alice", "!order").await, "large, it was large");
        assert!(bot.listed().await.is_empty());
        bot.end(End::Stop).await;

        let mut bot = house.start(first());
        assert_eq!(bot.asked("alice", "home").await, "say !order", "it is under the other name now");
        bot.end(End::Stop).await;
        lines.lock().unwrap().clear();
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialogue_goes_on_under_another_name() {
    mod renamed {
        use super::*;

        #[derive(Serialize, Deserialize)]
        pub(super) enum PizzaOrder {
            WhichSize,
            WhereTo { size: String },
        }

        pub(super) async fn answer(mut dialogue: Dialogue<PizzaOrder>, Text(text): Text) -> Result<String> {
            match dialogue.take() {
                None => Ok("nothing".into()),
                Some(PizzaOrder::WhichSize) => {
                    dialogue.set(PizzaOrder::WhereTo { size: text })?;
                    Ok("where shall it go?".into())
                }
                Some(PizzaOrder::WhereTo { size }) => Ok(format!("{size}, to {text}")),
            }
        }
    }
    let (_lines, _guard) = log();
    for house in House::both("renamed") {
        let mut bot = house.start(first());
        assert_eq!(bot.asked("alice", "!order").await, "which size?");
        bot.end(End::Stop).await;
        let app = || {
            let app = second().fallback(renamed::answer).with_state(Count::default());
            app.with_dialogue_alias::<renamed::PizzaOrder>(type_name::<first::Order>())
        };
        let mut bot = house.start_app(app());
        assert_eq!(bot.asked("alice", "small").await, "where shall it go?");
        bot.end(End::Stop).await;
        let mut bot = house.start_app(app());
        assert_eq!(bot.asked("alice", "Oslo").await, "small, to Oslo");
        assert_eq!(bot.asked("alice", "Oslo").await, "nothing", "nor is the former one found again");
        bot.end(End::Stop).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_any_more_is_a_dead_letter_that_is_not_asked_for_again() {
    async fn city(cx: Context) -> Result<String> {
        let city = cx.ask("which city?").await?;
        if cx.is_first_attempt() {
            cx.reply_now("I see").await?;
            std::future::pending::<()>().await;
        }
        Ok(format!("sunny in {city}"))
    }
    let (_lines, _guard) = log();
    let house = House::on_file("answer");
    let router = || Router::new().command("!ping", ping).command("!city", city);
    let mut bot = house.start(router());
    assert_eq!(bot.asked("alice", "!city").await, "which city?");
    assert_eq!(bot.asked("alice", "Oslo").await, "I see");
    bot.end(End::Kill).await;
    let is_wait = "name = CAST(x'00' AS TEXT) || 'wait 0'";
    house.change(&format!(
        "UPDATE step SET value = json_set(value, '$.what', json('{{\"Hologram\":1}}')) WHERE {is_wait}"
    ));
    let mut bot = house.start(router());
    assert_eq!(bot.hears().await, SORRY);
    bot.is_well().await;
    let dead = bot.listed().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].error, "what was waited for is kept in a shape that cannot be read");
    bot.end(End::Stop).await;
}

#[tokio::test(start_paused = true)]
async fn rows_of_another_release_are_dead_letters_that_it_can_replay_itself() {
    async fn hang(cx: Context) -> Result<&'static str> {
        if cx.is_first_attempt() {
            cx.reply_now("wait").await?;
            std::future::pending::<()>().await;
        }
        Ok("done")
    }
    let (lines, _guard) = log();
    let house = House::on_file("rows");
    let app = || Router::new().command("!ping", ping).command("!hang", hang).with_state(());
    let bot_that = |answer: Answer| house.start_on(app(), answer);
    // What is said to Alice does not arrive for now: it is tried again, after a pause.
    let mut bot = bot_that(Box::new(|outbound| match outbound.conversation.id() {
        "alice" => Err(evenkeel::transport::SendError::not_sent("no network")),
        _ => Ok(Sent::message(MessageId::new("sent"))),
    }));
    bot.say("alice", "!ping");
    assert_eq!(bot.asked("bob", "!hang").await, "wait");
    assert_eq!(bot.asked("carol", "!hang").await, "wait");
    bot.end(End::Kill).await;
    let of = |who: &str| format!("content LIKE '%\"conversation\":{{\"id\":\"{who}\"%'");
    house.change(&format!(
        "UPDATE letter SET content = replace(content, 'Send', 'Hologram') WHERE {}",
        of("alice")
    ));
    house.change(&format!(
        "UPDATE event SET content = replace(content, 'Message', 'Hologram') WHERE {}",
        of("bob")
    ));
    house.change(&format!("UPDATE event SET state = 99 WHERE {}", of("carol")));

    let mut bot = house.start_app(app());
    bot.is_well().await;
    let dead = bot.listed().await;
    assert_eq!(dead.iter().map(|dead| dead.reason).collect::<Vec<_>>(), [Reason::Unreadable; 3], "{dead:?}");
    let said: Vec<_> = dead.iter().map(|dead| (&*dead.conversation, &*dead.command)).collect();
    assert!(said.contains(&("alice", "!ping")) && said.contains(&("bob", "")), "{said:?}");
    assert!(text_of(&lines).contains("a reply in the journal cannot be read"));
    assert_eq!(bot.replays().await, 1, "carol's can be read, and bob's stays as it is");
    assert_eq!(bot.hears().await, "done");
    bot.end(End::Stop).await;

    house.change("UPDATE letter SET content = replace(content, 'Hologram', 'Send')");
    house.change("UPDATE event SET content = replace(content, 'Hologram', 'Message')");
    let mut bot = house.start_app(app());
    assert_eq!(bot.replays().await, 2);
    let mut heard = [bot.hears().await, bot.hears().await];
    heard.sort();
    assert_eq!(heard, ["done", "pong"]);
    bot.is_well().await;
    bot.end(End::Stop).await;
}
