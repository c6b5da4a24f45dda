//! Which topics the entries of an id are of.

use std::{cell::OnceCell, collections::HashSet, sync::Arc};

use foldhash::fast::RandomState;

use crate::position::TopicKey;

/// Some topics of a request, by name and by tag.
///
/// An id may have a thousand entries, and a request hundreds of topics: each entry costs one look-up, not one comparison with
/// each topic.
pub(super) struct Topics<'a> {
    topics: &'a [Arc<str>],
    /// Made for the first id that has names.
    names: OnceCell<HashSet<&'a str, RandomState>>,
    /// Made for the first id that has tags.
    tags: OnceCell<HashSet<u32, RandomState>>,
}

impl<'a> Topics<'a> {
    /// Those with these names.
    pub(super) fn of(topics: &'a [Arc<str>]) -> Self {
        Self {
            topics,
            names: OnceCell::new(),
            tags: OnceCell::new(),
        }
    }

    /// Whether `key` means one of them.
    pub(super) fn has(&self, key: &TopicKey) -> bool {
        let topics = || self.topics.iter().map(|name| &**name);
        match key {
            TopicKey::Name(name) => self.names.get_or_init(|| topics().collect()).contains(&**name),
            TopicKey::Tag(tag) => self
                .tags
                .get_or_init(|| topics().map(TopicKey::tag_of).collect())
                .contains(tag),
        }
    }
}
