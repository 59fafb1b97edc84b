//! People, conversations and files as values of a command.

use super::*;
use crate::command::ParameterKind;
use crate::event::{Attachment, Mention, Person, Quote};

/// A message that mentions Bob wherever it says `@Bob Lee`, and has as many files as are asked for.
fn message(text: &str, files: usize) -> Message {
    let mut message = Message::text("1", text);
    let bob = || Sender::known_as("uuid-bob", Some("Bob Lee"), None::<&str>);
    let ranges = text.match_indices("@Bob Lee").map(|(at, name)| at..at + name.len());
    message.mentions = ranges.map(|range| Mention { who: bob(), range }).collect();
    message.attachments = (0..files).map(|n| file(&n.to_string())).collect();
    message
}

fn file(id: &str) -> Attachment {
    Attachment { id: id.into(), name: None, content_type: "text/plain".into(), size_bytes: Some(1) }
}

/// The same in answer to something that Carol wrote.
fn answering(text: &str, author: &str) -> Message {
    let author = Some(Sender::new(author));
    Message { quote: Some(Quote { id: MessageId::new("0"), author, text: "hm".into() }), ..message(text, 0) }
}

async fn hear(app: &App, message: Message) -> String {
    let event = Event::new("1", Conversation::group("crew"), Sender::new("alice"), message);
    told(answer(app, event.with_bot(Sender::new("bot"))).await).join("|")
}

fn who(Person(who): &Person) -> &str {
    who.id()
}

#[tokio::test]
async fn a_person_is_who_is_mentioned_or_answered_or_has_the_id() {
    let ban = |Args((person, why)): Args<(Person, Option<String>)>| async move {
        format!("{}: {}", who(&person), why.unwrap_or_default())
    };
    let pay =
        |Args((person, count)): Args<(Person, u8)>| async move { format!("{count} to {}", who(&person)) };
    let wave = |Args(person): Args<Person>| async move { who(&person).to_owned() };
    let all =
        |Args(people): Args<Vec<Person>>| async move { people.iter().map(who).collect::<Vec<_>>().join("+") };
    let app = Router::new()
        .command("!ban", ban)
        .command("!pay", pay)
        .command("!wave", wave)
        .command("!all", all)
        .with_state(());
    for (text, expected) in [
        ("!ban @Bob Lee", "uuid-bob: "),
        ("!ban @Bob Lee, far  too loud", "uuid-bob: far  too loud"),
        ("!ban +15550100003 too loud", "+15550100003: too loud"),
        ("!pay @Bob Lee 5", "5 to uuid-bob"),
        ("!pay carol 5", "5 to carol"),
        ("!wave @Bob Lee", "uuid-bob"),
        ("!all @Bob Lee dave @Bob Lee", "uuid-bob+dave+uuid-bob"),
    ] {
        assert_eq!(hear(&app, message(text, 0)).await, expected, "{text}");
    }
    for (text, expected) in [
        ("!ban", "carol: "),
        ("!ban far too loud", "carol: far too loud"),
        ("!ban @Bob Lee too loud", "uuid-bob: too loud"),
        ("!pay 5", "5 to carol"),
        ("!wave", "carol"),
        ("!wave dave", "dave"),
    ] {
        assert_eq!(hear(&app, answering(text, "carol")).await, expected, "{text}");
    }
    assert_eq!(hear(&app, answering("!pay dave 5", "bot")).await, "5 to dave", "nobody means the bot");
    let nobody = "`@carol` is nobody I know: mention a person, or write the id.";
    assert_eq!(hear(&app, message("!pay @carol 5", 0)).await, nobody);
    assert_eq!(hear(&app, message("!pay 5", 0)).await, "`!pay` takes 2 words.");
    let two = "`bob lee` is nobody I know: mention a person, or write the id.";
    assert_eq!(hear(&app, message("!wave bob lee", 0)).await, two);
}

