//! Names that are nearly right.

use strsim::levenshtein;

/// How many letters a name may differ in to be an obvious slip.
const SLIP: usize = 2;

/// What servers beside a bot are told by, whose names begin as those of a transport.
const OF_OTHERS: [&str; 7] = ["_HOST", "_PORT", "_TCP", "_UDP", "_ADDR", "_PROTO", "_NAME"];

/// What Kubernetes sets by itself for each service, whatever its name, such as `EVENKEEL_BOT_SERVICE_HOST` and
/// `EVENKEEL_BOT_PORT_80_TCP_ADDR`.
fn is_of_a_service(name: &str) -> bool {
    let port = |(_, behind): (&str, &str)| behind.starts_with(|letter: char| letter.is_ascii_digit());
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT_").is_some_and(port)
}

/// What a variable is that nobody asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stray<'a> {
    /// None of ours, nor like one.
    None,
    /// Surely meant for this one.
    Slip(&'a str),
    /// It looks like ours, and perhaps is meant for this one.
    Unknown(Option<&'a str>),
}

/// Judges a variable by the known names and the prefixes that are ours.
pub(super) fn stray<'a>(name: &str, known: &[&'a str], prefixes: &[&str]) -> Stray<'a> {
    let upper = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let slip = known.iter().map(|known| (levenshtein(&upper, known), *known)).min();
    if let Some((0..=SLIP, near)) = slip {
        return Stray::Slip(near);
    }
    let is_ours = prefixes.iter().any(|prefix| upper.starts_with(prefix));
    let is_of_others =
        !upper.starts_with("EVENKEEL_") && OF_OTHERS.iter().any(|ending| upper.ends_with(ending));
    if !is_ours || is_of_others || is_of_a_service(&upper) {
        return Stray::None;
    }
    let part = |known: &&&str| known.starts_with(&upper) || upper.starts_with(**known);
    let near = known.iter().find(part).copied().or_else(|| nearest(&upper, known.iter().copied()));
    if upper.starts_with("EVENKEEL_") {
        return Stray::Unknown(near);
    }
    // Other programs may have the prefix as well, the server for one: only what is much like ours is told.
    let alike = near.filter(|near| levenshtein(&upper, near) * 4 <= near.len());
    alike.map_or(Stray::None, |near| Stray::Unknown(Some(near)))
}

/// The candidate that is most like `name`, if one is alike at all: a third of its letters may differ.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .filter(|candidate| candidate.len() < 2 * name.len() + 2)
        .map(|candidate| (levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance > 0 && *distance <= candidate.len().max(3) / 3)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_nearly_ours_is_a_slip_and_what_is_like_ours_is_told() {
        let known = ["EVENKEEL_JOURNAL", "EVENKEEL_DRAIN_SECONDS", "SIGNAL_API_URL", "SIGNAL_API_TOKEN"];
        let judge = |name| stray(name, &known, &["EVENKEEL_", "SIGNAL_"]);
        for name in [
            "EVENKEEL_JURNAL",
            "EVENKEL_JOURNAL",
            "evenkeel_journal",
            "EVENKEEL-JOURNAL",
            "EVENKEEL_JOURNALS",
        ] {
            assert_eq!(judge(name), Stray::Slip("EVENKEEL_JOURNAL"), "{name}");
        }
        assert_eq!(judge("SIGNAL_API_TOKN"), Stray::Slip("SIGNAL_API_TOKEN"));
        assert_eq!(judge("EVENKEEL_DRAIN"), Stray::Unknown(Some("EVENKEEL_DRAIN_SECONDS")));
        assert_eq!(judge("EVENKEEL_COLOUR"), Stray::Unknown(None));
        assert_eq!(judge("SIGNAL_TOKEN"), Stray::Unknown(Some("SIGNAL_API_TOKEN")));
        for name in ["EVENKEEL_PORT", "EVENKEEL_CONSOLE_ADDR", "EVENKEEL_JOURNAL_NAME"] {
            assert!(matches!(judge(name), Stray::Unknown(_)), "{name}");
        }
        for name in [
            "HOME",
            "SIGNAL_CLI_UID",
            "SIGNAL_API_PORT",
            "SIGNAL_SERVICE_HOST",
            "EVENKEEL_BOT_SERVICE_HOST",
            "EVENKEEL_BOT_PORT_80_TCP_ADDR",
        ] {
            assert_eq!(judge(name), Stray::None, "{name}");
        }
    }
}
