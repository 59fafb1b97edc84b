//! What Signal carries, as its own programs and the server keep it: signal-cli takes more, and people would not see it whole.

use evenkeel::capability::{Capabilities, TextLimit};

/// 64 KiB. What is longer than 2,000 bytes travels as a file beside its beginning, which signal-cli does by itself
/// (`ManagerImpl.applyMessage`), for edits as well; Signal's programs show that in one piece up to this length.
///
/// *Source*: `MAX_TOTAL_BODY_SIZE_BYTES` in Signal-Android's `MessageUtil`, `MAX_BODY_ATTACHMENT_BYTE_LENGTH` in Signal-Desktop's
/// `longAttachment`.
const TEXT_BYTES: usize = 64 << 10;

/// One less than 32, of which Signal-Android takes the first: a long text is one of them.
///
/// *Source*: `android.attachments.maxCount` in its `RemoteConfig`, used by `toPointersWithinLimit`.
const FILES: usize = 31;

/// The largest file that is no larger than 100 MiB once it is encrypted. Before that, it is filled up to the next power of 1.05.
///
/// *Source*: `global.attachments.maxBytes` in Signal-Android's `RemoteConfig`, by which the server refuses an upload, with 413;
/// `PaddingInputStream` in its `libsignal-service`.
const FILE_BYTES: u64 = 102_224_512;

/// Messages can be edited, deleted for all, reacted to and quoted, and typing is shown; there are no buttons.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities::default().with_text(TextLimit::Bytes(TEXT_BYTES)).with_files(FILES, FILE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How large a file is once it is encrypted: an initial vector of 16 bytes, whole blocks of 16 bytes, the last of them never
    /// full, and a code of 32 bytes.
    fn encrypted(bytes: u64) -> u64 {
        let steps = (bytes as f64).log(1.05).ceil();
        let filled = (1.05f64.powf(steps).floor() as u64).max(541);
        16 + (filled / 16 + 1) * 16 + 32
    }

    #[test]
    fn the_largest_file_is_the_last_that_the_server_takes() {
        assert!(encrypted(FILE_BYTES) <= 100 << 20);
        assert!(encrypted(FILE_BYTES + 1) > 100 << 20);
    }
}
