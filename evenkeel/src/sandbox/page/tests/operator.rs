//! Dead letters, jobs and guarantees, asked for as the page asks.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::context::Context;
use crate::extract::Rest;
use crate::job::Job;
use crate::route::Router as Bots;
use crate::serve::Bot;

async fn remind(cx: Context) -> Result<&'static str> {
    cx.after(Duration::from_secs(3600), ring, ("tea".to_owned(),))?;
    Ok("I will")
}

async fn ring(Job((what,)): Job<(String,)>) -> String {
    what
}

async fn fail(Rest(text): Rest) -> Result<()> {
    Err(Error::new(format!("on purpose, {} letters", text.len())))
}

async fn sweep(_: Job<()>) {}

/// A bot, and the page that belongs to it.
struct Tended {
    router: Router,
    sandbox: Sandbox,
    status: Status,
    bot: tokio::task::JoinHandle<Result<()>>,
    _running: watch::Sender<()>,
}

impl Tended {
    async fn new() -> Self {
        async fn crash() {
            panic!("on purpose");
        }
        let app = Bots::new().command("!fail", fail).command("!panic", crash).command("!remind", remind);
        let app = app.job(ring).schedule("daily 03:00 Europe/Berlin", sweep).with_state(());
        let (status, _) = Status::new();
        let (_, sandbox, _) = page_of(status, Operator::new().0);
        let bot = Bot::new(app).transport(sandbox.clone()).in_memory().with_shutdown(std::future::pending());
        let operator = Operator { letters: bot.dead_letters(), jobs: bot.jobs() };
        let status = bot.status();
        let (router, _, _running) = page_of(status.clone(), operator);
        let bot = tokio::spawn(bot.on_this_runtime().serve());
        Self { router, sandbox, status, bot, _running }
    }

    /// Says it, and waits until the bot has nothing left to do.
    async fn say(&self, text: &str) {
        self.sandbox.say("alice", "alice", text).unwrap();
        self.sandbox.delivered().await;
        self.status.idle().await;
    }

