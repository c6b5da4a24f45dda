//! Resolution of a request's list of stream names to streams and topics.

use std::sync::Arc;

use super::{Catalog, StreamName};
use crate::{
    encoding::Payload,
    position::{TaggedTopic, TopicSet},
};

/// The streams that a request asks for, and their topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The streams, each once, in the order in which they were first named.
    pub streams: Vec<StreamName>,
    /// The topics of the streams.
    pub topics: TopicSet,
    /// Topics that one of the streams once had and none of them has now. Entries of ids that name them are ignored.
    pub former_topics: TopicSet,
    /// Fields that a query may name as parameters, sorted, and whether all of the streams allow it.
    pub filter_fields: Vec<(Arc<str>, bool)>,
    /// One of the streams whose values are not JSON, if there is one.
    pub not_json: Option<StreamName>,
}

/// Why a list of stream names cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// These names are not in the catalog: at most [`MAX_STREAMS_PER_REQUEST`] of them, as the client wrote them.
    #[error("unknown streams: {}", .0.join(", "))]
    Unknown(Vec<String>),
    /// The list has more names than a request may have.
    #[error("the request names more than {MAX_STREAMS_PER_REQUEST} streams")]
    TooMany,
}

/// The largest number of distinct streams in one request. Each costs cursors. A client that wants more can send a second request.
pub const MAX_STREAMS_PER_REQUEST: usize = 32;

impl Catalog {
    /// Resolves a comma-separated list of stream names and aliases. Names are case-sensitive.
    ///
    /// # Errors
    /// [`SelectError`] if a name is unknown, or the list names more than [`MAX_STREAMS_PER_REQUEST`] streams.
    pub fn select(&self, list: &str) -> Result<Selection, SelectError> {
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        let mut is_found = vec![false; self.streams.len()];
        // Byte by byte: most names are short, and searching for each comma would cost more.
        let lengths = list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::len);
        let mut start = 0;
        for length in lengths {
            let name = &list[start..start + length];
            start += length + 1;
            match self.names.get(name).copied() {
                Some(stream) if is_found[stream] => {}
                Some(stream) => {
                    is_found[stream] = true;
                    found.push(stream);
                }
                None => unknown.push(name.to_owned()),
            }
            if found.len() + unknown.len() > MAX_STREAMS_PER_REQUEST {
                return Err(SelectError::TooMany);
            }
        }
        if !unknown.is_empty() {
            return Err(SelectError::Unknown(unknown));
        }
        let name_indexes = &self.name_indexes;
        let topic = |(topic, _): (&TaggedTopic, usize)| topic.clone();
        let topics = name_indexes.topics.indexes_among(&found);
        let topics = self.topic_set.part(topics.map(|(index, _)| index).collect());
        let former_topics = name_indexes.former_topics.among(&found).map(topic);
        let former_topics = former_topics.filter(|former| !topics.contains(former.name()));
        let fields = name_indexes.filter_fields.among(&found);
        let filter_fields = fields.map(|(field, count)| (Arc::clone(field), count == found.len()));
        let mut others = found.iter().map(|it| &self.streams[*it]);
        let not_json = others.find(|stream| stream.encoding.payload != Payload::Json);
        let streams = found.iter().map(|it| StreamName::of(&self.streams[*it]));
        Ok(Selection {
            not_json: not_json.map(StreamName::of),
            filter_fields: filter_fields.collect(),
            streams: streams.collect(),
            former_topics: former_topics.collect(),
            topics,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Stream;

    fn catalog() -> Catalog {
        let mut edits = Stream::new("edits", ["b.edits", "a.edits"]);
        edits.aliases = vec!["mediawiki.edits".into()];
        edits.former_topics = vec!["old.edits".into(), "pages".into()];
        let all = Stream::new("all", ["pages", "a.edits"]);
        let many = (0..40).map(|n| Stream::new(&format!("s{n}"), ["pages"]));
        Catalog::new([edits, all].into_iter().chain(many).collect()).expect("a catalog")
    }

    fn texts(topics: &TopicSet) -> Vec<&str> {
        topics.names().map(|name| &**name).collect()
    }

    #[test]
    fn an_alias_and_its_stream_are_one_stream() {
        let selection = catalog().select("mediawiki.edits,all,edits").expect("known");
        let names: Vec<_> = selection.streams.iter().map(StreamName::as_str).collect();
        assert_eq!(names, ["edits", "all"]);
        assert_eq!(texts(&selection.topics), ["a.edits", "b.edits", "pages"]);
        assert_eq!(texts(&selection.former_topics), ["old.edits"]);
    }

    #[test]
    fn all_unknown_names_are_told_at_once_and_case_matters() {
        let unknown = |names: &[&str]| {
            Err(SelectError::Unknown(
                names.iter().map(|n| n.to_string()).collect(),
            ))
        };
        assert_eq!(catalog().select("Edits,all,nope"), unknown(&["Edits", "nope"]));
        assert_eq!(catalog().select(""), unknown(&[""]));
        assert_eq!(catalog().select("edits,"), unknown(&[""]));
        assert_eq!(catalog().select(" edits"), unknown(&[" edits"]));
        assert_eq!(
            catalog().select("pages"),
            unknown(&["pages"]),
            "a topic is not a stream"
        );
    }

    #[test]
    fn a_request_has_at_most_32_streams_however_often_it_names_them() {
        let list = |range: std::ops::Range<u32>| range.map(|n| format!("s{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(catalog().select(&list(0..32)).map(|s| s.streams.len()), Ok(32));
        assert_eq!(catalog().select(&list(0..33)), Err(SelectError::TooMany));
        assert_eq!(
            catalog()
                .select(&["edits"; 1000].join(","))
                .map(|s| s.streams.len()),
            Ok(1)
        );
        assert_eq!(
            catalog().select(&["nope"; 33].join(",")),
            Err(SelectError::TooMany)
        );
    }
}
