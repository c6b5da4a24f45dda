//! Groups of streams that share topics, and therefore a cluster.

use std::sync::Arc;

use super::{Catalog, sorted};

/// Streams that are connected by shared topics. A topic is read from one cluster, so they move to another cluster together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamGroup {
    /// The names of the streams, in the order of the configuration, at least one.
    pub streams: Vec<Arc<str>>,
    /// The topics of the streams, sorted, each once.
    pub topics: Vec<Arc<str>>,
    /// The clusters that the streams can be read from, in order of preference.
    pub clusters: Vec<Arc<str>>,
}

impl Catalog {
    /// Returns the streams in groups that share topics, and so are read from one cluster at a time. Every stream is in exactly one.
    pub fn groups(&self) -> Vec<StreamGroup> {
        let mut groups: Vec<StreamGroup> = Vec::new();
        for stream in &self.streams {
            let shares =
                |group: &mut StreamGroup| group.topics.iter().any(|topic| stream.topics.contains(topic));
            let mut joined = StreamGroup {
                streams: Vec::new(),
                topics: stream.topics.clone(),
                clusters: stream.clusters.clone(),
            };
            let at = groups.iter_mut().position(shares).unwrap_or(groups.len());
            for other in groups.extract_if(.., shares) {
                joined.streams.extend(other.streams);
                joined.topics.extend(other.topics);
            }
            joined.streams.push(Arc::clone(&stream.name));
            joined.topics = sorted(joined.topics.iter());
            groups.insert(at, joined);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Stream;

    fn names(group: &StreamGroup) -> (Vec<&str>, Vec<&str>) {
        (
            group.streams.iter().map(|name| &**name).collect(),
            group.topics.iter().map(|name| &**name).collect(),
        )
    }

    #[test]
    fn streams_hang_together_by_shared_topics_also_through_a_third() {
        let streams = [
            Stream::new("one", ["a", "b"]),
            Stream::new("alone", ["x"]),
            Stream::new("two", ["c"]),
            Stream::new("both", ["b", "c"]),
        ];
        let groups = Catalog::new(streams.into()).unwrap().groups();
        assert_eq!(groups.len(), 2);
        assert_eq!(
            names(&groups[0]),
            (vec!["one", "two", "both"], vec!["a", "b", "c"])
        );
        assert_eq!(names(&groups[1]), (vec!["alone"], vec!["x"]));
    }
}
