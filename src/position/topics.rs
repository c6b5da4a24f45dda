//! The topics of a request, and the entries of an id that belong to each of them.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    ops::Range,
    sync::{Arc, OnceLock},
};

use super::{PositionEntry, TopicKey, tags};

/// A set of topics, sorted by name. Clones share the same topics.
///
/// A request may have hundreds of topics. They are not copied, and their tags are computed when the configuration is read.
#[derive(Clone, Debug, Default)]
pub struct TopicSet(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    topics: Box<[TaggedTopic]>,
    /// A hash of the tags. Equal sets have equal tags. Computed once, because sets are looked up with each request.
    hash: u64,
    /// The indexes of `topics` in the order of the tags. Computed for the first id that names topics by tag.
    by_tag: OnceLock<Box<[usize]>>,
    /// The set of which these topics are a part, and their indexes in it. Its order is computed once, and gives that of each part.
    whole: Option<(TopicSet, Box<[usize]>)>,
}

/// A topic with its name and its tag, the two ways in which ids name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedTopic {
    name: Arc<str>,
    /// See [`tags::hash_of`].
    hash: u64,
}

impl From<&str> for TaggedTopic {
    fn from(name: &str) -> Self {
        Arc::<str>::from(name).into()
    }
}

impl From<Arc<str>> for TaggedTopic {
    fn from(name: Arc<str>) -> Self {
        let hash = tags::hash_of(&name);
        Self { name, hash }
    }
}

impl TaggedTopic {
    /// Returns the topic's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the first 8 bytes of the SHA-256 of the name, big endian.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    fn tag(&self) -> u32 {
        tags::tag_of(self.hash)
    }
}

impl TopicSet {
    /// Returns the set of these topics, which must be sorted by name, without duplicates.
    pub(crate) fn of_sorted(topics: Box<[TaggedTopic]>) -> Self {
        Self::new(topics, None)
    }

    /// Returns the topics of this set with these indexes, which must be sorted, without duplicates.
    pub(crate) fn part(&self, indexes: Box<[usize]>) -> Self {
        let topics = indexes.iter().map(|index| self.0.topics[*index].clone());
        Self::new(topics.collect(), Some((self.clone(), indexes)))
    }

    fn new(topics: Box<[TaggedTopic]>, whole: Option<(Self, Box<[usize]>)>) -> Self {
        debug_assert!(topics.is_sorted_by(|a, b| a.name < b.name));
        let hash = topics.iter().fold(0, |hash: u64, topic| {
            (hash.rotate_left(5) ^ u64::from(topic.tag())).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        Self(Arc::new(Shared {
            topics,
            hash,
            by_tag: OnceLock::new(),
            whole,
        }))
    }

    /// Returns the names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> + Clone {
        self.0.topics.iter().map(TaggedTopic::name)
    }

    /// Returns the topics, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &TaggedTopic> {
        self.0.topics.iter()
    }

    /// Returns those of the topics that `is_kept` is true for.
    pub fn filter(&self, is_kept: impl Fn(&TaggedTopic) -> bool) -> Self {
        let topics = self.0.topics.iter().enumerate();
        let kept = topics.filter(|(_, topic)| is_kept(topic));
        self.part(kept.map(|(index, _)| index).collect())
    }

    /// Returns the number of topics.
    pub fn len(&self) -> usize {
        self.0.topics.len()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.topics.is_empty()
    }

    /// Returns whether the topic called `name` is in the set.
    pub fn contains(&self, name: &str) -> bool {
        let names = &self.0.topics;
        names.binary_search_by(|topic| (*topic.name).cmp(name)).is_ok()
    }

    /// Returns for each topic the range of `entries` that belong to it. `entries` must be sorted, as those of a position are, so
    /// that the entries of a topic are adjacent.
    ///
    /// Topics and entries are walked through once, in parallel. Looking up each of thousands of entries would cost several times
    /// as much.
    pub fn entries_of_each(&self, entries: &[PositionEntry]) -> Vec<Range<usize>> {
        let mut ranges = vec![0..0; self.len()];
        let names = entries.partition_point(|entry| matches!(entry.topic, TopicKey::Name(_)));
        if names > 0 {
            self.set_ranges(entries, 0..names, 0..self.len(), |_, _| false, &mut ranges);
        }
        if names < entries.len() {
            let by_tag = self.by_tag().iter().copied();
            let are_alike = |a: &TaggedTopic, b: &TaggedTopic| a.tag() == b.tag();
            self.set_ranges(entries, names..entries.len(), by_tag, are_alike, &mut ranges);
        }
        ranges
    }

