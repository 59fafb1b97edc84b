//! The text of a settings file, however an editor has saved it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// How large a settings file may be.
const MOST_BYTES: u64 = 1 << 20;

/// Returns the text of a file without its byte-order mark, or `None` where there is no file.
///
/// # Errors
///
/// When it is no file, cannot be read, is too large or not in UTF-8; the message names the line and quotes nothing.
pub(super) fn of(directory: &Path, name: &str) -> Result<Option<String>> {
    match read(&directory.join(name)) {
        Ok(Ok(bytes)) => decoded(bytes, name).map(Some),
        Ok(Err(problem)) => {
            let hint = format!("make `{name}` a text file with a line for each setting, or remove it");
            Err(Error::config(format!("`{name}` {problem}")).with_hint(hint))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let hint = format!("make `{name}` a readable text file in UTF-8, or remove it");
            Err(Error::from(error).context(format!("reading `{name}`")).with_hint(hint))
        }
    }
}

/// The bytes, or what is wrong with the file: a pipe may never say anything, and a device never end.
fn read(path: &Path) -> io::Result<Result<Vec<u8>, &'static str>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(Err("is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(if bytes.len() as u64 > MOST_BYTES { Err("is larger than 1 MiB") } else { Ok(bytes) })
}

fn decoded(bytes: Vec<u8>, name: &str) -> Result<String> {
    let wrong = |problem: String| {
        Err(Error::config(format!("`{name}` {problem}")).with_hint(format!("save `{name}` as text in UTF-8")))
    };
    let line = |before: &[u8]| before.iter().filter(|byte| **byte == b'\n').count() + 1;
    if is_utf16(&bytes) {
        return wrong("is not in UTF-8; it looks like UTF-16".to_owned());
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return wrong(format!("line {} has a NUL (U+0000), which no text has", line(&bytes[..at])));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').to_owned()),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            wrong(format!("line {} is not in UTF-8", line(before)))
        }
    }
}

/// Whether it begins as UTF-16 does, or each second byte of most letters is zero, as in English text.
fn is_utf16(bytes: &[u8]) -> bool {
    let zeros = |first: usize| bytes.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    bytes.starts_with(&[0xff, 0xfe])
        || bytes.starts_with(&[0xfe, 0xff])
        || even.min(odd) == 0 && even.max(odd) > bytes.len() / 4
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
        assert_eq!(told(b"\0A\0=\0s"), "`.env` is not in UTF-8; it looks like UTF-16");
        assert_eq!(told(b"A=1\nTOKEN=gr\xfcn"), "`.env` line 2 is not in UTF-8");
        for bytes in [&b"A=1\nTOKEN=hun\0ter2"[..], b"A=1\n\0\0\0\0", b"A=1\nB=hunter2\0"] {
            assert_eq!(told(bytes), "`.env` line 2 has a NUL (U+0000), which no text has");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_or_too_large_is_not_read() {
        let directory = std::env::temp_dir().join(format!("evenkeel-config-text-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let told = |name: &str| of(&directory, name).map_err(|error| error.to_string());
        for (name, other) in [("endless", "/dev/zero"), ("empty", "/dev/null"), ("folder", "/")] {
            std::os::unix::fs::symlink(other, directory.join(name)).unwrap();
            assert_eq!(told(name), Err(format!("`{name}` is no regular file")));
        }
        let pipe = std::process::Command::new("mkfifo").arg(directory.join("pipe")).status().unwrap();
        assert!(pipe.success());
        assert_eq!(told("pipe"), Err("`pipe` is no regular file".to_owned()));
        let most = vec![b'#'; usize::try_from(MOST_BYTES).unwrap()];
        std::fs::write(directory.join("most"), &most).unwrap();
        std::os::unix::fs::symlink("most", directory.join("link")).unwrap();
        assert_eq!(told("link").unwrap().unwrap().len(), most.len());
        std::fs::write(directory.join("more"), [&most[..], b"#"].concat()).unwrap();
        assert_eq!(told("more"), Err("`more` is larger than 1 MiB".to_owned()));
        assert_eq!(told("none"), Ok(None));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
