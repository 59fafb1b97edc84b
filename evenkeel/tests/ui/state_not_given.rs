use evenkeel::{IntoApp, Router, State};

#[derive(Clone)]
struct Shop {
    name: String,
}

async fn shop(State(shop): State<Shop>) -> String {
    shop.name
}

/// Takes what `run` takes.
fn run(_app: impl IntoApp) {}

fn main() {
    run(Router::new().command("!shop", shop));
}
