//! Contradictions within a stream and between streams.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{InvalidName, Stream, check_name, parameter::is_reserved};

/// A contradiction in a list of streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where it is.
    pub at: ConflictLocation,
    /// The place that it contradicts, if that is elsewhere.
    pub with: Option<ConflictLocation>,
    /// The kind of contradiction.
    pub kind: ConflictKind,
}

/// A part of a list of streams: the index of the stream, and the part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictLocation {
    /// The name of stream `.0`.
    Name(usize),
    /// Alias `.1` of stream `.0`.
    Alias(usize, usize),
    /// All topics of stream `.0`.
    Topics(usize),
    /// Topic `.1` of stream `.0`.
    Topic(usize, usize),
    /// Former topic `.1` of stream `.0`.
    FormerTopic(usize, usize),
    /// Filter field `.1` of stream `.0`.
    FilterField(usize, usize),
}

impl ConflictLocation {
    /// Returns the index of the stream.
    pub fn stream(self) -> usize {
        match self {
            Self::Name(stream)
            | Self::Alias(stream, _)
            | Self::Topics(stream)
            | Self::Topic(stream, _)
            | Self::FormerTopic(stream, _)
            | Self::FilterField(stream, _) => stream,
        }
    }
}

/// The kind of a contradiction, with the name that it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConflictKind {
    /// The text is no valid name.
    #[error("`{}` is not a valid name: {why}", name.escape_debug())]
    Name {
        /// The text that was given.
        name: Arc<str>,
        /// Why it is no valid name.
        why: InvalidName,
    },
    /// The name or alias already belongs to another stream.
    #[error("the name `{}` is taken already", .0.escape_debug())]
    NameTaken(Arc<str>),
    /// A stream without topics.
    #[error("stream `{}` has no topics", .0.escape_debug())]
    NoTopics(Arc<str>),
    /// A topic twice in one stream.
    #[error("topic `{}` is listed twice", .0.escape_debug())]
    DuplicateTopic(Arc<str>),
    /// A topic is both current and former.
    #[error("topic `{}` is listed in both `topics` and `former_topics`", .0.escape_debug())]
    CurrentAndFormer(Arc<str>),
    /// A filter field that a query could not name.
    #[error("`{}` is a query parameter itself, so it cannot be a filter field", .0.escape_debug())]
    Parameter(Arc<str>),
    /// Two streams share a topic, but differ in a key that must be the same for all of them.
    #[error("streams that share topic `{}` must agree on `{key}`: {why}", topic.escape_debug())]
    Disagreement {
        /// The topic.
        topic: Arc<str>,
        /// The key on which they disagree.
        key: &'static str,
        /// Why they must agree.
        why: &'static str,
    },
}

/// Returns all conflicts of `streams`, in their order.
pub(super) fn all(streams: &[Stream]) -> Vec<Conflict> {
    let mut conflicts = names(streams);
    for (index, stream) in streams.iter().enumerate() {
        conflicts.extend(own_topics(index, stream));
        conflicts.extend(filter_fields(index, stream));
    }
    conflicts.extend(shared_topics(streams));
    conflicts
}

fn names(streams: &[Stream]) -> Vec<Conflict> {
    let named = streams.iter().enumerate().flat_map(|(index, stream)| {
        let aliases = stream.aliases.iter().enumerate();
        let aliases = aliases.map(move |(number, alias)| (ConflictLocation::Alias(index, number), alias));
        std::iter::once((ConflictLocation::Name(index), &stream.name)).chain(aliases)
    });
    let mut taken = HashMap::new();
    let mut conflicts = Vec::new();
    for (at, name) in named {
        conflicts.extend(bad_name(at, name));
        match taken.entry(name) {
            Entry::Vacant(free) => _ = free.insert(at),
            Entry::Occupied(other) => {
                let kind = ConflictKind::NameTaken(name.clone());
                conflicts.push(Conflict::between(at, *other.get(), kind));
            }
        }
    }
    conflicts
}

