//! What the page makes of reports, told by hand: how much a real one says depends on the program and on the system.

use serde_json::{Value, json};

use crate::Stage;

/// Lets the test speak as the bot does.
const EAR: &str = "
    window.EventSource = class extends EventSource {
        constructor(url) { super(url); window.stream = this; }
        addEventListener(name, heard) {
            if (name !== 'status') return super.addEventListener(name, heard);
            super.addEventListener(name, (event) => {
                if (window.told && event.isTrusted) return;
                window.told = JSON.parse(event.data);
                heard(event);
            });
        }
    };";

fn frame(function: &str, file: Option<&str>, line: Option<u32>) -> Value {
    json!({ "function": function, "file": file, "line": line })
}

/// A report of a call that lasts.
fn freeze() -> Value {
    json!({
        "number": 1, "name": "!freeze", "class": "sleep", "call": "std::thread::sleep",
        "file": "src/trouble.rs", "line": 78, "is_exact": true,
        "path": [
            frame("std::thread::sleep", None, None),
            frame("demo::trouble::nap", Some("src/trouble.rs"), Some(78)),
            frame("demo::trouble::freezes::{async_fn#0}", Some("src/trouble.rs"), Some(84)),
        ],
        "seconds": 1.25, "is_over": false, "times": 3, "taken_over_seconds": 0.000_021, "strikes": 2,
        "advice": "`tokio::time::sleep(..).await` gives the thread back while it waits",
    })
}

/// One that is over, of a program without symbols.
fn spin() -> Value {
    json!({
        "number": 2, "name": "!spin with a name that goes on for longer than any column", "class": "always_ready",
        "call": "", "file": "src/a/rather/deep/folder/of/somebody/trouble.rs", "line": 9, "is_exact": false, "path": [],
        "seconds": 0.0451, "is_over": true, "times": 1, "taken_over_seconds": null, "strikes": 0, "advice": "",
    })
}

fn inside(name: &str, is_compute: bool, is_permanent: bool) -> Value {
    json!({
        "name": name, "file": "src/trouble.rs", "line": 24, "is_compute": is_compute, "strikes": 1 + u32::from(is_permanent),
        "seconds": 190.5, "is_permanent": is_permanent,
    })
}

impl Stage {
    /// Tells the page that the bot has these reports and this quarantine.
    async fn tell(&mut self, blocked: &[Value], quarantined: &[Value]) {
        self.browser.wait("window.told && document.querySelector('#beat.on')").await;
        let change = json!({ "blocked": blocked, "quarantined": quarantined });
        let tell = "window.stream.dispatchEvent(new MessageEvent('status', { data: JSON.stringify(state) }))";
        let guard = "{ ...told.guard, taken_over: 7, taken_over_p50_seconds: 1.9e-5, taken_over_p99_seconds: 1.1e-4, taken_over_max_seconds: 1.1e-4 }";
        let state = format!("{{ ...told, guard: {guard}, ...{change} }}");
        self.browser.evaluate(&format!("(() => {{ const state = {state}; {tell}; }})()")).await;
    }

