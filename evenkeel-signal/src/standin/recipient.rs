//! What upstream takes a recipient for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One request may have recipients of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Group,
    Username,
}

/// Source: `getRecipientType` in `src/client/client.go`. The internal id of a group is none of the first two, so
/// it counts as a username, and fails as one.
pub(super) fn kind(recipient: &str) -> Kind {
    if let Some(encoded) = recipient.strip_prefix("group.") {
        return if is_group_id(encoded) { Kind::Group } else { Kind::Username };
    }
    if is_number(recipient) || is_uuid(recipient) { Kind::Number } else { Kind::Username }
}

/// Returns why upstream would refuse these recipients.
pub(super) fn refusal(recipients: &[String]) -> Option<String> {
    let kinds: Vec<Kind> = recipients.iter().map(|recipient| kind(recipient)).collect();
    let first = kinds.first().copied()?;
    if let Some(pair) = mixture(&kinds) {
        return Some(format!(
            "Signal Messenger {pair} cannot be specified together in one request! Please split them up into \
             multiple REST API calls."
        ));
    }
    match first {
        Kind::Number => None,
        Kind::Group if kinds.len() == 1 => None,
        Kind::Group => Some(
            "A signal message cannot be sent to more than one group at once! Please use multiple REST API calls \
             for that."
                .to_owned(),
        ),
        Kind::Username => recipients.iter().find_map(|name| username_refusal(name)),
    }
}

/// Names the two kinds that must not meet, in the order in which upstream looks.
fn mixture(kinds: &[Kind]) -> Option<&'static str> {
    let has = |kind| kinds.contains(&kind);
    match (has(Kind::Group), has(Kind::Number), has(Kind::Username)) {
        (true, true, _) => Some("Groups and phone numbers"),
        (true, false, true) => Some("Groups and usernames"),
        (false, true, true) => Some("phone numbers and usernames"),
        _ => None,
    }
}

/// A username is `nick.12`. The first text is that of signal-cli (issue #719 upstream); the other stands for
/// several that no source at hand shows.
fn username_refusal(name: &str) -> Option<String> {
    let Some((nick, digits)) = name.rsplit_once('.') else {
        return Some("Username must contain a '.'".to_owned());
    };
    let is_nick =
        (3..=32).contains(&nick.len()) && nick.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_digits = (2..=9).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    if is_nick && is_digits { None } else { Some(format!("Invalid identifier {name}")) }
}

fn is_group_id(encoded: &str) -> bool {
    let internal = STANDARD.decode(encoded).ok();
    internal.and_then(|internal| STANDARD.decode(internal).ok()).is_some_and(|id| id.len() == 32)
}

/// The empty string is a number, upstream too.
fn is_number(text: &str) -> bool {
    text.chars().enumerate().all(|(at, c)| if at == 0 { c == '+' } else { c.is_ascii_digit() || c == ' ' })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::super::people::Group;
    use super::*;

    #[test]
    fn tells_the_kinds_apart_as_upstream_does() {
        let group = Group::test();
        for (recipient, expected) in [
            ("+1555 010 0001", Kind::Number),
            ("", Kind::Number),
            ("11111111-1111-4111-8111-111111111111", Kind::Number),
            (&group.rest_id(), Kind::Group),
            (&group.internal_id, Kind::Username),
            ("group.01", Kind::Username),
            ("alice.42", Kind::Username),
        ] {
            assert_eq!(kind(recipient), expected, "{recipient:?}");
        }
    }

    #[test]
    fn refuses_internal_group_ids_two_groups_and_mixtures() {
        let (group, number) = (Group::test(), "+15550100001".to_owned());
        assert_eq!(
            refusal(std::slice::from_ref(&group.internal_id)).as_deref(),
            Some("Username must contain a '.'")
        );
        assert!(refusal(&[group.rest_id(), group.rest_id()]).unwrap().contains("more than one group"));
        assert!(
            refusal(&[group.rest_id(), number.clone()]).unwrap().contains("cannot be specified together")
        );
        assert_eq!(refusal(&[number.clone(), number]), None);
        assert_eq!(refusal(&["alice.42".to_owned()]), None);
    }
}
