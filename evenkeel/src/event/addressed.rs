//! Whether an event is meant for the bot, and what it says to it.

use std::sync::Arc;

use super::{Event, Message, Sender};
use crate::text::{is_invisible, trim};

impl Event {
    /// Says who the bot is, for transports: without it nobody knows whether a mention or a quote means the bot. An event
    /// without mentions and without a quote needs none.
    #[must_use]
    pub fn with_bot(mut self, bot: Sender) -> Self {
        Arc::make_mut(&mut self.0).bot = Some(bot);
        self
    }

    /// Whether the bot was spoken to: in a conversation of two, by a mention, or by an answer to a message of the bot's.
    ///
    /// In a group it is known only as far as the transport says who the bot is.
    ///
    /// ```
    /// use evenkeel::{Conversation, Event, Message, Sender};
    ///
    /// let event = |to| Event::new("42", to, Sender::new("alice"), Message::text("7", "hello"));
    /// assert!(event(Conversation::direct("alice")).is_addressed());
    /// assert!(!event(Conversation::group("friends")).is_addressed());
    /// ```
    pub fn is_addressed(&self) -> bool {
        let message = self.message();
        let quoted = message.and_then(|message| message.quote.as_ref()?.author.as_ref());
        let mentions = message.map_or(&[][..], |message| &message.mentions);
        !self.conversation().is_group()
            || quoted.is_some_and(|author| self.is_bot(author))
            || mentions.iter().any(|mention| self.is_bot(&mention.who))
    }

    /// What is said to the bot: the text of a message without the mentions of the bot at its beginning.
    pub(crate) fn said(&self) -> Option<&str> {
        let message = self.message()?;
        let mut text = &*message.text;
        if self.0.bot.is_none() {
            return Some(text);
        }
        let mut head = message.text.len() - from_seen(text).len();
        for mention in sorted(message).into_iter().filter(|mention| self.is_bot(&mention.who)) {
            if mention.range.start > head {
                break;
            }
            let is_here = mention.range.start == head && !mention.range.is_empty();
            if let Some(behind) = message.text.get(mention.range.end..).filter(|_| is_here) {
                text = behind_sign(behind);
                head = message.text.len() - from_seen(text).len();
            }
        }
        Some(text)
    }

    /// The same with a name where each other mention is, as it was written but for the space behind a mention.
    pub(crate) fn said_with_names(&self) -> String {
        let (Some(message), Some(said)) = (self.message(), self.said()) else { return String::new() };
        match message.text.len() - said.len() {
            0 => message.text_with_names(),
            at => trim(&message.with_names_from(at)).to_owned(),
        }
    }

    /// Who wrote the message that this one answers, unless that was the bot.
    pub(crate) fn quoted_person(&self) -> Option<&Sender> {
        let author = self.message()?.quote.as_ref()?.author.as_ref()?;
        Some(author).filter(|author| !self.is_bot(author))
    }

    fn is_bot(&self, who: &Sender) -> bool {
        let is_named = |bot: &Sender| bot.is(who.id()) || who.alias().is_some_and(|alias| bot.is(alias));
        self.0.bot.as_ref().is_some_and(is_named)
    }
}

impl Message {
    /// Who is mentioned in this part of the text, which has to be a slice of it.
    pub(crate) fn mentioned_in(&self, part: &str) -> Option<&Sender> {
        let start = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        let end = start + part.len();
        let is_inside = |mention: &&super::Mention| {
            !mention.range.is_empty() && (start..end).contains(&mention.range.start)
        };
        let first = self.mentions.iter().filter(is_inside).min_by_key(|mention| mention.range.start);
        first.map(|mention| &mention.who)
    }

    /// The text with a name where each mention is, for people and for models to read. Some networks put a placeholder
    /// there, U+FFFC on Signal.
    ///
    /// ```
    /// use evenkeel::{Mention, Message, Sender};
    ///
    /// let mut message = Message::text("7", "\u{fffc} is late");
    /// let bob = Sender::known_as("bob", Some("Bob"), None::<&str>);
    /// message.mentions.push(Mention { who: bob, range: 0..3 });
    /// assert_eq!(message.text_with_names(), "@Bob is late");
    /// ```
    pub fn text_with_names(&self) -> String {
        self.with_names_from(0)
    }

    fn with_names_from(&self, mut at: usize) -> String {
        let mut text = String::with_capacity(self.text.len());
        for mention in sorted(self) {
            // One that overlaps another, or stands nowhere, names nobody.
            let (before, place) =
                (self.text.get(at..mention.range.start), self.text.get(mention.range.clone()));
            if let (Some(before), Some(_)) = (before, place.filter(|place| !place.is_empty())) {
                text.push_str(before);
                text.push('@');
                text.push_str(mention.who.display_name());
                at = mention.range.end;
            }
        }
        text.push_str(&self.text[at..]);
        text
    }
}

fn sorted(message: &Message) -> Vec<&super::Mention> {
    let mut mentions: Vec<_> = message.mentions.iter().collect();
    mentions.sort_by_key(|mention| mention.range.start);
    mentions
}

/// The text behind a comma or a colon that ends a salutation: `@Bot, !ping`. Phones put a space behind a mention, and marks
/// around it that nobody sees. Behind one of half width is a space or a command: `:-)` is none.
fn behind_sign(text: &str) -> &str {
    let seen = from_seen(text);
    if let Some(behind) = seen.strip_prefix(['，', '：', '、']) {
        return behind;
    }
    let Some(behind) = seen.strip_prefix([',', ':']) else { return text };
    let next = behind.chars().find(|letter| !is_invisible(*letter));
    let is_end = next.is_none_or(|letter| letter.is_whitespace() || "!/！／@\u{fffc}".contains(letter));
    if is_end { behind } else { text }
}