    async fn ask(&self, request: Request<Body>) -> (u16, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(request(Method::GET, path, &[], "")).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> (u16, String) {
        self.ask(request(Method::POST, path, &[], body.to_string())).await
    }

    async fn ids(&self, path: &str) -> Vec<String> {
        let found = self.get(path).await;
        found["first"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_dead_letter_is_shown_without_its_text_unless_somebody_asks() {
    let tended = Tended::new().await;
    tended.say("!fail SECRET").await;
    let bare = tended.get("/api/dead").await;
    let letter = &bare["first"][0];
    assert_eq!(letter["reason"], "failed");
    assert_eq!((&letter["command"], &letter["kind"]), (&json!("!fail"), &json!("message")));
    assert_eq!((&letter["conversation"], &letter["attempts"]), (&json!("alice"), &json!(1)));
    assert_eq!(letter["error"], "on purpose, 6 letters");
    assert!(!bare.to_string().contains("SECRET"), "{bare}");
    assert_eq!((&bare["has_more"], &bare["given_up"]), (&json!(false), &json!(1)));
    let whole = tended.get("/api/dead?text=true").await;
    assert_eq!(whole["first"][0]["texts"], json!([["text", "!fail SECRET"]]));

    let (_, lines) = tended.ask(request(Method::GET, "/api/dead/export", &[], "")).await;
    assert!(!lines.contains("SECRET") && lines.ends_with('\n'), "{lines}");
    let line: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(&line, letter, "the same as on the page");
    let (_, lines) = tended.ask(request(Method::GET, "/api/dead/export?text=true", &[], "")).await;
    assert!(lines.contains("SECRET"));
    tended.bot.abort();
}

#[tokio::test]
async fn letters_are_replayed_and_discarded_one_by_one_and_all_of_a_reason() {
    let tended = Tended::new().await;
    for text in ["!fail", "!panic", "!fail", "!panic"] {
        tended.say(text).await;
    }
    let panicked = tended.ids("/api/dead?reason=panicked").await;
    assert_eq!((panicked.len(), tended.ids("/api/dead").await.len()), (2, 4));

    assert_eq!(tended.post("/api/dead/replay", json!({ "one": panicked[0] })).await, (200, "1".into()));
    tended.status.idle().await;
    let again = tended.ids("/api/dead?reason=panicked").await;
    assert_eq!(again.len(), 2, "it has panicked again");
    assert!(!again.contains(&panicked[0]), "under a new number");

    assert_eq!(tended.post("/api/dead/discard", json!({ "one": again[1] })).await, (200, "1".into()));
    assert_eq!(tended.post("/api/dead/discard", json!({ "one": again[1] })).await, (200, "0".into()));
    let failed = json!({ "all": { "reason": "failed" } });
    assert_eq!(tended.post("/api/dead/discard", failed).await, (200, "2".into()));
    assert_eq!(tended.ids("/api/dead").await, [&*again[0]]);

    for wrong in [json!({}), json!({ "on": "1" }), json!("all"), json!({ "all": { "reason": "whim" } })] {
        let (status, _) = tended.post("/api/dead/discard", wrong.clone()).await;
        assert!((400..500).contains(&status), "{wrong}: {status}");
    }
    assert_eq!(tended.post("/api/dead/discard", json!({ "one": "first" })).await.0, 422);
    assert_eq!(tended.ids("/api/dead").await.len(), 1, "what cannot be understood changes nothing");
    assert_eq!(tended.post("/api/dead/discard", json!({ "all": { "reason": null } })).await.1, "1");
    tended.bot.abort();
}

#[tokio::test]
async fn the_page_shows_the_first_letters_and_an_export_has_all_in_order() {
    let tended = Tended::new().await;
    for _ in 0..230 {
        tended.sandbox.say("alice", "alice", "!fail").unwrap();
    }
    tended.sandbox.delivered().await;
    tended.status.idle().await;
    let shown = tended.get("/api/dead").await;
    assert_eq!((shown["first"].as_array().unwrap().len(), &shown["has_more"]), (50, &json!(true)));
    for (asked, count, has_more) in [(100, 100, true), (0, 1, true), (9_999, 230, false)] {
        let shown = tended.get(&format!("/api/dead?shown={asked}")).await;
        let seen = (shown["first"].as_array().unwrap().len(), &shown["has_more"]);
        assert_eq!(seen, (count, &json!(has_more)), "{asked}");
    }
    let export = request(Method::GET, "/api/dead/export?reason=failed", &[], "");
    let response = tended.router.clone().oneshot(export).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"evenkeel-dead.jsonl\"");
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let lines = std::str::from_utf8(&body).unwrap().lines();
    let number = |line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().parse().unwrap();
    let ids: Vec<u64> = lines.map(number).collect();
    assert_eq!(ids.len(), 230);
    assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
    tended.bot.abort();
}

#[tokio::test]
async fn jobs_are_listed_and_cancelled() {
    let tended = Tended::new().await;
    tended.say("!remind").await;
    let found = tended.get("/api/jobs").await;
    let jobs = found["first"].as_array().unwrap();
    let of = |function: &str| {
        jobs.iter().find(|job| job["function"].as_str().unwrap().ends_with(function)).unwrap()
    };
    let (ring, sweep) = (of("ring"), of("sweep"));
    assert_eq!((&ring["conversation"], &ring["schedule"]), (&json!("alice"), &Value::Null));
    assert_eq!(sweep["conversation"], Value::Null, "it is the program's");
    assert_eq!(sweep["schedule"], "daily 03:00 Europe/Berlin");
    assert_eq!((&ring["args"], &sweep["args"]), (&json!(["tea"]), &Value::Null), "what it will say");
    let cancel = json!({ "name": ring["name"] });
    assert_eq!(tended.post("/api/jobs/cancel", cancel.clone()).await, (200, "true".into()));
    assert_eq!(tended.post("/api/jobs/cancel", cancel).await, (200, "false".into()));
    let cancel = json!({ "name": sweep["name"] });
    assert_eq!(tended.post("/api/jobs/cancel", cancel).await, (200, "true".into()));
    assert_eq!(tended.get("/api/jobs").await, json!({ "first": [], "has_more": false }));
    tended.bot.abort();
}

#[tokio::test]
async fn the_guarantees_are_those_of_the_running_bot() {
    let tended = Tended::new().await;
    let rows = tended.get("/api/guarantees").await;
    let row = |what: &str| rows.as_array().unwrap().iter().find(|row| row["what"] == what).unwrap();
    assert_eq!(row("receiving")["promise"], "a queue in memory");
    assert_eq!(row("acceptance")["promise"], "in memory");
    assert_eq!((&row("acceptance")["is_limit"], &row("order")["is_limit"]), (&json!(true), &json!(false)));
    assert!(rows.as_array().unwrap().iter().all(|row| !row["why"].as_str().unwrap().is_empty()));
    tended.bot.abort();
}

#[tokio::test]
async fn what_the_operator_does_is_the_pages_own_to_do() {
    let tended = Tended::new().await;
    tended.say("!fail").await;
    tended.say("!remind").await;
    let jobs = tended.get("/api/jobs").await;
    let name = json!({ "name": jobs["first"][0]["name"] }).to_string();
    let all = json!({ "all": { "reason": null } }).to_string();
    let posts = [("/api/dead/replay", &all), ("/api/dead/discard", &all), ("/api/jobs/cancel", &name)];
    let foreign = [
        (("origin", "http://evil.example"), 403),
        (("origin", "null"), 403),
        (("sec-fetch-site", "cross-site"), 403),
        (("host", "evil.example"), 403),
        (("content-type", "text/plain"), 415),
    ];
    for (header, refused) in foreign {
        for (path, body) in posts {
            let (status, _) = tended.ask(request(Method::POST, path, &[header], body.clone())).await;
            assert_eq!(status, refused, "{path} with {header:?}");
        }
    }
    for path in ["/api/dead", "/api/dead/export?text=true", "/api/jobs", "/api/guarantees"] {
        for header in [("host", "evil.example"), ("sec-fetch-site", "cross-site")] {
            assert_eq!(tended.ask(request(Method::GET, path, &[header], "")).await.0, 403, "{path}");
        }
    }
    assert_eq!(tended.ids("/api/dead").await.len(), 1, "nothing was touched");
    assert_eq!(tended.get("/api/jobs").await, jobs);

    tended.bot.abort();
    let _ended = tended.bot.await;
    let (status, why) = request_of(&tended.router, "/api/dead").await;
    assert_eq!((status, why.as_str()), (422, "the bot has stopped"));
}

async fn request_of(router: &Router, path: &str) -> (u16, String) {
    let response = router.clone().oneshot(request(Method::GET, path, &[], "")).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
