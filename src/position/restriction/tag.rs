//! How ids name a restriction.

use std::{fmt, str::FromStr};

use super::Share;

/// A restriction, as ids name it: `2/3`, or `list:` with the fingerprint of a list, in hexadecimal. A list itself would make the id
/// twice as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestrictionTag {
    /// A share.
    Share(Share),
    /// The list with this fingerprint.
    List(u32),
}

/// The text is not the tag of a restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the tag of a restriction")]
pub struct InvalidTag;

impl fmt::Display for RestrictionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => share.fmt(f),
            Self::List(fingerprint) => write!(f, "{LIST}{fingerprint:08x}"),
        }
    }
}

impl FromStr for RestrictionTag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let Some(digits) = text.strip_prefix(LIST) else {
            return text.parse().map(Self::Share).map_err(|_| InvalidTag);
        };
        let is_plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 8 || !digits.bytes().all(is_plain) {
            return Err(InvalidTag);
        }
        u32::from_str_radix(digits, 16)
            .map(Self::List)
            .map_err(|_| InvalidTag)
    }
}

const LIST: &str = "list:";
