use std::rc::Rc;

use evenkeel::Router;
use evenkeel::offload::blocking;

struct Shared(Rc<str>);

impl evenkeel::IntoReply for Shared {
    fn into_reply(self) -> evenkeel::Reply {
        evenkeel::Reply::text(&*self.0)
    }
}

fn ping() -> Shared {
    Shared("pong".into())
}

fn main() {
    let _app = Router::new().command("!ping", blocking(ping)).with_state(());
}
