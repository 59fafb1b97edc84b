//! Reminders: jobs, which the bot's journal keeps until they are due. Stop the bot and start it again: they are still there.

use std::time::{Duration, UNIX_EPOCH};

use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::schedule::Schedule;
use evenkeel::{App, Args, Context, Conversation, Job, Rest, Result, Router, Trigger};

const ZONE: &str = "Europe/Berlin";

async fn remind(cx: Context, Args((pause, text)): Args<(String, String)>) -> Result<String> {
    let pause = parse(&pause).ok_or_else(|| cx.misuse("How long? As in 90s, 10m, 2h, 1d."))?;
    let id = cx.after(pause, ring, (text,))?;
    Ok(format!("I will ({id})"))
}

/// `10m` is ten minutes.
fn parse(text: &str) -> Option<Duration> {
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(count.parse::<u32>().ok()?.into()) * seconds)
}

async fn daily(cx: Context, Args((time, text)): Args<(String, String)>) -> Result<String> {
    let schedule = Schedule::daily(&time).map_err(|_| cx.misuse("When? As in 09:00."))?.in_zone(ZONE)?;
    let id = cx.repeat(schedule, ring, (text,))?;
    Ok(format!("each day ({id})"))
}

/// What a reminder does once it is due. It answers where it was asked for.
async fn ring(Job((text,)): Job<(String,)>) -> String {
    format!("remember: {text}")
}

async fn list(cx: Context) -> Result<String> {
    let jobs = cx.jobs().await?;
    let lines = jobs.iter().map(|job| {
        let minutes = job.due.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 60;
        let again = if job.schedule.is_some() { ", and each day" } else { "" };
        let (what,): (String,) = job.args()?;
        Ok(format!("{}: {what}, {:02}:{:02} UTC{again}\n", job.id, minutes / 60 % 24, minutes % 60))
    });
    let text = lines.collect::<Result<String>>()?;
    Ok(if text.is_empty() { "nothing".to_owned() } else { text })
}

async fn forget(cx: Context, Rest(id): Rest) -> Result<&'static str> {
    // The list has the jobs of this conversation only: nobody cancels what others asked for.
    let jobs = cx.jobs().await?;
    let job = jobs.iter().find(|job| job.id.to_string() == id);
    cx.cancel(&job.ok_or_else(|| cx.misuse("There is no such reminder."))?.id);
    Ok("forgotten")
}

/// Belongs to no conversation, and says where it writes.
async fn good_morning(cx: Context) {
    cx.send(&Conversation::group("crew"), "good morning");
}

pub(crate) fn app() -> App {
    let what = ("what", "what I shall remind you of");
    let once = Trigger::command("!remind").usage("!remind 10m <what>").about("reminds you once");
    let daily_at = Trigger::command("!daily").usage("!daily 09:00 <what>").about("reminds you each day");
    Router::new()
        .route(once.parameters([("pause", "as in 90s, 10m, 2h, 1d"), what]), remind)
        .route(daily_at.parameters([("time", "as in 09:00"), what]), daily)
        .route(Trigger::command("!reminders").about("lists what is to come"), list)
        .route(Trigger::command("!forget").usage("!forget <id>").about("cancels a reminder"), forget)
        .job(ring)
        .schedule("daily 08:00 Europe/Berlin", good_morning)
        .help("!help")
        .with_state(())
}

fn main() -> Result<()> {
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evenkeel::testing::chat;

    use super::app;

    /// A chat begins on 2026-01-01 at 12:00 UTC.
    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_reminder_comes_when_it_is_due() {
        let mut chat = chat(app());
        assert_eq!(chat.say("!remind 10m drink tea").await, ["I will (1.1)"]);
        assert_eq!(chat.say("!reminders").await, ["1.1: drink tea, 12:10 UTC\n"]);
        assert!(chat.advance(Duration::from_secs(590)).await.is_empty());
        assert_eq!(chat.advance(Duration::from_secs(11)).await, ["remember: drink tea"]);
        assert_eq!(chat.say("!reminders").await, ["nothing"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_repeats_goes_by_the_clock_on_the_wall() {
        let mut chat = chat(app());
        assert_eq!(chat.say("!daily 09:00 stand up").await, ["each day (1.1)"]);
        assert_eq!(chat.say("!reminders").await, ["1.1: stand up, 08:00 UTC, and each day\n"]);
        assert_eq!(chat.advance(21 * HOUR).await, ["good morning", "remember: stand up"]);
        assert_eq!(chat.advance(24 * HOUR).await, ["good morning", "remember: stand up"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reminder_is_forgotten_by_the_person_who_asked_for_it() {
        let mut chat = chat(app());
        chat.say("!remind 1h leave").await;
        assert_eq!(
            chat.say_as("bob", "!forget 1.1").await,
            ["There is no such reminder.\nUsage: !forget <id>"]
        );
        assert_eq!(chat.say("!forget 1.1").await, ["forgotten"]);
        assert!(chat.advance(2 * HOUR).await.is_empty());
        assert!(chat.say("!remind soon leave").await.text().ends_with("Usage: !remind 10m <what>"));
    }
}
