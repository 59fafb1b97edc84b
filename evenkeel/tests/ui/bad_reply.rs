use evenkeel::Router;

async fn count() -> u32 {
    42
}

fn main() {
    let _app = Router::new().command("!count", count).with_state(());
}
