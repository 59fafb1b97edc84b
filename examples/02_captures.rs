//! What people write becomes types: the groups of a pattern, or the words after a command.

use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Args, Captures, Router, Trigger};
use serde::Deserialize;

/// Named groups fill a struct. Whether they can is checked when the bot starts, with this file and line.
#[derive(Deserialize)]
struct Order {
    count: u32,
    what: String,
    note: Option<String>,
}

async fn order(Captures(Order { count, what, note }): Captures<Order>) -> String {
    let note = note.map(|note| format!(" ({note})")).unwrap_or_default();
    format!("{count} x {what}{note}, coming up")
}

/// Numbered groups fill a tuple.
async fn add(Captures((a, b)): Captures<(i64, i64)>) -> String {
    a.saturating_add(b).to_string()
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Celsius,
    Fahrenheit,
}

/// The words after a command fill a tuple, too. What does not fit is answered with the usage.
async fn convert(Args((degrees, unit)): Args<(f64, Unit)>) -> String {
    match unit {
        Unit::Celsius => format!("{:.1} °F", degrees * 1.8 + 32.0),
        Unit::Fahrenheit => format!("{:.1} °C", (degrees - 32.0) / 1.8),
    }
}

pub(crate) fn app() -> App {
    // What a struct calls its fields is known; what a tuple holds gets its names here, or from the usage.
    let add_names = Trigger::regex(r"^(-?\d{1,15}) ?\+ ?(-?\d{1,15})$").parameters(["a", "b"]);
    let convert_usage = Trigger::command("!convert").usage("!convert <degrees> celsius|fahrenheit");
    Router::new()
        .regex(r"^!order (?P<count>\d{1,3}) (?P<what>\w+)( (?P<note>.+))?$", order)
        .route(add_names, add)
        .route(convert_usage, convert)
        .with_state(())
}

fn main() -> evenkeel::Result<()> {
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app())
}

#[cfg(test)]
mod tests {
    use evenkeel::testing::chat;

    use super::app;

    #[tokio::test(start_paused = true)]
    async fn words_become_types() {
        let mut chat = chat(app());
        assert_eq!(chat.say("!order 2 teas no sugar").await, ["2 x teas (no sugar), coming up"]);
        assert_eq!(chat.say("40 + 2").await, ["42"]);
        assert_eq!(chat.say("!convert 100 celsius").await, ["212.0 °F"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_is_answered_politely() {
        let mut chat = chat(app());
        let usage = "`hot` is not a number.\nUsage: !convert <degrees> celsius|fahrenheit";
        assert_eq!(chat.say("!convert hot celsius").await, [usage]);
    }
}
