use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::operator::Operator;

/// The token of the file, and the one that was printed.
fn tokens() -> [Token; 2] {
    ["0123456789abcdef0123456789abcdef", "ffffffffffffffffffffffffffffffff"]
        .map(|text| Token::read(text).unwrap())
}

fn console() -> (Router, watch::Sender<()>) {
    console_with(Keys::new(tokens(), STRANGER).unwrap())
}

fn console_with(keys: Keys) -> (Router, watch::Sender<()>) {
    let ((status, _), (Operator { letters, jobs }, _)) = (Status::new(), Operator::new());
    let (serving, stopped) = watch::channel(());
    let about = About {
        name: "shop".to_owned(),
        transport: "pigeons".to_owned(),
        greeting: "two of them".to_owned(),
    };
    let handles = BotHandles { status, letters, jobs };
    let window = Window { about, handles: handles.clone(), stopped };
    (router(window, handles, keys), serving)
}

async fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    ask_with(Keys::new(tokens(), STRANGER).unwrap(), method, path, headers).await
}

async fn ask_with(keys: Keys, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (console, _serving) = console_with(keys);
    console.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

const BEARER: (&str, &str) = ("authorization", "Bearer 0123456789abcdef0123456789abcdef");

async fn get_from(host: &str, path: &str) -> Response {
    ask("GET", path, &[("host", host), BEARER]).await
}

#[tokio::test]
async fn nothing_is_there_without_the_token() {
    let host = ("host", "127.0.0.1:4243");
    let paths = [
        "/",
        "/base.css",
        "/console.js",
        "/icon.svg",
        "/nowhere",
        "/api/stream",
        "/api/dead?text=true",
        "/api/jobs",
        "/api/commands",
        "/api/dead/export",
        "/api/guarantees",
        "/api/slow",
        "/api/dead/discard",
        "/api/dead/replay",
        "/api/pardon",
        "/?token=",
        "/?token=0123456789abcdef0123456789abcde0",
        "/api/dead?token=0123456789abcdef0123456789abcdef",
        "//",
        "/?TOKEN=0123456789abcdef0123456789abcdef",
    ];
    let wrong = [
        ("accept", "*/*"),
        ("authorization", "Bearer 0123456789abcdef0123456789abcde0"),
        ("authorization", "Bearer "),
        ("authorization", "0123456789abcdef0123456789abcdef"),
        ("cookie", "evenkeel_4244=0123456789abcdef0123456789abcdef"),
        ("cookie", "evenkeel_4243=0123456789abcdef"),
        ("cookie", "evenkeel_4243"),
        ("cookie", "evenkeel_4243=0123456789abcdef0123456789abcdef"),
        ("authorization", "Basic 0123456789abcdef0123456789abcdef"),
        ("cookie", "evenkeel_4243=0123456789ABCDEF0123456789ABCDEF"),
    ];
    for path in paths {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "BREW"] {
            for header in wrong {
                let response = ask(method, path, &[host, header]).await;
                assert_eq!(response.status(), 403, "{method} {path} {header:?}");
                assert!(!response.headers().contains_key("set-cookie"), "{method} {path} {header:?}");
            }
        }
    }
    let body = to_bytes(ask("GET", "/api/jobs", &[host]).await.into_body(), 1 << 20).await.unwrap();
    assert!(std::str::from_utf8(&body).unwrap().contains("`evenkeel console`"), "it says how to come in");
}

#[tokio::test]
async fn the_token_in_the_address_is_exchanged_for_a_strict_cookie() {
    for (host, name) in
        [("127.0.0.1:4243", "evenkeel_4243"), ("localhost:9000", "evenkeel_9000"), ("[::1]", "evenkeel_80")]
    {
        for token in tokens() {
            let (text, keys) = (token.text(), Keys::new(tokens(), STRANGER).unwrap());
            let page = ask_with(keys.clone(), "GET", &format!("/?token={text}"), &[("host", host)]).await;
            assert_eq!(page.status(), 200);
            let set = page.headers()["set-cookie"].to_str().unwrap();
            let (pair, rest) = set.split_once(';').unwrap();
            assert_eq!((pair.split_once('=').unwrap().0, rest), (name, " Path=/; HttpOnly; SameSite=Strict"));
            assert_eq!(page.headers()["referrer-policy"], "no-referrer");
            let cookies = format!("other=1; {pair}");
            let headers = [("host", host), ("cookie", "x=y"), ("cookie", &*cookies)];
            let again = ask_with(keys, "GET", "/icon.svg", &headers).await;
            assert_eq!((again.status().as_u16(), again.headers().contains_key("set-cookie")), (200, false));
        }
    }
    let foreign = [("host", "127.0.0.1:4243"), BEARER, ("origin", "http://evil.example")];
    assert_eq!(
        ask("POST", "/api/dead/discard", &foreign).await.status(),
        403,
        "a token opens no door to other sites"
    );
}

