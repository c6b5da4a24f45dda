//! Names of streams with wildcards.

use std::fmt;

use crate::catalog::{InvalidName, check_name};

/// A name in which each `*` stands for any characters, also for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamePattern(String);

impl NamePattern {
    /// Returns the pattern of all names.
    pub(super) fn all() -> Self {
        Self("*".to_owned())
    }

    /// Parses a pattern.
    ///
    /// # Errors
    /// If no name can match it.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidName> {
        // With a letter in place of each wildcard it is a name.
        check_name(&text.replace('*', "x"))?;
        Ok(Self(text.to_owned()))
    }

    /// Whether the pattern is for the whole of this name.
    pub(super) fn matches(&self, name: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else {
            return self.0 == name;
        };
        let Some(mut name) = name.strip_prefix(start) else {
            return false;
        };
        let (inner, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The first place of each part leaves most for those behind it.
        for part in inner.split('*') {
            match name.find(part) {
                Some(at) => name = &name[at + part.len()..],
                None => return false,
            }
        }
        name.ends_with(end)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        NamePattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_star_stands_for_any_characters_and_everything_else_for_itself() {
        for (pattern, name, expected) in [
            ("mediawiki.*", "mediawiki.recentchange", true),
            ("mediawiki.*", "mediawiki.", true),
            ("mediawiki.*", "mediawiki", false),
            ("mediawiki.*", "xmediawiki.recentchange", false),
            ("mediawiki.*", "mediawikixrecentchange", false),
            ("*.v1", "mediawiki.page_change.v1", true),
            ("*.v1", "mediawiki.page_change.v10", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*b*bc", "abc", false),
            ("a*a", "a", false),
            ("**", "", true),
            ("*", "x", true),
            ("test", "test", true),
            ("test", "test.event", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_no_name_can_have_is_no_pattern() {
        for bad in ["", "a/*", "/^mediawiki\\..*/", "a b"] {
            assert!(NamePattern::parse(bad).is_err(), "{bad}");
        }
    }

    /// Whether a pattern is for a text, tried in every way.
    fn model(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => {
                model(rest, name) || matches!(name, [_, more @ ..] if model(pattern, more))
            }
            ([one, rest @ ..], [other, more @ ..]) => one == other && model(rest, more),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_is_as_if_every_way_was_tried(pattern in "[ab*]{1,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &name), model(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