#[tokio::test]
async fn a_file_is_one_of_the_message_and_no_word() {
    #[derive(Deserialize)]
    struct Upload {
        title: String,
        first: Attachment,
        note: Option<String>,
        second: Option<Attachment>,
    }
    let upload = |Args(upload): Args<Upload>| async move {
        let Upload { title, first, note, second } = upload;
        format!("{title}, {}, {note:?}, {:?}", first.id, second.map(|file| file.id))
    };
    let named =
        |Args((file, name)): Args<(Attachment, String)>| async move { format!("{name}: {}", file.id) };
    let perhaps =
        |Args(file): Args<Option<Attachment>>| async move { format!("{:?}", file.map(|file| file.id)) };
    let ids = |files: Vec<Attachment>| files.iter().map(|file| &*file.id).collect::<Vec<_>>().join("+");
    let all = move |Args((title, files)): Args<(String, Vec<Attachment>)>| async move {
        format!("{title}: {}", ids(files))
    };
    let only = move |Args(files): Args<Vec<Attachment>>| async move { ids(files) };
    let app = Router::new()
        .command("!upload", upload)
        .command("!named", named)
        .command("!perhaps", perhaps)
        .command("!all", all)
        .command("!only", only)
        .with_state(());
    for (text, files, expected) in [
        ("!upload tea", 1, "tea, 0, None, None"),
        ("!upload tea with milk", 2, "tea, 0, Some(\"with milk\"), Some(\"1\")"),
        ("!upload tea", 0, "`first` is missing."),
        ("!upload", 1, "`title` is missing."),
        ("!named a new name", 1, "a new name: 0"),
        ("!named a new name", 0, "A file is missing: write this below the file that you send."),
        ("!named", 1, "`!named` takes 1 word."),
        ("!perhaps", 1, "Some(\"0\")"),
        ("!perhaps", 0, "None"),
        ("!all of these", 3, "of these: 0+1+2"),
        ("!all of these", 0, "of these: "),
        ("!only", 2, "0+1"),
    ] {
        assert_eq!(hear(&app, message(text, files)).await, expected, "{text} with {files}");
    }
}

#[tokio::test]
async fn a_conversation_is_that_of_the_id_or_of_the_person() {
    let say = |cx: crate::context::Context, Args((to, what)): Args<(Conversation, String)>| async move {
        let is_here = to == *cx.event().conversation();
        format!("{what} to {}, {}, {is_here}", to.id(), if to.is_group() { "a group" } else { "a person" })
    };
    let app = Router::new().command("!say", say).with_state(());
    for (text, expected) in [
        ("!say crew hi all", "hi all to crew, a group, true"),
        ("!say others hi", "hi to others, a group, false"),
        ("!say @Bob Lee hi", "hi to uuid-bob, a person, false"),
    ] {
        assert_eq!(hear(&app, message(text, 0)).await, expected, "{text}");
    }
}

#[tokio::test]
async fn groups_of_a_pattern_may_be_people_and_no_files() {
    let thank = |Captures((person,)): Captures<(Person,)>| async move { who(&person).to_owned() };
    let app = Router::new().regex("^thanks (.+)$", thank).with_state(());
    assert_eq!(hear(&app, message("thanks @Bob Lee", 0)).await, "uuid-bob");
    assert_eq!(hear(&app, message("thanks carol", 0)).await, "carol");
    let file = || Router::<()>::new().regex("(.)", |_: Captures<(Attachment,)>| async {});
    check_panic(file, &["a file is in no group"]);
}

#[tokio::test]
async fn a_layer_may_take_the_same_words_for_something_else() {
    async fn words(Args(words): Args, event: Event, next: Next) -> Reply {
        next.run(event).await.push(&format!(" by {}", words.join("+")))
    }
    let pay = |Args((who, _file, what)): Args<(Person, Attachment, String)>| async move {
        format!("{what} to {}", who.id())
    };
    let app = Router::new().command("!pay", pay).layer(from_fn(words)).with_state(());
    assert_eq!(hear(&app, message("!pay carol 5 euro", 1)).await, "5 euro to carol by carol+5+euro");
}

#[test]
fn what_is_no_word_is_told_as_what_it_is() {
    let upload = |_: Args<(String, Attachment, Option<Person>, Vec<Conversation>)>| async {};
    let app = Router::new().command("!x", upload).with_state(());
    let spec = &app.specs()[0];
    let kinds: Vec<_> = spec.parameters.iter().map(|one| (&*one.name, &one.kind, one.is_required)).collect();
    assert_eq!(
        kinds,
        [
            ("word", &ParameterKind::Word, true),
            ("file", &ParameterKind::File, true),
            ("person", &ParameterKind::Person, true),
            ("conversations", &ParameterKind::Destination, true),
        ]
    );
    assert_eq!(spec.usage.as_deref(), Some("!x <word> <person> <conversations...>, with a file"));

    let named = |_: Args<(String, Option<Attachment>)>| async {};
    let app = Router::new().command("!x", named).with_state(());
    let spec = &app.specs()[0];
    assert_eq!(spec.usage.as_deref(), Some("!x <text>, perhaps with a file"));
}

#[test]
fn what_is_filled_in_a_way_of_its_own_is_kept_as_before() {
    let person = Person(Sender::known_as("a", Some("Alice"), Some("+1")));
    let text = serde_json::to_string(&person).expect("json");
    assert_eq!(text, r#"{"id":"a","name":"Alice","alias":"+1"}"#);
    assert_eq!(serde_json::from_str::<Person>(&text).expect("a person"), person);
    let here = serde_json::to_string(&Conversation::group("crew")).expect("json");
    assert_eq!(here, r#"{"id":"crew","kind":"Group"}"#);
}
