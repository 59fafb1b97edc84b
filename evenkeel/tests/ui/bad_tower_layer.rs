use std::time::Duration;

use evenkeel::Router;
use tower::timeout::TimeoutLayer;

async fn ping() -> &'static str {
    "pong"
}

fn main() {
    let layer = TimeoutLayer::new(Duration::from_secs(5));
    let _app = Router::new().command("!ping", ping).layer(layer).with_state(());
}
