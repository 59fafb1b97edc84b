use std::sync::Mutex;

use evenkeel::Router;

static COUNT: Mutex<u32> = Mutex::new(0);

async fn count() -> String {
    let mut count = COUNT.lock().unwrap();
    *count += 1;
    another().await;
    count.to_string()
}

async fn another() {}

fn main() {
    let _app = Router::new().command("!count", count).with_state(());
}
