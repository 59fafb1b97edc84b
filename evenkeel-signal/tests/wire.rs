//! What each frame of the wire data becomes.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

use std::collections::BTreeMap;
use std::path::Path;

use evenkeel::{Event, EventKind, MessageId, Quote};
use evenkeel_signal::{OwnMessages, Signal};

const BOT: &str = "+15550100000";

fn signal() -> Signal {
    Signal::new(BOT, "localhost:1").unwrap()
}

fn frame(name: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/envelopes");
    std::fs::read_to_string(directory.join(name)).unwrap()
}

/// Shortens the made-up people and the group of the wire data.
fn short(text: &str) -> String {
    text.replace("00000000-0000-4000-8000-000000000000", "BOT")
        .replace("11111111-1111-4111-8111-111111111111", "ALICE")
        .replace("22222222-2222-4222-8222-222222222222", "BOB")
        .replace("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "GROUP")
}

fn message(message: &evenkeel::Message) -> String {
    let mut told = format!("{:?}", message.text);
    for mention in &message.mentions {
        told += &format!(" mentions {} at {:?}", mention.who.id(), mention.range);
    }
    for file in &message.attachments {
        told += &format!(" with {} {:?}", file.content_type, file.name.as_deref().unwrap_or(""));
    }
    if let Some(Quote { id, text, .. }) = &message.quote {
        told += &format!(" quotes {} {text:?}", id.as_str());
    }
    told
}

fn what(event: &Event) -> String {
    match event.kind() {
        EventKind::Message(it) => format!("message {}", message(it)),
        EventKind::Edit(it) => format!("edit of {} {}", it.target.as_str(), message(&it.message)),
        EventKind::Reaction(it) => {
            let verb = if it.is_removed { "unreaction" } else { "reaction" };
            format!("{verb} {} to {}", it.emoji, it.target.as_str())
        }
        EventKind::Deletion(it) => format!("deletion of {}", it.target.as_str()),
        EventKind::Typing(it) => format!("typing {}", it.is_started),
        EventKind::Receipt(it) => {
            let targets: Vec<_> = it.targets.iter().map(MessageId::as_str).collect();
            format!("receipt {:?} of {}", it.kind, targets.join(" "))
        }
        EventKind::PollVote(it) => format!("vote {:?} in {}", it.options, it.poll.as_str()),
        EventKind::Other(it) => format!("other {}", it.name),
        _ => "new".to_owned(),
    }
}

fn becomes(signal: &Signal, frame: &str) -> String {
    short(&match signal.parse(frame) {
        Ok(Some(event)) => {
            format!("{} > {}: {}", event.sender().id(), event.conversation().id(), what(&event))
        }
        Ok(None) => "nothing".to_owned(),
        Err(why) => format!("undeliverable: {why}"),
    })
}

const EXPECTED: &[(&str, &str)] = &[
    ("s_call_busy", "ALICE > ALICE: other call"),
    ("s_call_hangup", "ALICE > ALICE: other call"),
    ("s_call_ice", "ALICE > ALICE: other call"),
    ("s_call_offer_u64_id", "ALICE > ALICE: other call"),
    ("s_data_admin_delete_group", "ALICE > GROUP: deletion of 1767225570000/BOB"),
    ("s_data_attachment_full", r#"ALICE > ALICE: message "" with image/png "image.png" with audio/aac """#),
    ("s_data_expiration_update", "ALICE > ALICE: other timer"),
    ("s_data_link_preview_image", r#"ALICE > ALICE: message "see https://example.com""#),
    ("s_data_mention_group", r#"ALICE > GROUP: message "👋 ￼ please help" mentions BOT at 5..8"#),
    ("s_data_mention_uuid_only", r#"ALICE > GROUP: message "￼ hi" mentions BOB at 0..3"#),
    ("s_data_null_message", "ALICE > ALICE: other unsupported"),
    ("s_data_poll_create_group", "ALICE > GROUP: other poll"),
    ("s_data_poll_terminate_group", "ALICE > GROUP: other poll_end"),
    ("s_data_poll_vote_group", "ALICE > GROUP: vote [0, 2] in 1767225570000/self"),
    ("s_data_quote_of_bot", r#"ALICE > ALICE: message "yes" quotes 1767225540000/self "Shall I?""#),
    ("s_data_reaction_direct", "ALICE > ALICE: reaction 👍 to 1767225570000/self"),
    ("s_data_reaction_remove", "ALICE > ALICE: unreaction 👍 to 1767225570000/self"),
    ("s_data_remote_delete", "ALICE > ALICE: deletion of 1767225570000/ALICE"),
    ("s_data_shared_contact", "ALICE > ALICE: other contact"),
    ("s_data_story_reply", r#"ALICE > ALICE: message "great story""#),
    ("s_data_text_group", r#"ALICE > GROUP: message "!ping""#),
    ("s_data_text_styles", r#"ALICE > ALICE: message "bold 🧪 mono""#),
    ("s_data_unpin_group", "ALICE > GROUP: other unpin"),
    ("s_data_view_once", r#"ALICE > ALICE: message "" with image/jpeg """#),
    ("s_edit_direct", r#"ALICE > ALICE: edit of 1767225570000/ALICE "fixed typo""#),
    ("s_edit_group", r#"ALICE > GROUP: edit of 1767225570000/ALICE "fixed typo""#),
    ("s_envelope_no_content", "nothing"),
    ("s_exception_no_envelope", "undeliverable: a message that signal-cli could not decrypt or read"),
    ("s_exception_untrusted_identity", "undeliverable: a message that signal-cli could not decrypt or read"),
    ("s_jsonrpc_call_event", "nothing"),
    ("s_receipt_viewed", "ALICE > ALICE: receipt Viewed of 1767225599000/self 1767225598000/self"),
    ("s_story_file_group", "ALICE > GROUP: other story"),
    ("s_story_text", "ALICE > ALICE: other story"),
    ("s_sync_blocked", "nothing"),
    ("s_sync_empty", "nothing"),
    ("s_sync_sent_group", "nothing"),
    ("s_sync_sent_note_to_self_full", r#"BOT > BOT: message "!ping""#),
    ("s_sync_sent_remote_delete", "nothing"),
    ("s_typing_stopped_group", "ALICE > GROUP: typing false"),
    ("v_data_attachment", r#"ALICE > ALICE: message "Uhrzeit" with image/png "image.png""#),
    ("v_data_group_update", "ALICE > GROUP: other group_update"),
    ("v_data_link_preview_no_image", r#"ALICE > ALICE: message "https://example.com is nice""#),
    ("v_data_sticker", "ALICE > ALICE: other sticker"),
    ("v_data_text_direct", r#"ALICE > ALICE: message "Uhrzeit""#),
    ("v_data_text_uuid_only", r#"ALICE > ALICE: message "Happy `Birthday""#),
    ("v_exception_null_source", "undeliverable: a message that signal-cli could not decrypt or read"),
    ("v_jsonrpc_notification", r#"ALICE > ALICE: message "foobar""#),
    ("v_jsonrpc_subscription_notification", r#"BOT > BOT: message "j""#),
    (
        "v_minimal_edit_nested_in_dataMessage",
        r#"+15550100001 > +15550100001: edit of 1672531200000/+15550100001 "Hello, edited world!""#,
    ),
    ("v_minimal_text", r#"+15550100001 > +15550100001: message "!ping""#),
    ("v_receipt_read", "ALICE > ALICE: receipt Read of 1700686413944/self"),
    ("v_sync_contacts", "nothing"),
    ("v_sync_read_messages", "nothing"),
    ("v_sync_sent_group_own_device", "nothing"),
    ("v_sync_sent_note_to_self", r#"BOT > BOT: message "j""#),
    ("v_sync_sent_reaction_group", "nothing"),
    ("v_sync_sent_to_other_1to1", "nothing"),
    ("v_typing_started", "ALICE > ALICE: typing true"),
];

#[test]
fn every_frame_of_the_wire_data_becomes_what_the_table_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/envelopes");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let told = becomes(&signal(), &frame(&name));
        found.insert(name.trim_end_matches(".json").to_owned(), told);
    }
    let expected: BTreeMap<_, _> =
        EXPECTED.iter().map(|(name, told)| ((*name).to_owned(), (*told).to_owned())).collect();
    for (name, told) in &found {
        assert_eq!(Some(told), expected.get(name), "{name}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn own_messages_count_as_they_were_asked_to() {
    let all = signal().with_own_messages(OwnMessages::All);
    let told = becomes(&all, &frame("v_sync_sent_to_other_1to1.json"));
    assert_eq!(told, r#"BOT > ALICE: message "111111111111111111111111""#);
    assert_eq!(becomes(&all, &frame("s_sync_sent_group.json")), r#"BOT > GROUP: message "!ping""#);
    let none = signal().with_own_messages(OwnMessages::Ignore);
    assert_eq!(becomes(&none, &frame("s_sync_sent_note_to_self_full.json")), "nothing");
}

#[test]
fn an_echo_of_the_bots_own_message_is_nothing() {
    let signal = signal();
    let echo = frame("v_data_text_direct.json").replace("+15550100001", BOT);
    assert_eq!(becomes(&signal, &echo), "nothing");
    // The uuid was learnt from that frame: it needs no number any more.
    let hidden = frame("v_data_text_uuid_only.json");
    assert_eq!(becomes(&signal, &hidden), "nothing");
}

#[test]
fn the_same_frame_has_the_same_id_and_another_kind_has_another() {
    let id = |name: &str| signal().parse(&frame(name)).unwrap().unwrap().id().to_owned();
    assert_eq!(id("s_data_text_group.json"), id("s_data_text_group.json"));
    assert_ne!(id("s_data_text_group.json"), id("s_edit_group.json"));
    let other_bot = Signal::new("+15550100009", "localhost:1").unwrap();
    let there = other_bot.parse(&frame("s_data_text_group.json")).unwrap().unwrap();
    assert_ne!(id("s_data_text_group.json"), there.id());
    assert!(!there.id().contains("+1555"), "{}", there.id());
}

#[test]
fn what_is_not_needed_may_be_anything() {
    let strange = r#"{"account":[1],"envelope":{"source":{"a":1},"sourceUuid":"33333333-3333-4333-8333-333333333333","sourceName":7,"sourceDevice":"x",
        "timestamp":"12","serverReceivedTimestamp":null,"dataMessage":{"timestamp":null,"message":"hi","viewOnce":"?",
        "quote":[],"mentions":{"a":1},"attachments":["x",{"id":"file"},{"id":5}],"sticker":null,"new":{"deep":[[]]}}}}"#;
    assert_eq!(
        becomes(&signal(), strange),
        r#"ID > ID: message "hi" with application/octet-stream """#
            .replace("ID", "33333333-3333-4333-8333-333333333333")
    );
}

#[test]
fn what_decides_words_and_place_may_not() {
    for data in [
        r#"{"message":7}"#,
        r#"{"message":"hi","groupInfo":{}}"#,
        r#"{"message":"hi","groupInfo":{"groupId":null}}"#,
        r#"{"message":"hi","groupInfo":{"groupId":""}}"#,
        r#"{"message":"hi","groupInfo":{"groupId":" "}}"#,
        r#"{"message":"hi","groupInfo":{"groupId":"not base64"}}"#,
        r#""hi""#,
        r#"{"reaction":{"emoji":"x"}}"#,
    ] {
        let frame = format!(
            r#"{{"envelope":{{"sourceUuid":"33333333-3333-4333-8333-333333333333","timestamp":1,"dataMessage":{data}}}}}"#
        );
        assert!(signal().parse(&frame).is_err(), "{data}");
    }
    let nobody = r#"{"envelope":{"timestamp":1,"dataMessage":{"message":"hi"}}}"#;
    assert_eq!(signal().parse(nobody).unwrap_err(), "a message without a sender");
}

#[test]
fn a_sender_that_is_no_person_is_undeliverable() {
    for source in [
        r#""sourceUuid":"\u0000x""#,
        r#""sourceNumber":"\u0000x""#,
        r#""source":"null""#,
        r#""sourceNumber":"+""#,
        r#""sourceUuid":"../x","sourceNumber":null,"source":"../x""#,
        r#""sourceNumber":"+15550100001\n""#,
        r#""source":"u:name.01""#,
        r#""sourceUuid":"00000000-0000-0000-0000-000000000000""#,
        r#""sourceUuid":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=""#,
    ] {
        for content in [r#""dataMessage":{"message":"hi"}"#, r#""typingMessage":{"action":"STARTED"}"#] {
            let frame = format!(r#"{{"envelope":{{{source},"timestamp":1,{content}}}}}"#);
            assert_eq!(signal().parse(&frame).unwrap_err(), "a message without a sender", "{source}");
        }
    }
}

#[test]
fn a_person_has_one_name_however_it_is_written() {
    let (lower, upper) = ("abcdef01-3333-4333-8333-333333333333", "ABCDEF01-3333-4333-8333-333333333333");
    let signal = signal();
    let event = |source: &str, data: &str| {
        let frame = format!(r#"{{"envelope":{{{source},"timestamp":1,"dataMessage":{data}}}}}"#);
        signal.parse(&frame).unwrap().unwrap()
    };
    let written = |uuid: &str| event(&format!(r#""sourceUuid":"{uuid}""#), r#"{"message":"hi"}"#);
    assert_eq!(
        (written(upper).id(), written(upper).sender()),
        (written(lower).id(), written(lower).sender())
    );
    assert_eq!(written(upper).conversation().id(), lower);
    let both = event(&format!(r#""sourceUuid":"null","sourceNumber":"\u0000x","source":"{upper}""#), "{}");
    assert_eq!(both.conversation().id(), lower, "what is no name hides none");
    let quoting = format!(
        r#"{{"message":"hi","quote":{{"id":7,"authorUuid":"{upper}","text":"x"}},"mentions":[
            {{"uuid":"{upper}","start":0,"length":1}},{{"uuid":"null","number":"+","start":1,"length":1}}]}}"#
    );
    let quoting = event(&format!(r#""sourceUuid":"{lower}""#), &quoting);
    let message = quoting.message().unwrap();
    assert_eq!(message.quote.as_ref().unwrap().id.as_str(), format!("7/{lower}"));
    assert_eq!(message.mentions.iter().map(|mention| mention.who.id()).collect::<Vec<_>>(), [lower]);
    let nobody = r#"{"message":"hi","quote":{"id":7,"author":"../x","text":"x"}}"#;
    let nobody = event(&format!(r#""sourceUuid":"{lower}""#), nobody);
    assert!(nobody.message().unwrap().quote.as_ref().unwrap().author.is_none());
}

#[test]
fn a_mention_outside_of_the_text_is_left_out_and_the_message_stays() {
    let mentions = r#"[{"uuid":"aaaaaaaa-3333-4333-8333-333333333333","start":1,"length":1},{"uuid":"BBBBBBBB-3333-4333-8333-333333333333","start":0,"length":2},{"uuid":"cccccccc-3333-4333-8333-333333333333","start":9,"length":1}]"#;
    let data = format!(r#"{{"message":"👋","mentions":{mentions}}}"#);
    let frame = format!(
        r#"{{"envelope":{{"sourceUuid":"33333333-3333-4333-8333-333333333333","timestamp":1,"dataMessage":{data}}}}}"#
    );
    let expected = r#"UUID > UUID: message "👋" mentions bbbbbbbb-3333-4333-8333-333333333333 at 0..4"#;
    assert_eq!(becomes(&signal(), &frame), expected.replace("UUID", "33333333-3333-4333-8333-333333333333"));
}

#[test]
fn a_command_behind_a_mention_of_the_bot_runs() {
    let bot =
        r#"{"number":"+15550100000","uuid":"00000000-0000-4000-8000-000000000000","start":START,"length":1}"#;
    let app = evenkeel::Router::new().command("!ping", || async { "pong" }).with_state(());
    let signal = signal();
    let event = |text: &str, mention: &str| {
        let group = r#""groupInfo":{"groupId":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#;
        let data = format!(r#"{{"message":"{text}","mentions":[{mention}],{group}}}"#);
        let frame = format!(
            r#"{{"envelope":{{"sourceUuid":"33333333-3333-4333-8333-333333333333","timestamp":1,"dataMessage":{data}}}}}"#
        );
        signal.parse(&frame).unwrap().unwrap()
    };
    let mentioned = event("\u{fffc} !ping", &bot.replace("START", "0"));
    assert!(app.matches(&mentioned) && mentioned.is_addressed());
    let later = event("!ping 👋 \u{fffc}", &bot.replace("START", "9"));
    assert!(app.matches(&later) && later.is_addressed());
    let by_uuid = r#"{"uuid":"00000000-0000-4000-8000-000000000000","start":0,"length":1}"#;
    assert!(app.matches(&event("\u{fffc}, ！ping", by_uuid)), "the uuid was learnt");
    let other = event(
        "\u{fffc} !ping",
        r#"{"name":"Bob","uuid":"22222222-2222-4222-8222-222222222222","start":0,"length":1}"#,
    );
    assert!(!app.matches(&other) && !other.is_addressed());
    assert_eq!(other.message().unwrap().text_with_names(), "@Bob !ping");
}
