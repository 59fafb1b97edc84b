use evenkeel::{Router, Sender, Text};

async fn shout(_text: Text, _is_loud: bool, _who: Sender) -> &'static str {
    "hey"
}

fn main() {
    let _app = Router::new().command("!shout", shout).with_state(());
}
