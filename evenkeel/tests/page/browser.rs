//! A headless Chromium, driven over the DevTools protocol.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const OPTIONS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--lang=en-GB",
    "--window-size=1360,860",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
];

/// One browser with one tab. Dropping it ends the process and removes its profile.
pub(crate) struct Browser {
    process: Child,
    profile: PathBuf,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    last_id: u64,
    /// What the page complained about: exceptions, console errors, violated policies.
    pub(crate) complaints: Vec<String>,
    /// The methods of the events that arrived.
    heard: Vec<String>,
}

impl Browser {
    pub(crate) async fn start(name: &str) -> Self {
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let mut process = Command::new(&program)
            .args(OPTIONS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start `{program}` ({error}): `apt-get install chromium`, or set CHROMIUM to its path")
            });
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned))
            .expect("Chromium says where it listens");
        // Ends with the process, whose full pipe would otherwise stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let (socket, _) = connect_async(address).await.unwrap();
        let (complaints, heard) = (Vec::new(), Vec::new());
        let mut browser = Self { process, profile, socket, session: None, last_id: 0, complaints, heard };
        let tab = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let to = json!({ "targetId": tab["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", to).await;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for room in ["Runtime.enable", "Log.enable", "Page.enable"] {
            browser.call(room, json!({})).await;
        }
        browser.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        browser.call("Emulation.setLocaleOverride", json!({ "locale": "en-GB" })).await;
        browser
    }

    /// Calls a method and waits for its answer; events on the way are noted.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut request = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        loop {
            let message = self.read().await;
            if message["id"] != id {
                continue;
            }
            assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
            return message["result"].clone();
        }
    }

    async fn read(&mut self) -> Value {
        loop {
            let message = self.socket.next().await.expect("Chromium runs").unwrap();
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            let params = &message["params"];
            match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => {
                    self.complaints.push(params["exceptionDetails"].to_string());
                }
                Some("Runtime.consoleAPICalled") if params["type"] != "log" => {
                    self.complaints.push(params["args"].to_string());
                }
                Some("Log.entryAdded") => self.complaints.push(params["entry"].to_string()),
                _ => {}
            }
            if let Some(method) = message["method"].as_str() {
                self.heard.push(method.to_owned());
            }
            return message;
        }
    }

    pub(crate) async fn go(&mut self, url: &str) {
        self.heard.clear();
        self.call("Page.navigate", json!({ "url": url })).await;
        while !self.heard.iter().any(|method| method == "Page.loadEventFired") {
            self.read().await;
        }
    }

    /// Runs a script in every page from now on, before the page's own.
    pub(crate) async fn prepare(&mut self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// The value of an expression, once it is settled.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params).await;
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {}", thrown["exception"]["description"]);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true, looking whenever the document changes. The limit is for what never comes: on a
    /// loaded machine the guard's reporter, which has a low priority, may need a minute.
    pub(crate) async fn wait(&mut self, condition: &str) {
        let quoted = json!(condition);
        let promise = format!(
            "new Promise((done, fail) => {{
                const look = () => {{
                    if (!({condition})) return;
                    observer.disconnect();
                    clearTimeout(end);
                    done(true);
                }};
                const observer = new MutationObserver(look);
                const end = setTimeout(() => fail(new Error('never came true: ' + {quoted})), 120000);
                const all = {{ subtree: true, childList: true, attributes: true, characterData: true }};
                observer.observe(document, all);
                look();
            }})"
        );
        self.evaluate(&promise).await;
    }

    /// Types like a person, one key after the other, into whatever has the focus.
    pub(crate) async fn type_keys(&mut self, text: &str) {
        for key in text.chars() {
            let key = key.to_string();
            self.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": key, "text": key })).await;
            self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key })).await;
        }
    }

    /// Presses a key that has a name.
    pub(crate) async fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, Some("\r")),
            "Escape" => (27, None),
            "ArrowLeft" => (37, None),
            "ArrowUp" => (38, None),
            "ArrowRight" => (39, None),
            other => panic!("no code for {other}"),
        };
        let mut event =
            json!({ "type": "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            event["type"] = json!("keyDown");
            event["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", event.clone()).await;
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", event).await;
    }

    /// Clicks with the mouse into the middle of the first element that matches.
    pub(crate) async fn click(&mut self, selector: &str) {
        let find = format!(
            "(() => {{
                const element = document.querySelector({});
                element.scrollIntoView({{ block: 'nearest', behavior: 'instant' }});
                const box = element.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()",
            json!(selector)
        );
        let at = self.evaluate(&find).await;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Chooses a file in an `<input type=file>`, as the dialog would.
    pub(crate) async fn choose_file(&mut self, selector: &str, path: &Path) {
        let expression = format!("document.querySelector({})", json!(selector));
        let input = self.call("Runtime.evaluate", json!({ "expression": expression })).await;
        let params = json!({ "files": [path], "objectId": input["result"]["objectId"] });
        self.call("DOM.setFileInputFiles", params).await;
    }

    /// Emulates a screen of this many pixels.
    pub(crate) async fn resize(&mut self, width: u32, height: u32, is_phone: bool) {
        let scale = if is_phone { 2 } else { 1 };
        let params =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone });
        self.call("Emulation.setDeviceMetricsOverride", params).await;
    }

    /// Emulates a visitor's choice, such as `prefers-color-scheme: dark`.
    pub(crate) async fn prefer(&mut self, name: &str, value: &str) {
        let params = json!({ "features": [{ "name": name, "value": value }] });
        self.call("Emulation.setEmulatedMedia", params).await;
    }

    /// Writes what the tab looks like next to the test's other temporary files, and says where.
    pub(crate) async fn picture(&mut self, name: &str) -> PathBuf {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Children of the process may still be writing; what is left is under the target folder.
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
