use evenkeel::{Event, Next, Reply, Router, Sender, from_fn};

async fn ping() -> &'static str {
    "pong"
}

async fn members_only(next: Next, event: Event, _who: Sender) -> Reply {
    next.run(event).await
}

fn main() {
    let _app = Router::new().command("!ping", ping).layer(from_fn(members_only)).with_state(());
}
