use evenkeel::{Router, State};

#[derive(Clone)]
struct Shop {
    name: String,
}

async fn shop(State(shop): State<Shop>) -> String {
    shop.name
}

fn main() {
    let _app = Router::new().command("!shop", shop).with_state(());
}
