//! The text of a settings file, however an editor has saved it.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, Result};

/// Returns the text of a file without its byte-order mark, or `None` where there is no file.
///
/// # Errors
///
/// When it cannot be read or is not in UTF-8; the message names the line and quotes nothing.
pub(super) fn of(directory: &Path, name: &str) -> Result<Option<String>> {
    match std::fs::read(directory.join(name)) {
        Ok(bytes) => decoded(bytes, name).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let hint = format!("make `{name}` a readable text file in UTF-8, or remove it");
            Err(Error::from(error).context(format!("reading `{name}`")).with_hint(hint))
        }
    }
}

fn decoded(bytes: Vec<u8>, name: &str) -> Result<String> {
    let wrong = |problem: String| {
        Err(Error::config(format!("`{name}` {problem}")).with_hint(format!("save `{name}` as text in UTF-8")))
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0) {
        return wrong("is not in UTF-8; it looks like UTF-16".to_owned());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').to_owned()),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            wrong(format!("line {line} is not in UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(decoded(b"\xef\xbb\xbfA=1".to_vec(), ".env").unwrap(), "A=1");
        assert_eq!(decoded(b"\xef\xbb\xbf".to_vec(), ".env").unwrap(), "");
    }

    #[test]
    fn another_encoding_is_named_and_not_quoted() {
        let told = |bytes: &[u8]| decoded(bytes.to_vec(), ".env").unwrap_err().to_string();
        assert_eq!(told(b"\xff\xfeA\0=\0"), "`.env` is not in UTF-8; it looks like UTF-16");
        assert_eq!(told(b"A\0=\0s\0"), "`.env` is not in UTF-8; it looks like UTF-16");
        assert_eq!(told(b"A=1\nTOKEN=gr\xfcn"), "`.env` line 2 is not in UTF-8");
    }
}