fn own_topics(index: usize, stream: &Stream) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    if stream.topics.is_empty() {
        let kind = ConflictKind::NoTopics(stream.name.clone());
        conflicts.push(Conflict::at(ConflictLocation::Topics(index), kind));
    }
    let current = stream.topics.iter().enumerate();
    let current = current.map(|(number, topic)| (ConflictLocation::Topic(index, number), topic));
    let former = stream.former_topics.iter().enumerate();
    let former = former.map(|(number, topic)| (ConflictLocation::FormerTopic(index, number), topic));
    let mut seen = HashMap::new();
    for (at, topic) in current.chain(former) {
        conflicts.extend(bad_name(at, topic));
        match (seen.entry(topic), at) {
            (Entry::Vacant(new), _) => _ = new.insert(at),
            (Entry::Occupied(first), at) => {
                let kind = repeated(*first.get(), at, topic);
                conflicts.push(Conflict::between(at, *first.get(), kind));
            }
        }
    }
    conflicts
}

fn filter_fields(index: usize, stream: &Stream) -> Vec<Conflict> {
    let fields = stream.filter_fields.iter().enumerate();
    let conflicts = fields.flat_map(|(number, field)| {
        let at = ConflictLocation::FilterField(index, number);
        let own = is_reserved(field).then(|| Conflict::at(at, ConflictKind::Parameter(field.clone())));
        bad_name(at, field).into_iter().chain(own)
    });
    conflicts.collect()
}

fn repeated(first: ConflictLocation, again: ConflictLocation, topic: &Arc<str>) -> ConflictKind {
    match (first, again) {
        (ConflictLocation::Topic(..), ConflictLocation::FormerTopic(..)) => {
            ConflictKind::CurrentAndFormer(topic.clone())
        }
        _ => ConflictKind::DuplicateTopic(topic.clone()),
    }
}

fn shared_topics(streams: &[Stream]) -> Vec<Conflict> {
    let mut first: HashMap<&Arc<str>, (ConflictLocation, &Stream)> = HashMap::new();
    let mut conflicts = Vec::new();
    for (index, stream) in streams.iter().enumerate() {
        for (number, topic) in stream.topics.iter().enumerate() {
            let at = ConflictLocation::Topic(index, number);
            let (with, other) = *first.entry(topic).or_insert((at, stream));
            let problems = disagreements(stream, other, topic);
            conflicts.extend(problems.map(|kind| Conflict::between(at, with, kind)));
        }
    }
    conflicts
}

fn disagreements(one: &Stream, other: &Stream, topic: &Arc<str>) -> impl Iterator<Item = ConflictKind> {
    let (encoding, others_encoding) = (one.encoding, other.encoding);
    let (rules, others) = (&one.rules, &other.rules);
    let keys = [
        (
            "payload",
            encoding.payload != others_encoding.payload,
            ENCODED_ONCE,
        ),
        (
            "tombstones",
            encoding.tombstones != others_encoding.tombstones,
            ENCODED_ONCE,
        ),
        (
            "clusters",
            one.clusters != other.clusters,
            "it is read from one cluster at a time",
        ),
        ("redact", rules.redact != others.redact, CHANGED_ONCE),
        ("drop", rules.drop != others.drop, CHANGED_ONCE),
        ("annotate", rules.annotate != others.annotate, CHANGED_ONCE),
        ("canary", rules.canary != others.canary, CHANGED_ONCE),
    ];
    let keys = keys.into_iter().filter(|(_, differ, _)| *differ);
    let topic = topic.clone();
    keys.map(move |(key, _, why)| ConflictKind::Disagreement {
        topic: topic.clone(),
        key,
        why,
    })
}

const ENCODED_ONCE: &str = "its events are encoded only once";

const CHANGED_ONCE: &str = "its records are changed only once";

fn bad_name(at: ConflictLocation, name: &Arc<str>) -> Option<Conflict> {
    let why = check_name(name).err()?;
    let name = name.clone();
    Some(Conflict::at(at, ConflictKind::Name { name, why }))
}

impl Conflict {
    fn at(at: ConflictLocation, kind: ConflictKind) -> Self {
        Self { at, with: None, kind }
    }