/// Anyone who takes the port while the bot is away is shown the cookie.
#[tokio::test]
async fn a_cookie_is_good_for_one_run_of_the_bot_and_is_no_token() {
    let (host, [token, printed]) = (("host", "127.0.0.1:4243"), tokens());
    let visit = format!("/?token={}", token.text());
    let (run, next) = (Keys::new(tokens(), STRANGER).unwrap(), Keys::new(tokens(), STRANGER).unwrap());
    let page = ask_with(run.clone(), "GET", &visit, &[host]).await;
    let pair = page.headers()["set-cookie"].to_str().unwrap().split_once(';').unwrap().0.to_owned();
    let value = pair.split_once('=').unwrap().1;
    assert!(![token.text(), printed.text()].contains(&value), "the browser has no token");
    let bearer = format!("Bearer {value}");
    for (keys, header, status) in [
        (&run, ("cookie", &*pair), 200),
        (&next, ("cookie", &*pair), 403),
        (&run, ("authorization", &*bearer), 403),
        (&next, ("authorization", &*bearer), 403),
    ] {
        let answer = ask_with(keys.clone(), "GET", "/icon.svg", &[host, header]).await;
        assert_eq!(answer.status(), status, "{header:?}");
    }
    let front = ask_with(run, "GET", &format!("/?token={value}"), &[host]).await;
    assert_eq!(front.status(), 403, "the cookie is no address");
    let reloaded = ask_with(next, "GET", &visit, &[host, ("cookie", &*pair)]).await;
    assert_eq!((reloaded.status().as_u16(), reloaded.headers().contains_key("set-cookie")), (200, true));
}

#[tokio::test]
async fn a_program_may_write_the_scheme_as_it_likes() {
    for scheme in ["Bearer", "bearer", "BEARER", "bearer "] {
        let shown = format!("{scheme} {}", tokens()[0].text());
        let answer = ask("GET", "/icon.svg", &[("host", "localhost"), ("authorization", &*shown)]).await;
        assert_eq!(answer.status(), 200, "{scheme}");
    }
}

#[test]
fn the_address_says_the_token_and_a_printed_console_does_not() {
    let console = Console::bind("127.0.0.1:0").unwrap();
    let url = console.url();
    let (_, token) = url.split_once("/?token=").unwrap();
    assert_eq!(token.len(), 32);
    assert!(!format!("{console:?}").contains(token));
}

