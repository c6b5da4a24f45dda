//! The streams of a document beside those of a configuration.
//!
//! Those of the configuration come first and win. A stream that cannot be served stays as it was before, or is left out, and the others
//! are served.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use serde_json::Value;

use super::{
    super::{Config, streams::StreamDraft, streams::max_clients},
    StreamEntries,
    entry::Surroundings,
};
use crate::catalog::{Catalog, Conflict, Stream};

/// A configuration with the streams of a document.
#[derive(Clone, Debug)]
pub struct MergedStreams {
    /// The configuration with its own streams first.
    pub config: Config,
    /// The entries that are served, as they are.
    pub entries: StreamEntries,
    /// The streams that cannot be served as the document says.
    pub faults: Vec<StreamFault>,
}

/// A stream that cannot be served as the document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFault {
    /// The name of the stream.
    pub stream: String,
    /// What is wrong with it, for an operator.
    pub why: String,
    /// Whether it is served as a document before has it. Otherwise it is left out.
    pub is_as_before: bool,
}

impl fmt::Display for StreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, why) = (self.stream.escape_debug(), &self.why);
        match self.is_as_before {
            true => write!(f, "stream `{name}` is served as it was before: {why}"),
            false => write!(f, "stream `{name}` is left out: {why}"),
        }
    }
}

impl Config {
    /// Adds the streams of a document. Of an entry that cannot be used, the one of `before` is. Without a section `stream_config`, none
    /// are added.
    pub fn with_streams_of(mut self, entries: &StreamEntries, before: &StreamEntries) -> MergedStreams {
        let Some(settings) = self.stream_config.take() else {
            return MergedStreams {
                config: self,
                entries: StreamEntries::default(),
                faults: Vec::new(),
            };
        };
        let clusters = self.clusters.clone();
        let clusters: Vec<_> = clusters.iter().map(|cluster| &*cluster.name).collect();
        let surroundings = Surroundings {
            settings: &settings,
            clusters: &clusters,
            has_auth: self.auth.is_some(),
        };
        let mut merge = Merge::new(&self.catalog, before, surroundings);
        merge.read(entries);
        self.catalog = merge.settle();
        let limits = max_clients(merge.added.iter().map(|added| &added.draft), &self.limits);
        self.limits.max_clients.extend(limits);
        let (added, faults) = (merge.added, merge.faults);
        self.stream_config = Some(settings);
        let entries = added.into_iter().map(|added| (added.name, added.entry));
        MergedStreams {
            config: self,
            entries: StreamEntries(entries.collect()),
            faults,
        }
    }
}

/// The streams of a configuration, and those that are added to them.
struct Merge<'a> {
    own: Vec<Stream>,
    before: &'a StreamEntries,
    surroundings: Surroundings<'a>,
    added: Vec<Added>,
    faults: Vec<StreamFault>,
}

/// A stream of a document.
struct Added {
    name: String,
    entry: Value,
    draft: StreamDraft,
    /// Whether its entry is another one than before.
    is_new: bool,
}

impl<'a> Merge<'a> {
    fn new(own: &Catalog, before: &'a StreamEntries, surroundings: Surroundings<'a>) -> Self {
        Self {
            own: own.streams().cloned().collect(),
            before,
            surroundings,
            added: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Returns the names and aliases of the configuration's own streams.
    fn own_names(&self) -> impl Iterator<Item = &Arc<str>> {
        let own = self.own.iter();
        own.flat_map(|stream| std::iter::once(&stream.name).chain(&stream.aliases))
    }

    /// Reads the streams whose names are not taken.
    fn read(&mut self, entries: &StreamEntries) {
        let own: HashSet<Arc<str>> = self.own_names().cloned().collect();
        for (name, entry) in entries.0.iter().filter(|(name, _)| !own.contains(&***name)) {
            match self.surroundings.stream_of(name, entry) {
                Ok(draft) => self.added.push(Added {
                    name: name.clone(),
                    entry: entry.clone(),
                    draft,
                    is_new: self.before.0.get(name) != Some(entry),
                }),
                Err(why) => self.put_back(name.clone(), why),
            }
        }
    }

    /// Adds a stream as it was before, if it was there, because it cannot be served in another way.
    fn put_back(&mut self, name: String, why: String) {
        let before = self.before.0.get(&name);
        let draft = before.and_then(|entry| Some((entry, self.surroundings.stream_of(&name, entry).ok()?)));
        self.faults.push(StreamFault {
            stream: name.clone(),
            why,
            is_as_before: draft.is_some(),
        });
        self.added.extend(draft.map(|(entry, draft)| Added {
            name,
            entry: entry.clone(),
            draft,
            is_new: false,
        }));
    }

    /// Returns the catalog of all streams, apart from those that contradict others.
    fn settle(&mut self) -> Catalog {
        // What is served already stays if something new contradicts it.
        while let Err(conflicts) = self.catalog(|added| (added.is_new, added.name.clone())) {
            self.resolve(&conflicts);
        }
        // A catalog of the same streams in another order.
        let catalog = self.catalog(|added| (false, added.name.clone()));
        catalog.unwrap_or_default()
    }

    /// Returns the catalog of all streams: the configuration's own, and behind them the others in this order.
    fn catalog<K: Ord>(&mut self, order: impl FnMut(&Added) -> K) -> Result<Catalog, Vec<Conflict>> {
        self.added.sort_by_cached_key(order);
        self.leave_taken_aliases();
        let clusters = self.surroundings.clusters;
        let added = self.added.iter().map(|added| added.draft.to_stream(clusters));
        Catalog::new(self.own.iter().cloned().chain(added).collect())
    }

    /// Leaves out the aliases that are names of other streams, or aliases of streams before.
    fn leave_taken_aliases(&mut self) {
        let added = self.added.iter().map(|added| &added.draft.stream.name);
        let mut taken: HashSet<Arc<str>> = self.own_names().chain(added).cloned().collect();
        for added in &mut self.added {
            let aliases = &mut added.draft.stream.aliases;
            aliases.retain(|alias| taken.insert(Arc::clone(alias)));
        }
    }

    /// Takes away the streams that contradict one that stays, or puts back what they were before.
    fn resolve(&mut self, conflicts: &[Conflict]) {
        let mut contradicting: BTreeMap<usize, String> = BTreeMap::new();
        for conflict in conflicts {
            let with = conflict.with.map(|with| with.stream());
            if with.is_none_or(|with| !contradicting.contains_key(&with)) {
                let at = conflict.at.stream();
                contradicting
                    .entry(at)
                    .or_insert_with(|| conflict.kind.to_string());
            }
        }
        for (at, why) in contradicting.into_iter().rev() {
            // Never one of the configuration: these come first, and fit each other.
            let Some(at) = at.checked_sub(self.own.len()) else {
                return self.added.clear();
            };
            let Added { name, is_new, .. } = self.added.remove(at);
            match is_new {
                true => self.put_back(name, why),
                false => self.faults.push(StreamFault {
                    stream: name,
                    why,
                    is_as_before: false,
                }),
            }
        }
    }
}
