//! Looking the topics of an id up among those of a request.

use std::{cell::OnceCell, collections::HashSet, sync::Arc};

use crate::position::TopicKey;

/// Some topics of a request, by name and by tag.
///
/// An id may have a thousand entries, and a request hundreds of topics: each entry costs one look-up, not one comparison with
/// each topic.
pub(super) struct Topics<'a> {
    /// Sorted, each once.
    names: &'a [Arc<str>],
    /// Made for the first id that has tags.
    tags: OnceCell<HashSet<u32>>,
}

impl<'a> Topics<'a> {
    /// Those with these names, which are sorted.
    pub(super) fn of(names: &'a [Arc<str>]) -> Self {
        Self {
            names,
            tags: OnceCell::new(),
        }
    }

    /// Whether `key` means one of them.
    pub(super) fn has(&self, key: &TopicKey) -> bool {
        match key {
            TopicKey::Name(name) => self.names.binary_search(name).is_ok(),
            TopicKey::Tag(tag) => self.tags.get_or_init(|| tags_of(self.names)).contains(tag),
        }
    }
}

fn tags_of(names: &[Arc<str>]) -> HashSet<u32> {
    names.iter().map(|name| TopicKey::tag_of(name)).collect()
}
