//! The section `stream_config`: where a document with more streams is, and which of its streams are served.
//!
//! Not here: reading the document (`app`), what is in it (`document`), and how its streams become streams of a configuration
//! (`merge`).

mod document;
mod entry;
mod merge;
mod name_pattern;
mod strict_value;

use std::{
    fmt,
    path::{Path, PathBuf},
    slice,
    time::Duration,
};

use ::http::Uri;

pub use document::{LeftOut, MAX_DOCUMENT_BYTES, StreamDocument, StreamEntries};
pub use merge::{MergedStreams, StreamFault};

use super::{
    diagnostic::{Diagnostic, Location, ParseResult, fail_if_any},
    node::{Node, NodeKind, TableEntry, below},
    section_names::STREAM_CONFIG_NAME,
    stream_catalog::unknown_clusters,
    streams::StreamDraft,
    table::{KeySpec, fill, key},
};
use crate::fetch::https_url;
use name_pattern::NamePattern;

/// Where more streams come from, and which of them are served.
#[derive(Clone, Debug)]
pub struct StreamConfigSettings {
    /// Where the document is.
    pub source: StreamConfigSource,
    /// How often it is read.
    pub refresh: Duration,
    /// The keys that lead to the object with the streams.
    object_path: Vec<String>,
    /// The streams that are served of it.
    allowed: Vec<NamePattern>,
    /// What the streams have that do not say otherwise: a table of keys of a stream.
    defaults: Node,
}

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamConfigSource {
    /// In a file.
    File(PathBuf),
    /// At an address with the scheme https.
    Url(Uri),
}

impl StreamConfigSettings {
    /// Returns a text by which documents from elsewhere are told from those of this place. It may hold a secret.
    pub fn origin(&self) -> String {
        let place = match &self.source {
            StreamConfigSource::File(path) => path.display().to_string(),
            StreamConfigSource::Url(url) => url.to_string(),
        };
        format!("{place} {}", self.object_path.join("."))
    }

    /// Makes a relative path begin at `directory`.
    pub(super) fn resolve(&mut self, directory: &Path) {
        if let StreamConfigSource::File(path) = &mut self.source {
            *path = directory.join(&*path);
        }
    }

    /// Whether the stream with this name is to be served.
    fn allows(&self, name: &str) -> bool {
        self.allowed.iter().any(|pattern| pattern.matches(name))
    }
}

/// Leaves out the query of a URL, which may hold a secret.
impl fmt::Display for StreamConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => {
                let host = url.authority().map_or("", |authority| authority.as_str());
                write!(f, "https://{host}{}", url.path())
            }
        }
    }
}

/// The section while it is read.
pub(super) struct StreamConfigDraft {
    url: Option<Uri>,
    file: Option<PathBuf>,
    object_path: Vec<String>,
    refresh: Duration,
    allowed: Vec<NamePattern>,
    defaults: Node,
}

impl Default for StreamConfigDraft {
    fn default() -> Self {
        Self {
            url: None,
            file: None,
            // The answer of MediaWiki's extension EventStreamConfig, which the streams of EventStreams come from.
            object_path: vec!["streams".to_owned()],
            // Streams change by a deployment, for which a minute is soon, and a minute of requests is nothing to the service.
            refresh: Duration::from_secs(60),
            allowed: vec![NamePattern::all()],
            defaults: Node::empty_table(&below(STREAM_CONFIG_NAME, "defaults"), Location::Document),
        }
    }
}

/// The keys of the section.
pub(super) const KEYS: &[KeySpec<StreamConfigDraft>] = &[
    key!(url: |node: &Node| node.unless_empty(url)),
    key!(file: |node: &Node| node.unless_empty(|node| node.string().map(PathBuf::from))),
    key!(object_path: object_path),
    key!(refresh: refresh),
    key!(allowed: allowed),
    key!(defaults: defaults),
];

