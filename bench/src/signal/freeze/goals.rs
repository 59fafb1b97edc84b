//! The scenarios of a bot whose handlers block, and what each has to show.

use std::time::Duration;

use super::figures::{Figures, Wait, text};
use super::scene::{self, Scene};

/// One row of the table that is played on a stage.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) goal: &'static str,
    pub(super) scene: &'static Scene,
    /// The same bot with nobody who blocks, in the same run.
    pub(super) floor: Option<&'static Scene>,
    /// Whether the figures, beside those of the floor, are as good as promised; that all are answered counts anyway.
    pub(super) is_met: fn(&Figures, &Figures) -> bool,
}

/// In the order of the table.
pub(super) static PLAYED: [Scenario; 6] = [
    Scenario {
        name: "block-1",
        about: "500 msgs/s, 1 % `!block` (200 ms)",
        goal: "ping p99 within 1 ms of the floor",
        scene: &scene::BLOCK_1,
        floor: Some(&scene::CALM),
        is_met: |ours, floor| is_within(1, ours.p99, floor.p99),
    },
    Scenario {
        name: "block-5",
        about: "500 msgs/s, 5 % `!block`",
        goal: "ping p99 within 2 ms of the floor; all answered",
        scene: &scene::BLOCK_5,
        floor: Some(&scene::CALM),
        is_met: |ours, floor| is_within(2, ours.p99, floor.p99),
    },
    Scenario {
        name: "freeze",
        about: "16 x `!freeze` (5 s) at once, then 200 pings/s",
        goal: "silence under 20 ms; all 16 answered",
        scene: &scene::FREEZE,
        floor: None,
        is_met: |ours, _| is_within(20, ours.silence, Wait::default()),
    },
    Scenario {
        name: "asleep",
        about: "200 handlers asleep 1 s at once",
        goal: "ping p99 within 1 ms of the floor, max 10 ms",
        scene: &scene::ASLEEP,
        floor: Some(&scene::CALM),
        is_met: |ours, floor| {
            is_within(1, ours.p99, floor.p99) && is_within(10, ours.slowest, Wait::default())
        },
    },
    Scenario {
        name: "hogs",
        about: "CPU hogs, 2 per core, 1 s each",
        goal: "ping p99 within 2 ms of the floor",
        scene: &scene::HOGS,
        floor: Some(&scene::CALM),
        is_met: |ours, floor| is_within(2, ours.p99, floor.p99),
    },
    Scenario {
        name: "driver",
        about: "one handler blocks 1 s on an idle bot",
        goal: "ping p50 and p99 within 1 ms of the floor",
        scene: &scene::DRIVER,
        floor: Some(&scene::IDLE),
        is_met: |ours, floor| is_within(1, ours.median, floor.median) && is_within(1, ours.p99, floor.p99),
    },
];

fn is_within(millis: u64, ours: Wait, floor: Wait) -> bool {
    !ours.is_open && ours.time <= floor.time + Duration::from_millis(millis)
}

/// A line of the printed table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) about: String,
    pub(super) goal: &'static str,
    pub(super) hand_loop: String,
    pub(super) ours: String,
    pub(super) floor: String,
    pub(super) verdict: String,
}

impl Scenario {
    /// Returns the row of these medians; `None` stands for who did not run.
    pub(super) fn row(
        &self,
        hand_loop: Option<&Figures>,
        ours: Option<&Figures>,
        floor: Option<&Figures>,
    ) -> Row {
        let nothing = Figures::default();
        let verdict = ours.map(|ours| {
            let is_met = ours.is_complete() && (self.is_met)(ours, floor.unwrap_or(&nothing));
            let lateness = floor.map_or(ours.lateness_p99, |floor| floor.lateness_p99.max(ours.lateness_p99));
            verdict(is_met) + &late(lateness)
        });
        let shown = |figures: Option<&Figures>| figures.map_or_else(absent, |figures| self.shown(figures));
        Row {
            about: self.about.to_owned(),
            goal: self.goal,
            hand_loop: shown(hand_loop),
            ours: shown(ours),
            floor: floor.map_or_else(absent, spread),
            verdict: verdict.unwrap_or_else(absent),
        }
    }

    fn shown(&self, figures: &Figures) -> String {
        let mut shown =
            if self.floor.is_some() { spread(figures) } else { format!("silence {}", figures.silence) };
        let Figures { healthy, bad, healthy_unanswered, bad_unanswered, refused, wrong, .. } = figures;
        let worst = [
            (*healthy_unanswered, format!("; {healthy_unanswered} of {healthy} pings unanswered")),
            (*bad_unanswered, format!("; {bad_unanswered} of {bad} bad unanswered")),
            (*refused, format!("; {refused} refused")),
            (*wrong, format!("; {wrong} wrong")),
            (usize::from(figures.is_lost), "; the bot has died".to_owned()),
        ];
        worst.iter().filter(|(count, _)| *count > 0).for_each(|(_, words)| shown.push_str(words));
        shown
    }
}

/// A generator that was late itself says nothing about the bot.
fn late(lateness: Duration) -> String {
    let is_late = lateness > Duration::from_millis(1);
    if is_late { format!(" (generator late: p99 {})", text(lateness)) } else { String::new() }
}

pub(super) fn verdict(is_met: bool) -> String {
    if is_met { "met" } else { "MISSED" }.to_owned()
}

pub(super) fn absent() -> String {
    "-".to_owned()
}

fn spread(figures: &Figures) -> String {
    format!("p50 {}, p99 {}, max {}", figures.median, figures.p99, figures.slowest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(p99: u64, unanswered: usize) -> Figures {
        let p99 = Wait { time: Duration::from_millis(p99), is_open: false };
        Figures { p99, healthy: 10, healthy_unanswered: unanswered, ..Figures::default() }
    }

    #[test]
    fn a_goal_is_met_beside_the_floor_and_only_with_every_answer() {
        for (ours, word) in [(figures(4, 0), "met"), (figures(5, 0), "MISSED"), (figures(4, 1), "MISSED")] {
            let row = PLAYED[0].row(None, Some(&ours), Some(&figures(3, 0)));
            assert_eq!((row.verdict.as_str(), row.hand_loop.as_str()), (word, "-"), "{row:?}");
        }
    }

    #[test]
    fn a_late_generator_is_named() {
        let ours = Figures { lateness_p99: Duration::from_millis(3), ..figures(1, 0) };
        let row = PLAYED[0].row(None, Some(&ours), Some(&figures(1, 0)));
        assert_eq!(row.verdict, "met (generator late: p99 3.00 ms)");
    }
}
