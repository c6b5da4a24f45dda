//! The catalog: the public streams, and the topics behind them.
//!
//! Not here: events (`event`), and a client's position in them (`position`).
//!
//! Only topics of the catalog are ever requested from Kafka.

mod conflict;
mod current;
mod group;
mod name_indexes;
mod names;
mod parameter;
mod record_rules;
mod select;
mod stream;
pub mod ticket_parameter;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use foldhash::fast::RandomState;

pub use conflict::{Conflict, ConflictKind, ConflictLocation};
pub use current::CurrentCatalog;
pub use group::StreamGroup;
pub use names::{NameMeaning, QueryNames, decoded};
pub use parameter::{Parameter, yields_to_fields};
pub use record_rules::{Condition, RecordRules, RedactRule};
pub use select::{MAX_STREAMS_PER_REQUEST, SelectError, Selection};
pub use stream::{Access, InvalidName, Stream, StreamName, check_name, schema_url};

use self::name_indexes::NameIndex;
use crate::{
    encoding::Encoding,
    position::{KeptTags, TaggedTopic, TopicSet},
};

/// The public streams. Their names, aliases, topics and encodings are known to be consistent.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    streams: Vec<Stream>,
    /// The index into `streams` of each name and alias.
    names: HashMap<Arc<str>, usize, RandomState>,
    topics: BTreeMap<Arc<str>, TopicConfig>,
    /// The topics of `name_indexes`.
    topic_set: TopicSet,
    name_indexes: NameIndexes,
    /// Whether not everybody may read all of the streams.
    is_restricted: bool,
    _tags: Arc<KeptTags>,
}

/// The names that streams have in common.
#[derive(Clone, Debug, Default)]
struct NameIndexes {
    topics: NameIndex<TaggedTopic>,
    former_topics: NameIndex<TaggedTopic>,
    filter_fields: NameIndex<Arc<str>>,
}

/// The properties on which all streams that share a topic agree.
#[derive(Clone, Debug)]
struct TopicConfig {
    encoding: Encoding,
    rules: Arc<RecordRules>,
    clusters: Vec<Arc<str>>,
}

impl Catalog {
    /// Creates the catalog of these streams, in this order.
    ///
    /// # Errors
    /// Every contradiction within a stream and between streams, in the order of the streams.
    pub fn new(streams: Vec<Stream>) -> Result<Self, Vec<Conflict>> {
        let conflicts = conflict::all(&streams);
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let topics = streams.iter();
        let topics = topics.flat_map(|stream| stream.topics.iter().chain(&stream.former_topics));
        let tags = Arc::new(KeptTags::of(topics));
        let name_indexes = NameIndexes {
            topics: NameIndex::of(&streams, |stream| &stream.topics),
            former_topics: NameIndex::of(&streams, |stream| &stream.former_topics),
            filter_fields: NameIndex::of(&streams, |stream| &stream.filter_fields),
        };
        Ok(Self {
            names: index_of_names(&streams),
            topics: topics_of_all(&streams),
            topic_set: TopicSet::of_sorted(name_indexes.topics.names().into()),
            name_indexes,
            is_restricted: streams
                .iter()
                .any(|stream| stream.access != Access::Public || stream.only.is_some()),
            streams,
            _tags: tags,
        })
    }

    /// Returns the public streams, in the order of the configuration.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = &Stream> {
        self.streams.iter()
    }

    /// Whether not everybody may read all of the streams.
    pub fn is_restricted(&self) -> bool {
        self.is_restricted
    }

    /// Returns the stream with this name. `None` if it is one of another catalog.
    pub fn stream(&self, name: &StreamName) -> Option<&Stream> {
        self.streams.get(*self.names.get(name.as_str())?)
    }

    /// Returns the stream that has this name, not as an alias.
    pub fn named(&self, name: &str) -> Option<&Stream> {
        let stream = self.streams.get(*self.names.get(name)?);
        stream.filter(|stream| *stream.name == *name)
    }

    /// Whether a stream has this name, not as an alias.
    pub fn has(&self, name: &str) -> bool {
        self.named(name).is_some()
    }

    /// Returns how the records of `topic` become lines, or `None` for a topic that is not in the catalog.
    pub fn encoding_of(&self, topic: &str) -> Option<Encoding> {
        self.topics.get(topic).map(|topic| topic.encoding)
    }

    /// Returns what happens to the records of `topic` before they become events, or `None` for a topic that is not in the
    /// catalog. Topics of one stream share it.
    pub fn rules_of(&self, topic: &str) -> Option<&Arc<RecordRules>> {
        self.topics.get(topic).map(|topic| &topic.rules)
    }

    /// Returns the topics that can be read from `cluster`, sorted, each once.
    pub fn topics_of(&self, cluster: &str) -> Vec<Arc<str>> {
        let reads = |topic: &TopicConfig| topic.clusters.iter().any(|name| **name == *cluster);
        let topics = self.topics.iter().filter(|(_, topic)| reads(topic));
        topics.map(|(name, _)| Arc::clone(name)).collect()
    }
}

fn index_of_names(streams: &[Stream]) -> HashMap<Arc<str>, usize, RandomState> {
    let names = streams.iter().enumerate().flat_map(|(index, stream)| {
        let names = std::iter::once(&stream.name).chain(&stream.aliases);
        names.map(move |name| (Arc::clone(name), index))
    });
    names.collect()
}

fn topics_of_all(streams: &[Stream]) -> BTreeMap<Arc<str>, TopicConfig> {
    let topics = streams.iter().flat_map(|stream| {
        let topic = TopicConfig {
            encoding: stream.encoding,
            rules: Arc::clone(&stream.rules),
            clusters: stream.clusters.clone(),
        };
        let names = stream.topics.iter();
        names.map(move |name| (Arc::clone(name), topic.clone()))
    });
    topics.collect()
}

/// Returns the distinct values, sorted.
fn sorted<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<Arc<str>> {
    let distinct: BTreeSet<_> = names.cloned().collect();
    distinct.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Payload;

    #[test]
    fn a_topic_can_be_read_from_each_cluster_of_its_streams() {
        let mut edits = Stream::new("edits", ["e1", "e0"]);
        edits.clusters = vec!["main".into(), "backup".into()];
        let mut pages = Stream::new("pages", ["p"]);
        pages.clusters = vec!["backup".into()];
        let catalog = Catalog::new(vec![edits, pages]).expect("a catalog");
        assert_eq!(catalog.topics_of("main"), ["e0".into(), "e1".into()]);
        assert_eq!(
            catalog.topics_of("backup"),
            ["e0".into(), "e1".into(), "p".into()]
        );
        assert_eq!(catalog.topics_of("other"), []);
    }

    #[test]
    fn a_topic_that_is_not_public_has_no_encoding() {
        let mut edits = Stream::new("edits", ["e0"]);
        edits.encoding.payload = Payload::Raw;
        let catalog = Catalog::new(vec![edits]).expect("a catalog");
        assert_eq!(catalog.encoding_of("e0").map(|e| e.payload), Some(Payload::Raw));
        assert_eq!(catalog.encoding_of("edits"), None);
    }
}
