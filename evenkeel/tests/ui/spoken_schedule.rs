use evenkeel::{Job, Router};

async fn morning(_: Job<()>) -> &'static str {
    "good morning"
}

fn main() {
    let _app = Router::new().schedule("daily 09:00 Europe/Berlin", morning).with_state(());
}
