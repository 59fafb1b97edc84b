//! Replies as a network can carry them.

use super::{Action, Draft, File, Quoting};
use crate::capability::Capabilities;
use crate::error::{Error, Result};
use crate::event::Mention;
use crate::text::pieces;

/// What the person hears of a reply that cannot be said on this network.
const CANNOT: &str = "Sorry, I cannot do that here.";
const TOO_LARGE: &str = "Sorry, that file is too large to send here.";
const TOO_LONG: &str = "Sorry, that is too long to say here.";

/// Says the same in a way in which the network can carry it: a long text in several messages, with the quote in the first, the files
/// and the choices in the last; many files in several. Without quotes and typing indicators, where it has none.
///
/// # Errors
///
/// Where there is no such way.
pub(crate) fn fitted(actions: Vec<Action>, can: &Capabilities) -> Result<Vec<Action>> {
    if *can == Capabilities::default() {
        return Ok(actions);
    }
    let mut fitted = Vec::with_capacity(actions.len());
    for action in actions {
        match action {
            Action::Send(draft) => fitted.extend(messages(draft, can)?.into_iter().map(Action::Send)),
            Action::Edit { target, draft } => {
                has(can.has_edits, "edits of messages")?;
                if !can.text.allows(&draft.text) {
                    let error =
                        Error::new("the new text of a message is longer than one may be on this network");
                    return Err(error.with_user_message(TOO_LONG));
                }
                check(&draft.files, can)?;
                fitted.push(Action::Edit { target, draft: without_quote(draft, can) });
            }
            Action::React { .. } => {
                has(can.has_reactions, "reactions")?;
                fitted.push(action);
            }
            Action::Delete { .. } => {
                has(can.has_deletions, "deletions of messages")?;
                fitted.push(action);
            }
            Action::Typing { .. } if !can.has_typing => {}
            Action::Typing { .. } => fitted.push(action),
        }
    }
    Ok(fitted)
}

fn has(is_there: bool, what: &str) -> Result<()> {
    if is_there {
        return Ok(());
    }
    let error = Error::new(format!("this network has no {what}"));
    Err(error
        .with_user_message(CANNOT)
        .with_hint("ask `cx.capabilities()` before, where a bot is on several networks"))
}

fn check(files: &[File], can: &Capabilities) -> Result<()> {
    let Some(large) = files.iter().find(|file| file.bytes.len() as u64 > can.file_bytes) else {
        return Ok(());
    };
    let (size, most) = (large.bytes.len(), can.file_bytes);
    let error =
        Error::new(format!("a file of {size} bytes is larger than one may be on this network: {most} bytes"));
    Err(error.with_user_message(TOO_LARGE))
}

fn without_quote(draft: Draft, can: &Capabilities) -> Draft {
    if can.has_quotes { draft } else { Draft { quote: Quoting::Nothing, ..draft } }
}

/// One message as several.
fn messages(draft: Draft, can: &Capabilities) -> Result<Vec<Draft>> {
    check(&draft.files, can)?;
    let draft = without_quote(draft, can);
    if can.text.allows(&draft.text) && draft.files.len() <= can.files {
        return Ok(vec![draft]);
    }
    let Draft { text, files, mentions, quote, is_styled, choices } = draft;
    let names: Vec<_> = mentions.iter().map(|mention| mention.range.clone()).collect();
    let mut quote = Some(quote);
    let mut drafts: Vec<_> = pieces(&text, can.text, &names)
        .into_iter()
        .map(|piece| {
            let (written, begins) = piece.write(&text);
            let is_here = |mention: &&Mention| {
                piece.range.start <= mention.range.start && mention.range.end <= piece.range.end
            };
            let moved = |at: usize| at - piece.range.start + begins;
            let mentions = mentions.iter().filter(is_here).map(|mention| Mention {
                who: mention.who.clone(),
                range: moved(mention.range.start)..moved(mention.range.end),
            });
            let (mentions, quote) = (mentions.collect(), quote.take().unwrap_or_default());
            Draft { text: written, mentions, quote, is_styled, ..Draft::default() }
        })
        .collect();
    if let Some(last) = drafts.last_mut() {
        last.choices = choices;
    }
    for (at, files) in files.chunks(can.files.max(1)).enumerate() {
        match drafts.last_mut().filter(|_| at == 0) {
            Some(last) => last.files = files.to_vec(),
            None => drafts.push(Draft { files: files.to_vec(), ..Draft::default() }),
        }
    }
    Ok(drafts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::TextLimit;
    use crate::event::{MessageId, Sender};
    use crate::reply::Reply;

    fn file(bytes: usize) -> File {
        File::new("a.bin", "application/octet-stream", vec![0; bytes])
    }

    fn sent(reply: Reply, can: &Capabilities) -> Vec<Draft> {
        let actions = fitted(reply.into_parts().0, can).expect("it fits");
        actions
            .into_iter()
            .map(|action| match action {
                Action::Send(draft) => draft,
                other => panic!("not a message: {other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_long_reply_is_several_messages_with_the_quote_first_and_the_files_last() {
        let alice = Sender::known_as("a", Some("Alice"), None::<&str>);
        let reply =
            Reply::text("one two three ").mention(&alice).quoting().with_file(file(1)).with_file(file(2));
        let can = Capabilities::default().with_text(TextLimit::Characters(8)).with_files(1, 10);
        let sent = sent(reply, &can);
        let texts: Vec<_> = sent.iter().map(|draft| &*draft.text).collect();
        assert_eq!(texts, ["one two", "three", "@Alice", ""]);
        assert_eq!(sent.iter().map(|draft| draft.files.len()).collect::<Vec<_>>(), [0, 0, 1, 1]);
        assert_eq!((&sent[0].quote, &sent[1].quote), (&Quoting::Asked, &Quoting::Nothing));
        assert_eq!(sent[2].mentions[0].range, 0..6);
        let question = Reply::text("which of them?").with_choices(&["one".to_owned()], true);
        let choices: Vec<_> = self::sent(question, &can).iter().map(|draft| draft.choices.len()).collect();
        assert_eq!(choices, [0, 1]);
    }

    #[test]
    fn what_a_network_cannot_do_is_refused_or_left_out() {
        let all = Capabilities::default();
        let id = MessageId::new("1");
        let refused = [
            (
                Reply::react(id.clone(), "👍"),
                all.without_reactions(),
                "this network has no reactions",
                CANNOT,
            ),
            (
                Reply::delete(id.clone()),
                all.without_deletions(),
                "this network has no deletions of messages",
                CANNOT,
            ),
            (
                Reply::edit(id.clone(), "new"),
                all.without_edits(),
                "this network has no edits of messages",
                CANNOT,
            ),
            (
                Reply::edit(id, "too long"),
                all.with_text(TextLimit::Bytes(3)),
                "the new text of a message is longer than one may be on this network",
                TOO_LONG,
            ),
            (
                Reply::file(file(11)),
                all.with_files(1, 10),
                "a file of 11 bytes is larger than one may be on this network: 10 bytes",
                TOO_LARGE,
            ),
        ];
        for (reply, can, error, heard) in refused {
            let refused = fitted(reply.into_parts().0, &can).expect_err(error);
            assert_eq!((refused.to_string().as_str(), refused.user_message()), (error, Some(heard)));
        }
        assert_eq!(sent(Reply::text("hi").quoting(), &all.without_quotes())[0].quote, Quoting::Nothing);
        let typing = vec![Action::Typing { is_started: true }];
        assert_eq!(fitted(typing, &all.without_typing()).expect("it is left out"), []);
    }
}
