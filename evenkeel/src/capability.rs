//! What a network can carry: the longest text of a message, files, and what can be done to messages.

/// What a network can carry, as its transport says. What it cannot is said in another way where that is possible, and refused to the
/// handler otherwise: see the guide [`transports`](crate::docs::transports).
///
/// ```
/// use evenkeel::capability::{Capabilities, TextLimit};
///
/// let of_a_network_with_short_messages = Capabilities::default()
///     .with_text(TextLimit::Characters(2_000))
///     .with_files(10, 10 << 20)
///     .without_edits();
/// assert!(!of_a_network_with_short_messages.has_edits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The longest text of one message. A longer one becomes several messages.
    pub text: TextLimit,
    /// How many files one message may have. More of them come in further messages.
    pub files: usize,
    /// How large each of them may be, in bytes. A larger one is refused.
    pub file_bytes: u64,
    /// Whether messages can be changed.
    pub has_edits: bool,
    /// Whether messages can be deleted.
    pub has_deletions: bool,
    /// Whether people and bots can react to messages.
    pub has_reactions: bool,
    /// Whether a message can quote another one. A quote is left out otherwise.
    pub has_quotes: bool,
    /// Whether it shows who is typing. It is not told otherwise.
    pub has_typing: bool,
    /// Whether a message can have buttons. Choices are a list otherwise.
    pub has_buttons: bool,
}

/// How long a text may be, as the network counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextLimit {
    /// As long as it likes.
    None,
    /// In bytes of UTF-8.
    Bytes(usize),
    /// In characters (scalar values of Unicode).
    Characters(usize),
    /// In units of UTF-16, as programs in JavaScript count.
    Utf16(usize),
}

impl Default for Capabilities {
    /// Everything but buttons, without a limit.
    fn default() -> Self {
        Self::USUAL
    }
}

impl Capabilities {
    /// Those of a network that says nothing of itself.
    pub(crate) const USUAL: Self = Self {
        text: TextLimit::None,
        files: usize::MAX,
        file_bytes: u64::MAX,
        has_edits: true,
        has_deletions: true,
        has_reactions: true,
        has_quotes: true,
        has_typing: true,
        has_buttons: false,
    };

    /// With texts that are no longer.
    #[must_use]
    pub fn with_text(self, text: TextLimit) -> Self {
        Self { text, ..self }
    }

    /// With so many files in one message, each of at most so many bytes.
    #[must_use]
    pub fn with_files(self, files: usize, file_bytes: u64) -> Self {
        Self { files, file_bytes, ..self }
    }

    /// With buttons.
    #[must_use]
    pub fn with_buttons(self) -> Self {
        Self { has_buttons: true, ..self }
    }

    /// Without changes to messages.
    #[must_use]
    pub fn without_edits(self) -> Self {
        Self { has_edits: false, ..self }
    }

    /// Without deletions.
    #[must_use]
    pub fn without_deletions(self) -> Self {
        Self { has_deletions: false, ..self }
    }

    /// Without reactions.
    #[must_use]
    pub fn without_reactions(self) -> Self {
        Self { has_reactions: false, ..self }
    }

    /// Without quotes.
    #[must_use]
    pub fn without_quotes(self) -> Self {
        Self { has_quotes: false, ..self }
    }

    /// Without typing indicators.
    #[must_use]
    pub fn without_typing(self) -> Self {
        Self { has_typing: false, ..self }
    }
}

impl TextLimit {
    /// How many units there may be; `None` without a limit.
    pub(crate) fn most(self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Bytes(most) | Self::Characters(most) | Self::Utf16(most) => Some(most),
        }
    }

    /// How many units a letter has.
    pub(crate) fn units(self, letter: char) -> usize {
        match self {
            Self::Bytes(_) => letter.len_utf8(),
            Self::Utf16(_) => letter.len_utf16(),
            Self::None | Self::Characters(_) => 1,
        }
    }

    /// Whether a text is short enough.
    pub(crate) fn allows(self, text: &str) -> bool {
        // No letter has more units than bytes.
        self.most().is_none_or(|most| text.len() <= most || self.length(text) <= most)
    }

    /// How long a text is.
    pub(crate) fn length(self, text: &str) -> usize {
        text.chars().map(|letter| self.units(letter)).sum()
    }
}