    pub(crate) async fn text(&mut self, selector: &str) -> String {
        let expression = format!("document.querySelector({}).textContent", json!(selector));
        let found = self.browser.evaluate(&expression);
        found.await.as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_report_says_what_where_how_long_and_what_to_write_instead() {
    let mut stage = Stage::open_with("reports", EAR).await;
    stage.browser.resize(1360, 880, false).await;
    stage.tell(&[freeze(), spin()], &[inside("!freeze", false, true), inside("!spin", true, false)]).await;
    assert_eq!(stage.text("#blocked .now .what strong").await, "!freeze", "what lasts comes first");
    assert_eq!(stage.text("#blocked .now .class").await, "sleep");
    assert_eq!(stage.text("#blocked .now .where").await, "std::thread::sleep at src/trouble.rs:78");
    assert_eq!(
        stage.text("#blocked .now .facts").await,
        "others waited 21 µs the last time · 3 times · strike 2"
    );
    let advice = "tokio::time::sleep(..).await gives the thread back while it waits";
    assert_eq!(stage.text("#blocked .now .advice").await, advice);
    assert_eq!(stage.text("#blocked .now .advice code").await, "tokio::time::sleep(..).await");
    assert_eq!(stage.text("#blocked .over .state").await, "computed for 45 ms");
    assert_eq!(stage.text("#blocked .over .class").await, "always ready");
    assert_eq!(stage.text("#blocked .over .facts").await, "nothing took its place · once");
    assert!(stage.text("#blocked .over .where").await.starts_with("named at src/a/"));
    let absent = "document.querySelectorAll('#blocked .over :is(.advice, details, .call)').length";
    assert_eq!(stage.browser.evaluate(absent).await, 0, "what is not known takes no room");
    assert!(stage.text("#guard").await.starts_with("7 taken over, half within 19 µs, all within 110 µs; "));
    assert_eq!(
        stage.text("#quarantine li:first-child .facts").await,
        "since 3 min · until pardoned · strike 2"
    );
    assert_eq!(stage.text("#quarantine li:last-child .what").await, "!spincomputes");
    assert_eq!(stage.text("#quarantine li:last-child .facts").await, "since 3 min · on parole · strike 1");
    let first = stage.text("#blocked .now .state").await;
    stage
        .browser
        .wait(&format!("document.querySelector('#blocked .now .state').textContent !== {first:?}"))
        .await;
    stage.assert_no_overflow().await;
    stage.browser.picture("guard-light").await;
    stage.browser.prefer("prefers-color-scheme", "dark").await;
    stage.browser.click("#blocked .now summary").await;
    stage.browser.picture("guard-dark").await;
    stage.browser.prefer("prefers-reduced-motion", "reduce").await;
    stage.browser.resize(320, 720, true).await;
    stage.browser.evaluate("document.querySelector('#live-toggle').click()").await;
    let wider = "[...document.querySelectorAll('.live *')].filter((e) => !e.closest('.hidden, .table') && \
         e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className)";
    assert_eq!(stage.browser.evaluate(wider).await, json!([]), "wider than the screen");
    stage.browser.picture("guard-phone").await;
    stage.close();
}

#[tokio::test]
async fn a_new_state_leaves_alone_what_somebody_reads() {
    let mut stage = Stage::open_with("reading", EAR).await;
    stage.tell(&[freeze()], &[]).await;
    stage.browser.evaluate("document.querySelector('#blocked summary').focus()").await;
    stage.browser.press("Enter").await;
    stage.browser.wait("document.querySelector('#blocked details').open").await;
    stage.browser.evaluate("getSelection().selectAllChildren(document.querySelector('.advice p'))").await;
    stage.tell(&[freeze(), spin()], &[inside("!freeze", false, false)]).await;
    let kept = "[document.querySelectorAll('#blocked > li').length, document.querySelector('#blocked details').open, \
         document.activeElement.tagName, getSelection().toString().length > 20]";
    assert_eq!(stage.browser.evaluate(kept).await, json!([2, true, "SUMMARY", true]));
    let mut ended = freeze();
    (ended["is_over"], ended["seconds"]) = (json!(true), json!(5.0));
    stage.tell(&[ended, spin()], &[]).await;
    stage.browser.wait("[...document.querySelectorAll('#blocked .state')].some((s) => s.textContent === 'blocked for 5.0 s')").await;
    let kept = "[document.querySelector('#blocked details').open, document.activeElement.tagName]";
    assert_eq!(stage.browser.evaluate(kept).await, json!([true, "SUMMARY"]), "also when it has ended");

    stage.browser.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }").await;
    stage.browser.click("#blocked .advice button").await;
    stage.browser.wait("window.copied").await;
    assert_eq!(stage.browser.evaluate("window.copied").await, freeze()["advice"]);
    stage.close();
}

#[tokio::test]
async fn what_a_report_says_is_text_and_never_markup() {
    let mut stage = Stage::open_with("markup", EAR).await;
    stage.browser.evaluate("window.ran = 0").await;
    let hostile = "`<b>`<img src=x onerror=window.ran=1><script>window.ran=2</script>";
    let (mut report, mut caught) = (freeze(), inside(hostile, false, false));
    for field in ["name", "class", "call", "file", "advice"] {
        report[field] = json!(hostile);
    }
    report["path"] = json!([frame(hostile, Some(hostile), Some(1))]);
    caught["file"] = json!(hostile);
    stage.tell(&[report], &[caught]).await;
    assert_eq!(stage.text("#blocked .what strong").await, hostile);
    assert_eq!(stage.text("#quarantine .what strong").await, hostile);
    let found = "[window.ran, document.querySelectorAll('.card :is(b, img, script)').length]";
    assert_eq!(stage.browser.evaluate(found).await, json!([0, 0]));
    stage.close();
}

/// Answers for the bot where slow handlers wait.
const SLOW: &str = "
    const usual = window.fetch;
    const slow = [
        { command: '!stuck', running_seconds: 72.5, is_unhurried: false,
            waits: ['at src/cmd.rs:41 in tokio::sync::mpsc::Receiver::recv <- bot::stuck (src/cmd.rs:41)', 'at src/cmd.rs:44 in tokio::time::sleep'] },
        { command: '!<b>freeze', running_seconds: 11, is_unhurried: false, waits: [] },
    ];
    window.fetch = (path, ...rest) => path === '/api/slow' ? Promise.resolve(new Response(JSON.stringify(slow))) : usual(path, ...rest);";

#[tokio::test]
async fn slow_handlers_are_shown_with_the_line_at_which_they_wait_while_any_run() {
    let mut stage = Stage::open_with("slow", &format!("{EAR}{SLOW}")).await;
    stage.browser.wait("window.told && document.querySelector('#beat.on')").await;
    let running = |count: u32| {
        format!(
            "window.stream.dispatchEvent(new MessageEvent('status', {{ data: JSON.stringify({{ ...told, running: {count} }}) }}))"
        )
    };
    stage.browser.evaluate(&running(2)).await;
    stage.browser.wait("document.querySelectorAll('#slow li').length === 2").await;
    assert_eq!(stage.text("#slow li:first-child .state").await, "1 min");
    let wait = "waits at src/cmd.rs:41 in tokio::sync::mpsc::Receiver::recv <- bot::stuck (src/cmd.rs:41)";
    assert_eq!(stage.text("#slow li:first-child .where").await, wait);
    assert_eq!(stage.text("#slow li:last-child strong").await, "!<b>freeze", "nothing in it is markup");
    let silent = "does not answer: it keeps its thread, or waits for one";
    assert_eq!(stage.text("#slow li:last-child .where").await, silent);
    stage.browser.evaluate(&running(0)).await;
    stage.browser.wait("document.querySelector('#slow-card').hidden").await;
    stage.close();
}
