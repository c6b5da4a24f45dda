//! One public stream, and the rule for names.

use std::{fmt, sync::Arc, time::Duration};

use http::Uri;

use super::RecordRules;
use crate::encoding::Encoding;

/// A public name for one or more topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The name that clients ask for.
    pub name: Arc<str>,
    /// Other names of the stream.
    pub aliases: Vec<Arc<str>>,
    /// The topics, in the order of the configuration.
    pub topics: Vec<Arc<str>>,
    /// A description of the stream for people, empty if there is none.
    pub description: String,
    /// How the records of its topics become lines.
    pub encoding: Encoding,
    /// What happens to the records of its topics before they become events.
    pub rules: Arc<RecordRules>,
    /// The file or URL of the JSON Schema of its events, for whoever wants to know. riverhead does not read it.
    pub schema: Option<Arc<str>>,
    /// Topics that the stream once had. Ids that name them are accepted, and those entries are ignored.
    pub former_topics: Vec<Arc<str>>,
    /// Fields of its events, as dotted paths, that a query may name as parameters of their own (`?wiki=enwiki`).
    pub filter_fields: Vec<Arc<str>>,
    /// The clusters that the stream can be read from, in order of preference.
    pub clusters: Vec<Arc<str>>,
    /// Who may read it.
    pub access: Access,
    /// The template of a filter that every reader's claims are put into: a checked one. `None` passes everything.
    pub only: Option<Arc<str>>,
    /// How soon an event must come for the stream to be healthy. `None` for a stream that may be quiet.
    pub expect_event_within: Option<Duration>,
}

impl Stream {
    /// Creates the stream called `name` with these topics. All other fields are empty or have their defaults.
    pub fn new<'a>(name: &str, topics: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            topics: topics.into_iter().map(Into::into).collect(),
            description: String::new(),
            encoding: Encoding::default(),
            rules: Arc::default(),
            schema: None,
            former_topics: Vec::new(),
            filter_fields: Vec::new(),
            clusters: Vec::new(),
            access: Access::Public,
            only: None,
            expect_event_within: None,
        }
    }
}

/// Who may read a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    #[default]
    Public,
    /// Principals that have any one of these scopes, of which there is at least one.
    Scopes(Vec<Arc<str>>),
}

/// The name of a stream in the catalog. Only the catalog creates one, and never from an alias.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

impl StreamName {
    pub(super) fn of(stream: &Stream) -> Self {
        Self(Arc::clone(&stream.name))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name as a shared pointer, for storing.
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the `schema` of a stream as a URL, or `None` if it is the path of a file.
pub fn schema_url(schema: &str) -> Option<Uri> {
    let is_url = schema.starts_with("https://") || schema.starts_with("http://");
    schema.parse().ok().filter(|_| is_url)
}

/// Why a text cannot name a topic, a stream or a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// The text has more than 249 characters.
    #[error("it has more than {MAX_NAME_LEN} characters")]
    Long,
    /// The text has this character, which names may not contain.
    #[error("{0:?} is not an ASCII letter, a digit, `.`, `_` or `-`")]
    Character(char),
    /// The text is `.` or `..`.
    #[error("it is the name of a directory")]
    Dots,
}

/// Checks that `name` can name a topic, a stream or a cluster. It is Kafka's rule for topics, which also keeps stream names free
/// of the comma and the slash, which are separators in a path.
///
/// # Errors
/// [`InvalidName`] with the reason if it cannot.
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    let odd = |c: &char| !c.is_ascii_alphanumeric() && !"._-".contains(*c);
    match name {
        "" => Err(InvalidName::Empty),
        "." | ".." => Err(InvalidName::Dots),
        _ if name.len() > MAX_NAME_LEN => Err(InvalidName::Long),
        _ => name
            .chars()
            .find(odd)
            .map_or(Ok(()), |c| Err(InvalidName::Character(c))),
    }
}

/// `org.apache.kafka.common.internals.Topic`: 255, the longest file name, less what partitions and deletion append.
const MAX_NAME_LEN: usize = 249;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kafka_takes_for_a_topic() {
        for name in ["a", "eqiad.mediawiki.page-create", "A_1", "...", &"x".repeat(249)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        assert_eq!(check_name(""), Err(InvalidName::Empty));
        assert_eq!(check_name(".."), Err(InvalidName::Dots));
        assert_eq!(check_name(&"x".repeat(250)), Err(InvalidName::Long));
        for (name, odd) in [
            ("a,b", ','),
            ("a/b", '/'),
            ("a b", ' '),
            ("ä", 'ä'),
            ("a\0", '\0'),
        ] {
            assert_eq!(check_name(name), Err(InvalidName::Character(odd)));
        }
    }
}
