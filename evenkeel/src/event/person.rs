//! Somebody who is named in a command, and how serde knows what is filled in a way of its own.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::Sender;

/// The names by which serde asks for what no text alone can give. No type of an author's is called so.
pub(crate) const PERSON: &str = "evenkeel::Person";
pub(crate) const CONVERSATION: &str = "evenkeel::Conversation";
pub(crate) const ATTACHMENT: &str = "evenkeel::Attachment";

/// Somebody who is named in a command, as a value of [`Args`](crate::Args) or [`Captures`](crate::Captures).
///
/// It is who is mentioned there; else who wrote the message that is being answered, if another value takes the words; else the
/// person whose id is written. Nobody has checked that somebody has that id.
///
/// ```
/// use evenkeel::{Args, Person, Router, testing};
///
/// async fn ban(Args((who, why)): Args<(Person, Option<String>)>) -> String {
///     format!("{} is gone: {}", who.display_name(), why.as_deref().unwrap_or("no reason"))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let mut chat = testing::chat(Router::new().command("!ban", ban));
/// assert_eq!(chat.in_group("crew").say("!ban @Bob too loud").await, ["Bob is gone: too loud"]);
/// # }); Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "evenkeel::Person")]
pub struct Person(pub Sender);

impl Deref for Person {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.0
    }
}