/// Reads the section.
pub(super) fn read(node: &Node) -> ParseResult<StreamConfigSettings> {
    let mut draft = StreamConfigDraft::default();
    fill(KEYS, node, &mut draft)?;
    let source = match (draft.url, draft.file) {
        (Some(url), None) => StreamConfigSource::Url(url),
        (None, Some(path)) => StreamConfigSource::File(path),
        (Some(_), Some(_)) => {
            let title = "`stream_config.url` and `stream_config.file` are both set";
            let fault = Diagnostic::new(node.location_of("file"), title);
            return Err(vec![
                fault.related(node.location_of("url"), "conflicts with this"),
            ]);
        }
        (None, None) => {
            let title = "`stream_config` has neither `url` nor `file`";
            let fault = Diagnostic::new(node.location.clone(), title);
            return Err(vec![
                fault.help("set the one that has the streams").only_if_parsed(),
            ]);
        }
    };
    Ok(StreamConfigSettings {
        source,
        refresh: draft.refresh,
        object_path: draft.object_path,
        allowed: draft.allowed,
        defaults: draft.defaults,
    })
}

/// Returns what contradicts the rest of the configuration: the defaults must fit every stream.
pub(super) fn faults(settings: &StreamConfigSettings, clusters: &[&str], has_auth: bool) -> Vec<Diagnostic> {
    let defaults = &settings.defaults;
    let mut faults = unknown_clusters(slice::from_ref(defaults), clusters);
    let draft = draft_of_defaults(defaults).ok();
    if draft.is_some_and(|draft| draft.is_closed()) && !has_auth {
        let title = "`stream_config.defaults` ask for a credential, but there is no [auth]: nobody could read the streams";
        let key = if defaults.get("only").is_some() {
            "only"
        } else {
            "access"
        };
        faults.push(Diagnostic::new(defaults.location_of(key), title).only_if_parsed());
    }
    faults
}

fn url(node: &Node) -> ParseResult<Uri> {
    https_url(node.string()?).map_err(|why| node.refused("an https URL", why))
}

/// Parses keys with dots between them. An empty string is the document itself.
fn object_path(node: &Node) -> ParseResult<Vec<String>> {
    match node.string()? {
        "" => Ok(Vec::new()),
        text if text.split('.').any(str::is_empty) => {
            Err(node.refused("keys with dots between them", "found an empty key"))
        }
        text => Ok(text.split('.').map(str::to_owned).collect()),
    }
}

fn refresh(node: &Node) -> ParseResult<Duration> {
    let refresh = node.duration()?;
    match refresh >= MIN_REFRESH {
        true => Ok(refresh),
        false => Err(node.refused("at least 1s", "found less")),
    }
}

fn allowed(node: &Node) -> ParseResult<Vec<NamePattern>> {
    let wanted = "an array of names, in which `*` stands for any characters";
    let patterns = node.list(wanted, |item| {
        let pattern = NamePattern::parse(item.string()?);
        pattern.map_err(|why| item.refused("a name such as \"mediawiki.*\"", why.to_string()))
    })?;
    match patterns.is_empty() {
        true => Err(node.refused(
            "at least one name",
            "found none; leave the key out to serve all streams",
        )),
        false => Ok(patterns),
    }
}

fn defaults(node: &Node) -> ParseResult<Node> {
    draft_of_defaults(node).map(|_| node.clone())
}

/// Reads what streams have that do not say otherwise, as if it was a stream.
fn draft_of_defaults(node: &Node) -> ParseResult<StreamDraft> {
    let own = node.entries()?.iter();
    let own = own.filter(|entry| OF_ONE_STREAM.contains(&&*entry.name));
    let faults = own.map(|entry| {
        let title = format!("`{}`: each stream has its own", entry.node.path);
        Diagnostic::new(entry.location.clone(), title)
    });
    fail_if_any(faults.collect())?;
    let mut whole = node.clone();
    if let NodeKind::Table(entries) = &mut whole.kind {
        let named = ["name", "topics"].map(|key| {
            let kind = match key {
                "name" => NodeKind::Text(String::new()),
                _ => NodeKind::List(Vec::new()),
            };
            TableEntry {
                name: key.to_owned(),
                location: node.location.clone(),
                node: Node { kind, ..node.clone() },
            }
        });
        entries.extend(named);
    }
    StreamDraft::read(&whole)
}

/// The keys of a stream that cannot be those of another.
const OF_ONE_STREAM: [&str; 4] = ["name", "aliases", "topics", "former_topics"];

/// Shorter intervals would be a load on the service, and change nothing sooner than people notice.
const MIN_REFRESH: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
