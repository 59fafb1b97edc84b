use evenkeel::Router;

fn ping() -> &'static str {
    "pong"
}

fn main() {
    let _app = Router::new().command("!ping", ping).with_state(());
}
