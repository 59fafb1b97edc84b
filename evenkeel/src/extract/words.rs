//! Splits a text into words as a shell does.

/// `a 'b c' "d \"e\"" f\ g` has the words `a`, `b c`, `d "e"`, `f g`.
///
/// Typographic quotes count as quotes: phones put them in by themselves. An apostrophe inside a word is a letter.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            space if space.is_whitespace() => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(letters.next()),
            '"' | '“' | '„' | '”' => {
                quoted(&mut letters, word.get_or_insert_default(), &['"', '“', '”'])?;
            }
            '\'' | '‘' if word.is_none() => {
                quoted(&mut letters, word.get_or_insert_default(), &['\'', '’'])?;
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(letters: &mut std::str::Chars<'_>, word: &mut String, ends: &[char]) -> Result<(), String> {
    while let Some(letter) = letters.next() {
        match letter {
            end if ends.contains(&end) => return Ok(()),
            '\\' if ends.contains(&'"') => word.extend(letters.next()),
            other => word.push(other),
        }
    }
    Err("A quotation mark is missing its partner.".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, words: &[&str]) {
        assert_eq!(split(text).expect("whole quotes"), words);
    }

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        check("", &[]);
        check("  a  b ", &["a", "b"]);
        check(r#"a 'b c' "d \"e\"" f\ g"#, &["a", "b c", "d \"e\"", "f g"]);
        check(r#"x="1 2""#, &["x=1 2"]);
        check(r#""""#, &[""]);
    }

    #[test]
    fn phones_may_write_typographic_quotes_and_people_apostrophes() {
        check("add “milk and honey” don't", &["add", "milk and honey", "don't"]);
    }

    #[test]
    fn an_open_quote_is_an_error() {
        assert!(split("say \"hello").is_err());
    }
}
