use evenkeel::{Event, Next, Reply, Router, from_fn};

async fn ping() -> &'static str {
    "pong"
}

async fn members_only(_is_member: bool, event: Event, next: Next) -> Reply {
    next.run(event).await
}

fn main() {
    let _app = Router::new().command("!ping", ping).layer(from_fn(members_only)).with_state(());
}