    fn between(at: ConflictLocation, with: ConflictLocation, kind: ConflictKind) -> Self {
        Self {
            at,
            with: Some(with),
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{Condition, RecordRules, RedactRule},
        encoding::{Payload, Tombstones},
    };

    fn problems(streams: &[Stream]) -> Vec<(ConflictLocation, Option<ConflictLocation>, String)> {
        let conflicts = all(streams).into_iter();
        conflicts.map(|c| (c.at, c.with, c.kind.to_string())).collect()
    }

    fn kinds(streams: &[Stream]) -> Vec<(ConflictLocation, Option<ConflictLocation>)> {
        problems(streams)
            .into_iter()
            .map(|(at, with, _)| (at, with))
            .collect()
    }

    #[test]
    fn two_streams_that_share_a_topic_agree_on_what_its_events_look_like() {
        let mut one = Stream::new("one", ["t", "u"]);
        let mut two = Stream::new("two", ["u"]);
        assert_eq!(kinds(&[one.clone(), two.clone()]), []);
        two.encoding.payload = Payload::Raw;
        two.encoding.tombstones = Tombstones::Delete;
        one.clusters = vec!["main".into()];
        let pair = (ConflictLocation::Topic(1, 0), Some(ConflictLocation::Topic(0, 1)));
        assert_eq!(kinds(&[one, two]), [pair, pair, pair]);
    }

    #[test]
    fn two_streams_that_share_a_topic_agree_on_what_happens_to_its_records() {
        let condition = |text| Some(Condition::new(text, "the same"));
        let rules = |text| RecordRules {
            redact: vec![RedactRule {
                when: condition(text),
                remove: vec!["user".into()],
                ..RedactRule::default()
            }],
            drop: condition(text),
            annotate: true,
            canary: condition(text),
        };
        let mut one = Stream::new("one", ["t"]);
        let mut two = one.clone();
        two.name = "two".into();
        one.rules = rules("a = 1").into();
        two.rules = rules("a=1").into();
        assert_eq!(kinds(&[one.clone(), two.clone()]), [], "however it is written");
        two.rules = Arc::default();
        let told = problems(&[one, two]).into_iter().map(|(_, _, text)| text);
        let expected = ["redact", "drop", "annotate", "canary"].map(|key| {
            format!("streams that share topic `t` must agree on `{key}`: its records are changed only once")
        });
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_alias_takes_no_name_that_means_another_stream() {
        let mut one = Stream::new("one", ["t"]);
        one.aliases = vec!["two".into(), "one".into()];
        let two = Stream::new("two", ["t"]);
        let own = (ConflictLocation::Alias(0, 1), Some(ConflictLocation::Name(0)));
        let foreign = (ConflictLocation::Name(1), Some(ConflictLocation::Alias(0, 0)));
        assert_eq!(kinds(&[one, two]), [own, foreign]);
    }

    #[test]
    fn topics_are_there_once_and_not_also_former() {
        let mut stream = Stream::new("s", ["t", "t"]);
        stream.former_topics = vec!["t".into(), "f".into(), "f".into()];
        let texts: Vec<_> = problems(&[stream]).into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(
            texts,
            [
                "topic `t` is listed twice",
                "topic `t` is listed in both `topics` and `former_topics`",
                "topic `f` is listed twice",
            ]
        );
        assert_eq!(
            kinds(&[Stream::new("s", [])]),
            [(ConflictLocation::Topics(0), None)]
        );
    }

    #[test]
    fn names_are_checked_wherever_they_stand() {
        let mut stream = Stream::new("a/b", ["t t"]);
        stream.aliases = vec!["".into()];
        stream.former_topics = vec!["..".into()];
        let parts: Vec<_> = kinds(&[stream]).into_iter().map(|(at, _)| at).collect();
        let wanted = [
            ConflictLocation::Name(0),
            ConflictLocation::Alias(0, 0),
            ConflictLocation::Topic(0, 0),
            ConflictLocation::FormerTopic(0, 0),
        ];
        assert_eq!(parts, wanted);
    }
}
