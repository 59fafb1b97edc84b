//! What a bot tells of its commands.

use super::*;
use crate::command::{CommandSpec, Deferral, TriggerKind};

fn spec(app: &App, name: &str) -> CommandSpec {
    let specs = app.specs();
    let names: Vec<_> = specs.iter().map(|spec| spec.name.clone()).collect();
    specs.into_iter().find(|spec| spec.name == name).unwrap_or_else(|| panic!("{name} is none of {names:?}"))
}

#[test]
fn what_people_can_call_is_told_with_all_its_spellings() {
    let add = Trigger::command("add").alias("put on").name("adding").about("adds").usage("add <what>");
    let inner = Router::new().route(add, rest).command("show", says!("shown")).fallback(says!("what?"));
    let app = Router::new()
        .route(Trigger::command("!ban").senders(["alice"]).conversations(["crew"]).hidden(), rest)
        .exact("good bot", says!("thanks"))
        .route(Trigger::regex(r"(?i)\bthanks\b").name("thanks"), says!("welcome"))
        .on(Event::reaction, says!("seen"))
        .fallback(says!("what?"))
        .nest("!list", inner)
        .with_state(());
    let names: Vec<_> = app.specs().into_iter().map(|spec| spec.name).collect();
    assert_eq!(names, ["!ban", "good bot", "thanks", "!list adding", "!list show"]);

    let ban = spec(&app, "!ban");
    assert_eq!((ban.senders, ban.conversations), (Some(vec!["alice".into()]), Some(vec!["crew".into()])));
    assert!(ban.is_hidden);
    assert_eq!(spec(&app, "good bot").trigger, TriggerKind::Exact);
    let thanks = spec(&app, "thanks");
    assert_eq!((thanks.trigger, &*thanks.spelling), (TriggerKind::Pattern, ""));
    let add = spec(&app, "!list adding");
    assert_eq!((&*add.spelling, add.aliases), ("!list add", vec!["!list put on".to_owned()]));
    assert_eq!((add.about, add.senders, add.is_hidden), (Some("adds".into()), None, false));
    assert_eq!(add.trigger, TriggerKind::Command);
}

#[test]
fn what_may_go_out_before_the_answer_is_told() {
    let app = Router::new()
        .command("!visible", says!("1"))
        .route(Trigger::command("!ephemeral").ephemeral(), says!("2"))
        .route(Trigger::command("!form").opens_modal(), says!("3"))
        .with_state(());
    let deferrals = app.specs().into_iter().map(|spec| spec.deferral);
    assert_eq!(deferrals.collect::<Vec<_>>(), [Deferral::Visible, Deferral::Ephemeral, Deferral::Never]);
}
