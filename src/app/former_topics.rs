//! The topics that streams have had, over reloads and restarts: an id that names one of them is never refused.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    catalog::{Catalog, Stream},
    storage::StateFile,
};

/// The topics of all streams so far, with the file that keeps them. Without a directory they are kept as long as the process runs.
#[derive(Debug)]
pub(super) struct FormerTopics {
    file: StateFile<KnownTopics>,
    known: KnownTopics,
}

/// The topics of the streams of a catalog, and of those that were there before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct KnownTopics {
    /// Those that are gone last, of these the newest first.
    streams: Vec<StreamTopics>,
}

/// The topics of one stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct StreamTopics {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    topics: Vec<String>,
    /// The newest last.
    former: Vec<String>,
}

impl FormerTopics {
    /// Reads what is kept in this directory.
    pub(super) fn open(directory: Option<&Path>) -> Self {
        let file = StateFile::new(directory, "stream-topics.json").up_to(MAX_BYTES);
        let known = file
            .read()
            .inspect_err(|why| tracing::warn!(file = %file.display(), "the state file is ignored: {why}"));
        Self {
            known: known.ok().flatten().unwrap_or_default(),
            file,
        }
    }

    /// Returns the catalog in which each stream has the topics among its former ones that there were under its name, or under one of its
    /// aliases. Also returns what is known then.
    pub(super) fn add_to(&self, catalog: &Catalog) -> (Catalog, KnownTopics) {
        let mut before: HashMap<&str, &StreamTopics> = HashMap::new();
        for stream in &self.known.streams {
            for name in stream.names() {
                before.entry(name).or_insert(stream);
            }
        }
        let mut streams: Vec<Stream> = catalog.streams().cloned().collect();
        let mut known = Vec::new();
        for stream in &mut streams {
            let names = std::iter::once(&stream.name).chain(&stream.aliases);
            let own: Vec<_> = names.filter_map(|name| before.get(&**name).copied()).collect();
            let former = former(stream, &own);
            stream.former_topics.extend(former);
            known.push(StreamTopics::of(stream));
        }
        let present: HashSet<&str> = known.iter().flat_map(StreamTopics::names).collect();
        let present = &present;
        let gone = self.known.streams.iter().flat_map(|stream| {
            let names = stream.names().filter(move |name| !present.contains(name));
            names.map(|name| stream.under(name))
        });
        let gone: Vec<_> = gone.take(MAX_GONE).collect();
        known.extend(gone);
        // No contradiction: a former topic is none of the stream's own.
        let catalog = Catalog::new(streams).unwrap_or_else(|_| catalog.clone());
        (catalog, KnownTopics { streams: known })
    }

    /// Keeps what is known now.
    pub(super) fn keep(&mut self, known: KnownTopics) {
        self.known = known;
        if let Err(error) = self.file.write(&self.known) {
            tracing::warn!(
                file = %self.file.display(),
                "cannot write the state file; after a restart, ids with topics that a stream has lost may be refused: {error}"
            );
        }
    }
}

impl StreamTopics {
    fn of(stream: &Stream) -> Self {
        let texts = |names: &[Arc<str>]| names.iter().map(ToString::to_string).collect();
        Self {
            name: stream.name.to_string(),
            aliases: texts(&stream.aliases),
            topics: texts(&stream.topics),
            former: newest(&stream.former_topics),
        }
    }

    /// Returns what there was under one of its names, which no stream has any more.
    fn under(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            aliases: Vec::new(),
            ..self.clone()
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name)
            .chain(&self.aliases)
            .map(String::as_str)
    }
}

/// Returns the last of these, which are the newest.
fn newest(topics: &[Arc<str>]) -> Vec<String> {
    let first = topics.len().saturating_sub(MAX_FORMER);
    topics[first..].iter().map(ToString::to_string).collect()
}

/// Returns the topics that a stream had and has no longer, the newest last, apart from those that it names itself.
fn former(stream: &Stream, before: &[&StreamTopics]) -> Vec<Arc<str>> {
    let own: HashSet<&str> = stream
        .topics
        .iter()
        .chain(&stream.former_topics)
        .map(|it| &**it)
        .collect();
    let mut seen = HashSet::new();
    let all = before
        .iter()
        .flat_map(|known| known.former.iter().chain(&known.topics));
    let mut former: Vec<Arc<str>> = all
        .filter(|topic| !own.contains(&***topic) && seen.insert(topic.as_str()))
        .map(|topic| topic.as_str().into())
        .collect();
    former.drain(..former.len().saturating_sub(MAX_FORMER));
    former
}

/// How many former topics of a stream are kept. Ids are a few kilobytes long, and are not older than the retention of their topics.
const MAX_FORMER: usize = 256;

/// The longest file, in bytes: as many streams with as many topics as there may be, with names of some 50 bytes.
const MAX_BYTES: u64 = 32 << 20;

