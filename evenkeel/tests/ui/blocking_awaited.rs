use evenkeel::offload::blocking;
use evenkeel::{Rest, Result, Router};

fn report(Rest(city): Rest) -> String {
    city
}

async fn both() -> Result<String> {
    Ok(blocking(report).await?)
}

fn main() {
    let _app = Router::new().command("!both", both).with_state(());
}