/// The text from the first letter that is seen.
fn from_seen(text: &str) -> &str {
    text.trim_start_matches(|letter: char| letter.is_whitespace() || is_invisible(letter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Conversation, Mention, MessageId, Quote};

    fn bot() -> Sender {
        Sender::known_as("uuid-bot", Some("Bot"), Some("+15550100000"))
    }

    /// A message in a group; each U+FFFC names one of `people`.
    fn event(text: &str, people: &[Sender]) -> Event {
        let mut message = Message::text("1", text);
        let places = text.match_indices('\u{fffc}').zip(people);
        let mention = |((at, place), who): ((usize, &str), &Sender)| Mention {
            who: who.clone(),
            range: at..at + place.len(),
        };
        message.mentions = places.map(mention).collect();
        message.mentions.reverse();
        Event::new("1", Conversation::group("g"), Sender::new("alice"), message).with_bot(bot())
    }

    #[test]
    fn mentions_of_the_bot_at_the_beginning_are_skipped() {
        let (bob, by_number) = (Sender::new("bob"), Sender::new("+15550100000"));
        for (text, people, said) in [
            ("\u{fffc} !ping", vec![bot()], " !ping"),
            ("\u{200b}\u{fffc}\u{2069} !ping", vec![by_number], "\u{2069} !ping"),
            ("\u{fffc} \u{fffc}!ping", vec![bot(), bot()], "!ping"),
            ("\u{fffc}, !ping", vec![bot()], " !ping"),
            ("\u{fffc}:-)", vec![bot()], ":-)"),
            ("\u{fffc} , !ping", vec![bot()], " !ping"),
            ("\u{fffc}\u{2069}\u{200b}: !ping", vec![bot()], " !ping"),
            ("\u{fffc}，！ping", vec![bot()], "！ping"),
            ("\u{fffc}、ping", vec![bot()], "ping"),
            ("\u{fffc},!ping", vec![bot()], "!ping"),
            ("\u{fffc} :D", vec![bot()], " :D"),
            ("\u{fffc},\u{200b}!ping", vec![bot()], "\u{200b}!ping"),
            ("\u{fffc},\u{fffc}:!ping", vec![bot(), bot()], "!ping"),
            ("\u{fffc} \u{fffc} !ping", vec![bot(), bob.clone()], " \u{fffc} !ping"),
            ("\u{fffc} !ping", vec![bob], "\u{fffc} !ping"),
            ("!ping \u{fffc}", vec![bot()], "!ping \u{fffc}"),
            ("\u{fffc}", vec![bot()], ""),
        ] {
            assert_eq!(event(text, &people).said(), Some(said), "{text:?}");
        }
    }

    #[test]
    fn an_answer_has_names_and_no_salutation() {
        let carol = Sender::known_as("carol", Some("Carol"), None::<&str>);
        let answer = |text, people: &[Sender]| event(text, people).said_with_names();
        assert_eq!(answer("\u{fffc} Oslo", &[bot()]), "Oslo");
        assert_eq!(answer("\u{fffc}, with \u{fffc} ", &[bot(), carol]), "with @Carol");
        assert_eq!(answer(" Oslo\n", &[]), " Oslo\n", "as it was written");
    }

    #[test]
    fn what_many_mentions_cost_is_linear_in_the_text() {
        let count = 20_000;
        let said = event(&format!("{}!ping", "\u{fffc}".repeat(count)), &vec![bot(); count]);
        assert_eq!(said.said(), Some("!ping"));
        let mut heap = Message::text("1", format!("\u{fffc}{}!ping", "\u{200b}".repeat(count)));
        heap.mentions = vec![Mention { who: bot(), range: 0..3 }; count];
        let heap = Event::new("1", Conversation::group("g"), Sender::new("alice"), heap).with_bot(bot());
        assert!(heap.said().is_some_and(|said| said.ends_with("!ping") && !said.contains('\u{fffc}')));
        let spaces = " ".repeat(count);
        let late = event(&format!("{spaces}x{}", "\u{fffc}".repeat(count)), &vec![bot(); count]);
        assert!(late.said().is_some_and(|said| said.len() == count + 1 + 3 * count));
    }

    #[test]
    fn the_bot_is_addressed_by_a_mention_a_quote_or_alone() {
        assert!(event("say \u{fffc}", &[bot()]).is_addressed());
        assert!(!event("say \u{fffc}", &[Sender::new("bob")]).is_addressed());
        let mut message = Message::text("1", "yes");
        let author = Some(Sender::new("+15550100000"));
        message.quote = Some(Quote { id: MessageId::new("0"), author, text: "sure?".into() });
        let event = Event::new("1", Conversation::group("g"), Sender::new("alice"), message);
        assert!(!event.is_addressed(), "nobody said who the bot is");
        assert!(event.with_bot(bot()).is_addressed());
    }

    #[test]
    fn mentions_that_fit_nowhere_change_nothing() {
        let mut message = Message::text("1", "é \u{fffc}");
        for (start, end) in [(1, 3), (3, 99), (3, 3), (3, 6), (3, 6), (7, 8), (6, 3)] {
            message.mentions.push(Mention { who: bot(), range: start..end });
        }
        assert_eq!(message.text_with_names(), "é @Bot");
        let event = Event::new("1", Conversation::group("g"), Sender::new("alice"), message).with_bot(bot());
        assert_eq!(event.said(), Some("é \u{fffc}"));
    }
}