/// How many streams are kept that are gone. One that was left out by mistake comes back soon.
const MAX_GONE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(streams: &[(&str, &[&str])]) -> Catalog {
        let streams = streams
            .iter()
            .map(|(name, topics)| Stream::new(name, topics.iter().copied()));
        Catalog::new(streams.collect()).unwrap()
    }

    fn former_of(catalog: &Catalog, name: &str) -> Vec<String> {
        let stream = catalog.streams().find(|stream| *stream.name == *name).unwrap();
        stream.former_topics.iter().map(ToString::to_string).collect()
    }

    fn apply(topics: &mut FormerTopics, catalog: &Catalog) -> Catalog {
        let (catalog, known) = topics.add_to(catalog);
        topics.keep(known);
        catalog
    }

    #[test]
    fn a_topic_that_leaves_a_stream_is_a_former_one_also_after_a_restart_and_until_it_is_back() {
        let state = tempfile::tempdir().unwrap();
        let open = || FormerTopics::open(Some(state.path()));
        let mut topics = open();
        let first = apply(
            &mut topics,
            &catalog(&[("edits", &["a", "b"]), ("other", &["x"])]),
        );
        assert_eq!(former_of(&first, "edits"), [""; 0]);
        let second = apply(
            &mut topics,
            &catalog(&[("edits", &["a"]), ("other", &["x", "b"])]),
        );
        assert_eq!(former_of(&second, "edits"), ["b"]);
        assert_eq!(former_of(&second, "other"), [""; 0]);
        // A restart with another configuration.
        let third = apply(&mut open(), &catalog(&[("edits", &["c"]), ("other", &["b"])]));
        assert_eq!(former_of(&third, "edits"), ["b", "a"]);
        assert_eq!(former_of(&third, "other"), ["x"]);
        let fourth = apply(&mut open(), &catalog(&[("edits", &["b"])]));
        assert_eq!(former_of(&fourth, "edits"), ["a", "c"]);
    }

    #[test]
    fn a_stream_with_another_name_and_one_that_was_away_keep_what_they_had() {
        let mut topics = FormerTopics::open(None);
        apply(&mut topics, &catalog(&[("edits", &["a"]), ("pages", &["p"])]));
        let mut renamed = Stream::new("changes", ["b"]);
        renamed.aliases = vec!["edits".into()];
        let renamed = apply(&mut topics, &Catalog::new(vec![renamed]).unwrap());
        assert_eq!(former_of(&renamed, "changes"), ["a"]);
        apply(&mut topics, &catalog(&[("none", &["n"])]));
        let back = apply(&mut topics, &catalog(&[("changes", &["c"]), ("pages", &["q"])]));
        assert_eq!(former_of(&back, "changes"), ["a", "b"]);
        assert_eq!(former_of(&back, "pages"), ["p"]);
    }

    #[test]
    fn a_former_topic_of_the_configuration_stays_one_when_its_line_is_tidied_away() {
        let mut topics = FormerTopics::open(None);
        apply(&mut topics, &catalog(&[("edits", &["a"])]));
        let mut listed = Stream::new("edits", ["b"]);
        listed.former_topics = vec!["a".into(), "z".into()];
        let listed = apply(&mut topics, &Catalog::new(vec![listed]).unwrap());
        assert_eq!(former_of(&listed, "edits"), ["a", "z"]);
        let tidy = apply(&mut topics, &catalog(&[("edits", &["b"])]));
        assert_eq!(former_of(&tidy, "edits"), ["a", "z"]);
    }

    #[test]
    fn who_asks_by_an_alias_finds_its_topics_wherever_the_alias_goes() {
        let mut topics = FormerTopics::open(None);
        let mut changes = Stream::new("changes", ["a"]);
        changes.aliases = vec!["edits".into()];
        apply(&mut topics, &Catalog::new(vec![changes]).unwrap());
        let split = apply(&mut topics, &catalog(&[("changes", &["b"]), ("edits", &["c"])]));
        assert_eq!(former_of(&split, "changes"), ["a"]);
        assert_eq!(former_of(&split, "edits"), ["a"]);
        let again = apply(&mut topics, &catalog(&[("changes", &["e"]), ("edits", &["c"])]));
        assert_eq!(former_of(&again, "changes"), ["a", "b"]);
        assert_eq!(
            former_of(&again, "edits"),
            ["a"],
            "what `changes` had later is not its own"
        );
        // The alias may come back long after it was gone.
        apply(&mut topics, &catalog(&[("changes", &["b"])]));
        let mut other = Stream::new("other", ["d"]);
        other.aliases = vec!["edits".into()];
        let moved = apply(
            &mut topics,
            &Catalog::new(vec![Stream::new("changes", ["b"]), other]).unwrap(),
        );
        assert_eq!(former_of(&moved, "other"), ["a", "c"]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut topics = FormerTopics::open(None);
        for number in 0..1_000 {
            let (topic, stream) = (format!("t{number}"), format!("s{number}"));
            apply(&mut topics, &catalog(&[("edits", &[&topic]), (&stream, &["x"])]));
        }
        assert_eq!(topics.known.streams.len(), 2 + MAX_GONE);
        assert_eq!(topics.known.streams[0].former.len(), MAX_FORMER);
        let last = &topics.known.streams[0];
        assert_eq!(last.former.last().map(String::as_str), Some("t998"), "the newest");
        assert_eq!(topics.known.streams[2].name, "s998", "the newest");
    }
}
