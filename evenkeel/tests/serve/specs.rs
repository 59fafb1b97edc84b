//! A network is told what people may ask for before anything comes in.

use std::sync::{Arc, Mutex};

use evenkeel::command::ParameterKind;
use evenkeel::transport::{Inbox, SendError, Sent, Start};
use evenkeel::{Args, Bot, Outbound, Result, Router, Transport, Trigger};

/// A network that has its commands written down, and then ends.
#[derive(Clone, Default)]
struct Registry(Arc<Mutex<Vec<String>>>);

impl Registry {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Transport for Registry {
    fn name(&self) -> &'static str {
        "registry"
    }

    async fn open(&self, start: &Start<'_>) -> Result<String> {
        for spec in start.specs() {
            let count = ParameterKind::Integer(0..=255);
            assert!(spec.parameters.iter().all(|parameter| parameter.kind == count), "{spec}");
            self.note(spec.to_string());
        }
        Ok(String::new())
    }

    async fn receive(&self, _: Inbox) -> Result<()> {
        self.note("receives".to_owned());
        Ok(())
    }

    async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
        Ok(Sent::done())
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_is_told_the_commands_before_it_opens() {
    let registry = Registry::default();
    let roll = |Args(sides): Args<u8>| async move { sides.to_string() };
    let app = Router::new()
        .route(Trigger::command("!roll").parameters(["sides"]).about("rolls a die"), roll)
        .exact("ping", || async { "pong" });
    Bot::new(app).transport(registry.clone()).in_memory().serve().await.unwrap();
    let noted = registry.0.lock().unwrap().clone();
    assert_eq!(noted, ["!roll <sides>: rolls a die", "ping", "receives"]);
}
