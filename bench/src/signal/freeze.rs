//! Bots whose handlers block: who else waits for them, and what it costs that nobody does.

pub(crate) mod schedule;
pub(crate) mod crowd;
pub(crate) mod figures;
mod scene;
mod goals;
mod cost;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::contender::{Contender, Keeps};
use cost::COSTS;
use figures::{Figures, text};
use goals::{PLAYED, Row};
use scene::Scene;
use schedule::Length;

/// The whole table.
const ALL: &str = "nothing-freezes";
/// Those who know the commands that block.
const CONTENDERS: [&str; 2] = ["loop", "evenkeel"];

/// One invocation.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// How long the steady mixtures last; `None` is 20, or 10 for the whole table.
    pub(crate) seconds: Option<usize>,
    pub(crate) repeats: Option<usize>,
    /// A few seconds in all, by Evenkeel alone: whether it works, and no figures.
    pub(crate) is_short: bool,
    /// Shows what the bots log.
    pub(crate) is_logged: bool,
    pub(crate) keeps: Keeps,
    pub(crate) only: Vec<String>,
    pub(crate) evenkeel: PathBuf,
}

/// The figures of each run, by scene and contender.
type Runs = HashMap<(&'static str, &'static str), Vec<Figures>>;

/// Returns the scenario as it is known here.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    let played = PLAYED.iter().map(|scenario| scenario.name);
    let mut names = played.chain(COSTS.iter().map(|cost| cost.name)).chain([ALL]);
    names.find(|known| *known == name)
}

/// Returns whether a length in seconds means anything to the scenario.
pub(crate) fn is_steady(name: &str) -> bool {
    name.starts_with("block-") || name == ALL
}

/// Plays the scenes of all contenders in turn, as often as planned, and prints the table.
pub(crate) fn run(plan: &Plan) -> io::Result<()> {
    let (found, missing) = Contender::find(&plan.contenders(), &plan.evenkeel)?;
    let contenders = found.into_iter().map(|one| one.with_journal(plan.keeps));
    let contenders: Vec<Contender> =
        contenders.map(|one| if plan.is_logged { one } else { one.quiet() }).collect();
    missing.iter().for_each(|line| println!("  {line}"));
    if contenders.is_empty() {
        return Err(io::Error::other("there is no contender to run"));
    }
    let mut rows = played(plan, &contenders)?;
    let bot = contenders.iter().find(|contender| contender.name == "evenkeel");
    for cost in COSTS.iter().filter(|cost| plan.wants(cost.name)) {
        let Some(bot) = bot else { continue };
        rows.push((cost.measure)(plan, bot)?);
    }
    if rows.is_empty() {
        return Err(io::Error::other(format!(
            "`{}` is about evenkeel, which is not among those that run",
            plan.name
        )));
    }
    table(&rows);
    Ok(())
}

impl Plan {
    fn wants(&self, name: &str) -> bool {
        self.name == name || self.name == ALL
    }

    fn contenders(&self) -> Vec<&'static str> {
        let is_wanted = |name: &&str| match self.only.as_slice() {
            [] => !self.is_short || *name == "evenkeel",
            only => only.iter().any(|only| only == name),
        };
        CONTENDERS.into_iter().filter(is_wanted).collect()
    }

    fn repeats(&self) -> usize {
        self.repeats.unwrap_or(if self.is_short { 1 } else { 3 })
    }

    fn length(&self, repeat: usize) -> Length {
        let seed = repeat as u64;
        if self.is_short {
            let (warm_up, steady) = (Duration::from_millis(200), Duration::from_millis(600));
            return Length { warm_up, steady, bursts: 1, freeze: ("!nap", Duration::from_secs(1)), seed };
        }
        let seconds = self.seconds.unwrap_or(if self.name == ALL { 10 } else { 20 });
        Length {
            warm_up: Duration::from_secs(1),
            steady: Duration::from_secs(seconds as u64),
            bursts: 4,
            freeze: ("!freeze", Duration::from_secs(5)),
            seed,
        }
    }

    /// Returns what has to be played, each scene once: those without anybody who blocks serve several rows.
    fn scenes(&self) -> Vec<&'static Scene> {
        let mut scenes: Vec<&'static Scene> = Vec::new();
        for scenario in PLAYED.iter().filter(|scenario| self.wants(scenario.name)) {
            for scene in scenario.floor.into_iter().chain([scenario.scene]) {
                if scenes.iter().all(|known| known.name != scene.name) {
                    scenes.push(scene);
                }
            }
        }
        scenes
    }
}

fn played(plan: &Plan, contenders: &[Contender]) -> io::Result<Vec<Row>> {
    let scenes = plan.scenes();
    let mut runs = Runs::new();
    heading(plan, !scenes.is_empty());
    for repeat in 0..plan.repeats() {
        for contender in contenders {
            for scene in &scenes {
                let figures = scene.play(contender, &plan.length(repeat))?;
                line(scene.name, contender.name, &figures);
                runs.entry((scene.name, contender.name)).or_default().push(figures);
            }
        }
    }
    let medians = |scene: &Scene, name| runs.get(&(scene.name, name)).map(|runs| Figures::median_of(runs));
    let wanted = PLAYED.iter().filter(|scenario| plan.wants(scenario.name));
    let row = |scenario: &goals::Scenario| {
        let floor = scenario.floor.and_then(|floor| medians(floor, "evenkeel"));
        let [hand_loop, ours] = CONTENDERS.map(|name| medians(scenario.scene, name));
        scenario.row(hand_loop.as_ref(), ours.as_ref(), floor.as_ref())
    };
    Ok(wanted.map(row).collect())
}

fn heading(plan: &Plan, is_played: bool) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let form = if plan.is_short { ", the short form" } else { "" };
    println!("signal {}{form}: {cores} cores", plan.name);
    if is_played {
        println!("  {} runs of each contender, in turn", plan.repeats());
    }
    if is_played {
        println!(
            "  {:<12} {:<9} {:>9} {:>9} {:>9} {:>9} {:>12} {:>10} {:>7} {:>5} {:>4} {:>9} {:>9}",
            "",
            "",
            "p50",
            "p99",
            "max",
            "silence",
            "pings lost",
            "bad lost",
            "refused",
            "wrong",
            "drop",
            "late p99",
            "late max"
        );
    }
}

/// Prints one run.
fn line(scene: &str, contender: &str, figures: &Figures) {
    println!(
        "  {scene:<12} {contender:<9} {:>9} {:>9} {:>9} {:>9} {:>12} {:>10} {:>7} {:>5} {:>4} {:>9} {:>9}{}",
        figures.median,
        figures.p99,
        figures.slowest,
        figures.silence,
        format!("{}/{}", figures.healthy_unanswered, figures.healthy),
        format!("{}/{}", figures.bad_unanswered, figures.bad),
        figures.refused,
        figures.wrong,
        figures.dropped,
        text(figures.lateness_p99),
        text(figures.lateness_slowest),
        if figures.is_lost { "  the bot has died" } else { "" },
    );
}

/// Prints the rows as Markdown, to be pasted.
fn table(rows: &[Row]) {
    println!("\n| scenario | goal | loop | evenkeel | floor | |\n|---|---|---|---|---|---|");
    for Row { about, goal, hand_loop, ours, floor, verdict } in rows {
        println!("| {about} | {goal} | {hand_loop} | {ours} | {floor} | {verdict} |");
    }
}