#[cfg(unix)]
#[test]
fn the_token_outlives_a_restart_and_is_found_beside_the_journal() {
    let folder = std::env::temp_dir().join(format!("evenkeel-console-found-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let journal = folder.join("evenkeel.db");
    assert!(Console::find(&journal).unwrap_err().hint().unwrap().contains("EVENKEEL_CONSOLE"));
    let first = Console::bind("127.0.0.1:0").unwrap();
    let (kept, told) = first.keys(Some(&journal));
    assert!(told == Told::File && first.url().ends_with(kept[0].text()));
    assert_eq!(Console::find(&journal).unwrap(), first.url());
    drop(first);
    assert!(Console::find(&journal).is_err(), "nobody listens there any more");

    let second = Console::bind("127.0.0.1:0").unwrap();
    let (again, _) = second.keys(Some(&journal));
    assert_eq!(again[0], kept[0], "the token of before");
    assert!(second.url().ends_with(again[1].text()), "and the one that this program has printed");
    assert_eq!(Console::find(&journal).unwrap(), url(second.address, &kept[0]));
    Console::forget(&journal);
    assert!(Console::find(&journal).is_err(), "a bot without a console has no address");
    assert_eq!(second.keys(None), (vec![again[1].clone()], Told::Log), "a journal in memory keeps nothing");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// With a journal in a file, no log that is no terminal has the token.
#[test]
fn a_token_that_cannot_be_kept_is_in_no_log() {
    let folder = std::env::temp_dir().join(format!("evenkeel-console-unkept-{}", std::process::id()));
    let journal = folder.join("evenkeel.db");
    for taken in ["evenkeel.db.console", "evenkeel.db.console.new"] {
        std::fs::create_dir_all(folder.join(taken)).unwrap();
        let console = Console::bind("127.0.0.1:0").unwrap();
        let (tokens, told) = console.keys(Some(&journal));
        assert_eq!((tokens.len(), told), (1, Told::Nobody), "{taken}");
        let (address, token) = (console.address, tokens[0].text());
        let line = told.line(address, &tokens[0], false);
        assert!(!line.contains(token) && line.contains("told to nobody"), "{line}");
        assert_eq!(told.line(address, &tokens[0], true), console.url(), "a terminal is one person's");
        assert!(!Told::File.line(address, &tokens[0], false).contains(token));
        assert_eq!(Told::Log.line(address, &tokens[0], false), console.url());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[tokio::test]
async fn what_the_console_needs_is_there() {
    let mut asked = vec!["/".to_owned()];
    let mut count = 0;
    while let Some(path) = asked.pop() {
        let response = get_from("localhost", &path).await;
        assert_eq!(response.status(), 200, "{path}");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        let named = text.split('"').filter(|part| part.ends_with(".css") || part.ends_with(".js"));
        asked.extend(named.map(|name| format!("/{}", name.trim_start_matches(['.', '/']))));
        count += 1;
    }
    assert!(count >= 6, "the page names its parts: {count}");
}

#[tokio::test]
async fn the_console_answers_this_computer_alone() {
    for path in ["/", "/api/stream", "/api/dead", "/api/jobs", "/api/guarantees", "/api/dead/export"] {
        assert_eq!(get_from("evil.example", path).await.status(), 403, "{path}");
    }
    let error = Console::bind("0.0.0.0:0").unwrap_err();
    assert!(error.is_config() && error.to_string().contains("the console"), "{error}");
    assert!(error.hint().unwrap().contains("ssh -L"));
    assert!(Console::bind("nonsense").is_err());
    let first = Console::bind("127.0.0.1:0").unwrap();
    let error = Console::bind(&first.address.to_string()).unwrap_err();
    assert!(error.hint().unwrap().contains("another program"));
}

#[tokio::test]
async fn the_stream_says_which_bot_it_is_and_ends_with_the_console() {
    let (console, serving) = console();
    let request =
        Request::builder().uri("/api/stream").header("host", "localhost").header(BEARER.0, BEARER.1);
    let request = request.body(Body::empty()).unwrap();
    let mut events = console.oneshot(request).await.unwrap().into_body().into_data_stream();
    let about = events.next().await.unwrap().unwrap();
    let about = std::str::from_utf8(&about).unwrap();
    assert!(
        about.starts_with("event: about\n") && about.contains("two of them") && about.contains("shop"),
        "{about}"
    );
    drop(serving);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn the_commands_are_told_with_what_they_take() {
    let ((status, _), (Operator { letters, jobs }, _)) = (Status::new(), Operator::new());
    let ban = |_: crate::Args<(crate::Person, Option<String>)>| async {};
    let trigger = crate::Trigger::command("!ban")
        .alias("!out")
        .senders(["alice"])
        .parameters([("who", "to ban"), ("why", "")]);
    let app = crate::Router::new().route(trigger, ban).command("!ping", || async {}).with_state(());
    let handles = BotHandles { status: status.with_specs(app.specs()), letters, jobs };
    let asked = Request::get("/api/commands").body(Body::empty()).unwrap();
    let answer = shared(handles).oneshot(asked).await.unwrap();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let person =
        serde_json::json!({ "name": "who", "kind": "a person", "about": "to ban", "is_required": true });
    assert_eq!(told[0]["parameters"][0], person);
    assert_eq!((&told[0]["usage"], &told[0]["is_restricted"]), (&"!ban <who> [why]".into(), &true.into()));
    assert_eq!((&told[0]["aliases"][0], &told[1]["usage"]), (&"!out".into(), &"!ping".into()));
    assert!(!told.to_string().contains("alice"), "who may use it is nobody's business: {told}");
}
