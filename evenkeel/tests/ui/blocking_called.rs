use evenkeel::offload::blocking;
use evenkeel::{Rest, Router};

fn report(Rest(city): Rest) -> String {
    city
}

fn main() {
    let _app = Router::new().command("!report", blocking(report(Rest("Kiel".into())))).with_state(());
}
