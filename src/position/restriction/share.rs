//! One of several shares of all partitions.

use std::{fmt, str::FromStr};

use super::OwnPartitions;

/// The share `number` of `of`, both counted from 1.
///
/// Partition p of topic t belongs to the share 1 + (h + p) mod n, where h is the first 8 bytes of the SHA-256 of the topic's name,
/// big endian. The rule must stay as it is for ever: ids rest on it. It looks at one partition alone, so partitions that are added
/// move no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    number: u8,
    of: u8,
}

/// The largest number of shares.
pub const MAX_SHARES: u8 = 64;

/// The text is not a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a share")]
pub struct InvalidShare;

impl Share {
    /// Creates the share `number` of `of`. Returns `None` unless 1 <= `number` <= `of` <= [`MAX_SHARES`].
    pub fn new(number: u8, of: u8) -> Option<Self> {
        let is_share = (1..=of).contains(&number) && of <= MAX_SHARES;
        is_share.then_some(Self { number, of })
    }

    /// Returns its number, from 1.
    pub fn number(self) -> u8 {
        self.number
    }

    /// Returns how many shares there are.
    pub fn of(self) -> u8 {
        self.of
    }

    /// Returns the partitions that belong to the share of a topic whose name has this hash: the first 8 bytes of its SHA-256.
    pub(super) fn of_topic(self, hash: u64) -> OwnPartitions<'static> {
        let (number, of) = (u64::from(self.number - 1), u64::from(self.of));
        // The remainder p for which (h + p) mod n is the number.
        OwnPartitions::Remainder((number + of - hash % of) % of, of)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Share {
    type Err = InvalidShare;

    /// Parses `2/3`: two numbers without signs and without zeros before them.
    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        let number = |text: &str| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
            text.parse().ok().filter(|_| is_plain)
        };
        let share = text
            .split_once('/')
            .and_then(|(own, of)| Self::new(number(own)?, number(of)?));
        share.ok_or(InvalidShare)
    }
}