    /// Sets the ranges of topics that come in the order of the entries. Adjacent topics that are alike get the same entries: two
    /// topics may share a tag.
    fn set_ranges(
        &self,
        entries: &[PositionEntry],
        among: Range<usize>,
        topics: impl IntoIterator<Item = usize>,
        are_alike: impl Fn(&TaggedTopic, &TaggedTopic) -> bool,
        ranges: &mut [Range<usize>],
    ) {
        let (mut last, mut range) = (None, among.start..among.start);
        for index in topics {
            let topic = &self.0.topics[index];
            if !last.replace(topic).is_some_and(|last| are_alike(last, topic)) {
                range.start = range.end;
                while range.end < among.end {
                    match topic.compare(&entries[range.end]) {
                        Ordering::Less => range = range.end + 1..range.end + 1,
                        Ordering::Equal => range.end += 1,
                        Ordering::Greater => break,
                    }
                }
            }
            ranges[index] = range.clone();
        }
    }

    /// Returns the indexes of the topics in the order of their tags.
    fn by_tag(&self) -> &[usize] {
        self.0.by_tag.get_or_init(|| match &self.0.whole {
            Some((whole, indexes)) => whole.by_tag_within(indexes),
            None => {
                let mut order: Box<[usize]> = (0..self.len()).collect();
                order.sort_by_key(|index| self.0.topics[*index].tag());
                order
            }
        })
    }

    /// Returns the places among `indexes` in the order of the tags that the topics with these indexes have.
    fn by_tag_within(&self, indexes: &[usize]) -> Box<[usize]> {
        const NOWHERE: u32 = u32::MAX;
        let mut places = vec![NOWHERE; self.len()];
        for (place, index) in (0..).zip(indexes) {
            places[*index] = place;
        }
        let mut order = Vec::with_capacity(indexes.len());
        for index in self.by_tag() {
            if places[*index] != NOWHERE {
                order.push(places[*index] as usize);
            }
        }
        order.into()
    }
}

impl TaggedTopic {
    /// Compares the topic of `entry` with this one.
    fn compare(&self, entry: &PositionEntry) -> Ordering {
        match &entry.topic {
            TopicKey::Name(name) => (**name).cmp(&*self.name),
            TopicKey::Tag(tag) => tag.cmp(&self.tag()),
        }
    }
}

impl<T: Into<TaggedTopic>> FromIterator<T> for TopicSet {
    fn from_iter<I: IntoIterator<Item = T>>(topics: I) -> Self {
        let mut topics: Vec<TaggedTopic> = topics.into_iter().map(Into::into).collect();
        if !topics.is_sorted_by(|a, b| a.name < b.name) {
            topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            topics.dedup_by(|a, b| a.name == b.name);
        }
        Self::of_sorted(topics.into())
    }
}

impl<T: Into<TaggedTopic>, const N: usize> From<[T; N]> for TopicSet {
    fn from(topics: [T; N]) -> Self {
        topics.into_iter().collect()
    }
}

impl PartialEq for TopicSet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.topics == other.0.topics
    }
}

impl Eq for TopicSet {}

impl Hash for TopicSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{PartitionPosition, Partitions};

    fn entries(topics: &[TopicKey]) -> Vec<PositionEntry> {
        let entry = |topic: &TopicKey| {
            [0, 1].map(|partition| PositionEntry {
                topic: topic.clone(),
                partitions: Partitions::One(partition),
                place: PartitionPosition::Earliest,
            })
        };
        let mut entries: Vec<_> = topics.iter().flat_map(entry).collect();
        entries.sort_by(|a, b| a.topic.cmp(&b.topic));
        entries
    }

    #[test]
    fn each_topic_has_its_entries_and_no_others_whether_named_or_tagged() {
        let names: Vec<String> = (0..40).map(|number| format!("topic-{number}")).collect();
        let topics: TopicSet = names.iter().step_by(3).map(String::as_str).collect();
        let named = |name: &String| TopicKey::Name(name.as_str().into());
        let tagged = |name: &String| TopicKey::Tag(TopicKey::tag_of(name));
        let forms: [fn(&String) -> TopicKey; 2] = [named, tagged];
        for key in forms {
            let entries = entries(&names.iter().step_by(2).map(key).collect::<Vec<_>>());
            let ranges = topics.entries_of_each(&entries);
            for (name, range) in topics.names().zip(ranges) {
                let own = entries.iter().filter(|entry| entry.topic.names(name));
                assert!(entries[range].iter().eq(own), "{name}");
            }
        }
    }

    #[test]
    fn a_part_of_a_set_is_as_the_same_topics_by_themselves() {
        let names: Vec<String> = (0..40).map(|number| format!("topic-{number}")).collect();
        let whole: TopicSet = names.iter().map(String::as_str).collect();
        let part = whole.part((0..40).step_by(3).collect());
        let alone: TopicSet = part.names().map(|name| &**name).collect();
        assert_eq!(part, alone);
        assert_eq!(part.by_tag(), alone.by_tag());
    }

    #[test]
    fn two_topics_of_one_tag_have_the_same_entries() {
        let topic = |name: &str| TaggedTopic {
            name: name.into(),
            hash: 7 << 32,
        };
        let topics: TopicSet = [topic("b"), topic("a")].into();
        assert_eq!(topics.names().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
        let entries = entries(&[3, 7, 9].map(TopicKey::Tag));
        assert_eq!(topics.entries_of_each(&entries), [2..4, 2..4]);
    }
}
