use evenkeel::Router;

async fn age() -> Result<String, String> {
    Err("how old are you?".into())
}

fn main() {
    let _app = Router::new().command("!age", age).with_state(());
}
