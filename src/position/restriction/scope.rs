//! Which reads an id is of: all that its entries say together.

use super::{RestrictionTag, Share};

/// The partitions of which an id has the positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdScope {
    /// All partitions: the id is not of a restricted read, or it is made of the ids of all shares.
    #[default]
    Whole,
    /// Those of the restriction with this tag.
    Part(RestrictionTag),
    /// Those of several shares, of which at least one is missing: this one.
    Incomplete(Share),
    /// It is made of ids that do not belong together.
    Mixed,
}

/// Collects the tags of an id's entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::position) struct ScopeBuilder {
    /// Whether an entry has no tag.
    has_whole: bool,
    /// The tag of the first entry that has one.
    first: Option<RestrictionTag>,
    /// The shares so far: bit 0 for the first.
    shares: u64,
    is_mixed: bool,
}

impl ScopeBuilder {
    /// Adds the tag of an entry.
    pub(in crate::position) fn add(&mut self, tag: Option<RestrictionTag>) {
        let Some(tag) = tag else {
            self.has_whole = true;
            return;
        };
        let first = *self.first.get_or_insert(tag);
        if let RestrictionTag::Share(share) = tag {
            self.shares |= 1 << (share.number() - 1);
        }
        self.is_mixed |= match (first, tag) {
            (RestrictionTag::Share(first), RestrictionTag::Share(share)) => first.of() != share.of(),
            (first, tag) => first != tag,
        };
    }

    /// Returns whether the ids of several shares were joined.
    pub(in crate::position) fn is_joined(self) -> bool {
        self.shares.count_ones() > 1
    }

    /// Returns the scope of the entries.
    pub(in crate::position) fn finish(self) -> IdScope {
        match self.first {
            None => IdScope::Whole,
            Some(_) if self.is_mixed || self.has_whole => IdScope::Mixed,
            Some(RestrictionTag::Share(share)) => self.shares_of(share),
            Some(list) => IdScope::Part(list),
        }
    }

    /// Returns the scope of shares, of which this is one.
    fn shares_of(self, share: Share) -> IdScope {
        let missing = (1..=share.of()).find(|number| self.shares >> (number - 1) & 1 == 0);
        match missing.and_then(|number| Share::new(number, share.of())) {
            None => IdScope::Whole,
            Some(_) if self.shares.is_power_of_two() => IdScope::Part(RestrictionTag::Share(share)),
            Some(missing) => IdScope::Incomplete(missing),
        }
    }
}
