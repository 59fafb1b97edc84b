use evenkeel::Router;
use evenkeel::offload::blocking;

async fn ping() -> &'static str {
    "pong"
}

fn main() {
    let _app = Router::new().command("!ping", blocking(ping)).with_state(());
}
