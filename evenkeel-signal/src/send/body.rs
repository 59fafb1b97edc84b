//! The bodies of requests.

use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use evenkeel::transport::SendError;
use evenkeel::{Draft, File, Mention};
use serde::{Serialize, Serializer};

use crate::utf16;

/// What stands in a text where a mention is, in Signal's own clients.
const PLACEHOLDER: &str = "\u{fffc}";

#[derive(Serialize)]
pub(super) struct SendBody<'a> {
    pub(super) number: &'a str,
    pub(super) recipients: [&'a str; 1],
    pub(super) message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Files::is_empty")]
    pub(super) base64_attachments: Files<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) mentions: &'a [MentionBody<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) edit_timestamp: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) quote: Option<QuoteBody<'a>>,
}

#[derive(Serialize)]
pub(super) struct QuoteBody<'a> {
    pub(super) quote_timestamp: u64,
    pub(super) quote_author: &'a str,
    pub(super) quote_message: &'a str,
}

/// In UTF-16 units.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct MentionBody<'a> {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) author: &'a str,
}

pub(super) struct Files<'a>(pub(super) &'a [File]);

impl Files<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Files<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(DataUri))
    }
}

/// Writes `data:<type>;filename=<name>;base64,<content>` straight into the body.
struct DataUri<'a>(&'a File);

impl fmt::Display for DataUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (media_type, name) = (media_type(&self.0.content_type), file_name(&self.0.name));
        write!(f, "data:{media_type};")?;
        if !name.is_empty() {
            write!(f, "filename={name};")?;
        }
        write!(f, "base64,{}", Base64Display::new(&self.0.bytes, &STANDARD))
    }
}

impl Serialize for DataUri<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn media_type(claimed: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-/".contains(&byte);
    if !claimed.is_empty() && claimed.contains('/') && claimed.bytes().all(is_plain) {
        claimed
    } else {
        "application/octet-stream"
    }
}

/// Leaves nothing of a name that could end the field it stands in, or lead out of a directory.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_safe = |c: &char| !c.is_control() && !matches!(c, ';' | ',' | ':' | '"' | '%');
    let safe: String = last.chars().filter(is_safe).take(120).collect();
    safe.trim_matches(['.', ' ']).to_owned()
}

#[derive(Serialize)]
pub(super) struct ReactionBody<'a> {
    pub(super) recipient: &'a str,
    pub(super) reaction: &'a str,
    pub(super) target_author: &'a str,
    pub(super) timestamp: u64,
}

#[derive(Serialize)]
pub(super) struct TargetBody<'a> {
    pub(super) recipient: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<u64>,
}

pub(super) fn json(body: &impl Serialize, capacity: usize) -> Result<Bytes, SendError> {
    let mut bytes = Vec::with_capacity(capacity);
    match serde_json::to_writer(&mut bytes, body) {
        Ok(()) => Ok(bytes.into()),
        Err(error) => Err(SendError::refused("the message cannot be written as JSON").caused_by(error)),
    }
}

/// Replaces each mention by the placeholder that Signal's clients expect; `None` if the text stays as it is.
///
/// The server takes the markup out of a styled text without moving its mentions, so a mention behind markup stays
/// a plain name.
pub(super) fn mentioned(draft: &Draft) -> (Option<String>, Vec<MentionBody<'_>>) {
    if draft.mentions.is_empty() {
        return (None, Vec::new());
    }
    let mut wanted: Vec<&Mention> = draft.mentions.iter().collect();
    wanted.sort_by_key(|mention| mention.range.start);
    let (mut text, mut mentions) = (String::with_capacity(draft.text.len()), Vec::new());
    let (mut done, mut units) = (0, 0);
    for mention in wanted {
        let range = mention.range.clone();
        let before = draft.text.get(done..range.start);
        let (Some(before), Some(_)) = (before, draft.text.get(range.clone())) else {
            continue;
        };
        if draft.is_styled && draft.text[..range.start].contains(['*', '~', '|', '`', '\\']) {
            break;
        }
        text.push_str(before);
        units += utf16::length(before);
        mentions.push(MentionBody { start: units, length: 1, author: mention.who.id() });
        text.push_str(PLACEHOLDER);
        units += 1;
        done = range.end;
    }
    text.push_str(draft.text.get(done..).unwrap_or_default());
    (Some(text), mentions)
}

#[cfg(test)]
mod tests {
    use evenkeel::{Action, Reply, Sender as Person};

    use super::*;

    fn draft(reply: &Reply) -> &Draft {
        match reply.actions() {
            [Action::Send(draft)] => draft,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_mention_is_a_placeholder_counted_in_utf16() {
        let zoe = Person::known_as("z", Some("Zoë"), None::<&str>);
        let reply = Reply::text("👋 ").mention(&zoe).push(" and ").mention(&zoe).push("!");
        let (text, mentions) = mentioned(draft(&reply));
        assert_eq!(text.unwrap(), "👋 \u{fffc} and \u{fffc}!");
        let starts: Vec<_> = mentions.iter().map(|mention| (mention.start, mention.length)).collect();
        assert_eq!(starts, [(3, 1), (9, 1)]);
    }

    #[test]
    fn a_mention_behind_markup_stays_a_name() {
        let zoe = Person::known_as("z", Some("Zoë"), None::<&str>);
        let reply = Reply::styled("hi ").mention(&zoe).push(" *and* ").mention(&zoe);
        let (text, mentions) = mentioned(draft(&reply));
        assert_eq!(text.unwrap(), "hi \u{fffc} *and* @Zoë");
        assert_eq!(mentions.len(), 1);
    }

    #[test]
    fn file_names_lead_nowhere_and_end_no_field() {
        for (given, safe) in [
            ("a b.txt", "a b.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.png", "y.png"),
            ("a;base64,b.png", "abase64b.png"),
            ("..", ""),
            ("a\nb\0c", "abc"),
        ] {
            assert_eq!(file_name(given), safe, "{given}");
        }
        let file = File::new("a;b", "text/plain\r\nX: y", "hi");
        let uri = DataUri(&file).to_string();
        assert_eq!(uri, "data:application/octet-stream;filename=ab;base64,aGk=");
    }
}
