//! What the program itself says of crates: which are its framework's, and which is its author's.

use super::crate_of;
use super::home::crate_of_file;
use crate::report::{Claim, Frame};

/// The crates that the program names.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Claims<'a> {
    /// Those of the framework that the program is written with.
    pub(crate) runtime: &'a [&'a str],
    /// A file of the author's: where the label was made under which the frames are found.
    pub(crate) author: Option<&'a str>,
}

impl Claims<'_> {
    /// Notes with each frame what is said of its crate. A framework makes labels, too, and is no author for that.
    pub(crate) fn mark(self, frames: &mut [Frame]) {
        let author = self.author.and_then(crate_of_file);
        for frame in frames {
            let Some(name) = crate_of(frame) else { continue };
            if self.runtime.contains(&&*name) {
                frame.claim = Claim::Runtime;
            } else if author.as_ref() == Some(&name) {
                frame.claim = Claim::Author;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Origin, frame, origin};

    fn claimed(text: &str, author: Option<&str>) -> Origin {
        let mut frames = [frame(text)];
        Claims { runtime: &["evenkeel"], author }.mark(&mut frames);
        origin(&frames[0])
    }

    #[test]
    fn what_the_program_calls_its_framework_is_the_runtimes_and_nothing_else_is() {
        for (text, expected) in [
            ("evenkeel::serve::run | evenkeel/src/serve.rs:3", Origin::Runtime),
            ("evenkeel::serve::run | evenkeel-0.1.0/src/serve.rs:3", Origin::Runtime),
            ("<evenkeel::serve::Job as core::future::Future>::poll", Origin::Runtime),
            ("evenkeel::serve::tests::one | evenkeel/src/serve.rs:3", Origin::Author),
            ("serve::replies | evenkeel/tests/serve.rs:3", Origin::Author),
            ("evenkeel_shop::sell | evenkeel-shop/src/lib.rs:3", Origin::Author),
            ("evenkeel_shop::sell | evenkeel-shop-0.1.0/src/lib.rs:3", Origin::Dependency),
            ("evenkeel_shop::sell", Origin::Unknown),
        ] {
            assert_eq!(claimed(text, None), expected, "{text}");
        }
        let text = "evenkeel::serve::run | evenkeel/src/serve.rs:3";
        assert_eq!(origin(&frame(text)), Origin::Author, "nobody said so");
    }

    #[test]
    fn a_program_that_is_installed_is_its_authors_by_the_label() {
        let label = Some("/c/registry/src/index-1/shop-0.1.0/src/app.rs");
        assert_eq!(claimed("shop::sell | shop-0.1.0/src/sell.rs:3", label), Origin::Author);
        assert_eq!(claimed("shop::sell | shop-0.1.0/src/sell.rs:3", None), Origin::Dependency);
        assert_eq!(claimed("ureq::call | ureq-3.5.1/src/lib.rs:3", label), Origin::Dependency);
        let framework = Some("/c/registry/src/index-1/evenkeel-0.1.0/src/serve.rs");
        assert_eq!(claimed("evenkeel::run | evenkeel-0.1.0/src/run.rs:3", framework), Origin::Runtime);
        let runtime = Some("/c/registry/src/index-1/tokio-1.54.1/src/lib.rs");
        assert_eq!(claimed("tokio::run | tokio-1.54.1/src/run.rs:3", runtime), Origin::Runtime);
    }
}
