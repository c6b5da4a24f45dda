//! The form of MediaWiki's `recentchange` events, schema 1.0.0
//! (<https://schema.wikimedia.org/repositories/primary/jsonschema/mediawiki/recentchange/1.0.0.yaml>).
//!
//! Not here: what the events say (`changes`).

use fastrand::Rng;
use jiff::Timestamp;
use serde::Serialize;

/// Value of `$schema`.
pub(super) const SCHEMA: &str = "/mediawiki/recentchange/1.0.0";

/// An event. Its fields are in the order in which MediaWiki writes them.
#[derive(Serialize)]
pub(super) struct RecentChange {
    #[serde(rename = "$schema")]
    pub(super) schema: &'static str,
    pub(super) meta: Meta,
    pub(super) id: u64,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) namespace: i32,
    pub(super) title: String,
    pub(super) title_url: String,
    pub(super) comment: String,
    pub(super) timestamp: i64,
    pub(super) user: String,
    pub(super) bot: bool,
    #[serde(flatten)]
    pub(super) edit: Option<Edit>,
    #[serde(flatten)]
    pub(super) log: Option<LogAction>,
    pub(super) server_url: String,
    pub(super) server_name: &'static str,
    pub(super) server_script_path: &'static str,
    pub(super) wiki: &'static str,
    pub(super) parsedcomment: String,
}

/// Fields of every Wikimedia event, whatever its schema.
#[derive(Serialize)]
pub(super) struct Meta {
    uri: String,
    request_id: String,
    id: String,
    dt: String,
    domain: &'static str,
    stream: &'static str,
}

/// Fields of edits and new pages.
#[derive(Serialize)]
pub(super) struct Edit {
    notify_url: String,
    minor: bool,
    patrolled: bool,
    length: OldNew,
    revision: OldNew,
}

/// Values before and after. A new page has none before.
#[derive(Clone, Copy, Serialize)]
pub(super) struct OldNew {
    pub(super) old: Option<u64>,
    pub(super) new: u64,
}

/// Fields of log entries.
#[derive(Serialize)]
pub(super) struct LogAction {
    log_id: u64,
    log_type: &'static str,
    log_action: &'static str,
    log_params: [&'static str; 0],
    log_action_comment: String,
}

impl Meta {
    /// Creates the fields of an event about `uri` at `now` (milliseconds since the Unix epoch).
    pub(super) fn new(rng: &mut Rng, domain: &'static str, uri: &str, now: i64) -> Self {
        Self {
            uri: uri.to_owned(),
            request_id: uuid(rng),
            id: uuid(rng),
            dt: Timestamp::from_millisecond(now).unwrap_or_default().to_string(),
            domain,
            stream: "mediawiki.recentchange",
        }
    }
}

impl Edit {
    /// Creates the fields of change number `change`, which made `revision`.
    pub(super) fn new(rng: &mut Rng, server_url: &str, change: u64, revision: OldNew) -> Self {
        let OldNew { old, new } = revision;
        let diff = old.map(|old| format!("diff={new}&oldid={old}"));
        let diff = diff.unwrap_or_else(|| format!("oldid={new}"));
        let before = rng.u64(2_000..90_000);
        Self {
            notify_url: format!("{server_url}/w/index.php?{diff}&rcid={change}"),
            minor: rng.u8(0..4) == 0,
            patrolled: rng.bool(),
            length: OldNew {
                old: old.map(|_| before),
                new: before + rng.u64(0..2_000) - 900,
            },
            revision,
        }
    }
}

impl LogAction {
    /// Creates the fields of log entry `log_id` about the page `title`.
    pub(super) fn new(log_id: u64, (log_type, action): (&'static str, &'static str), title: &str) -> Self {
        Self {
            log_id,
            log_type,
            log_action: action,
            log_params: [],
            log_action_comment: format!("{action} [[{title}]]"),
        }
    }
}

/// Returns a random UUID, version 4.
fn uuid(rng: &mut Rng) -> String {
    let (a, b) = (rng.u64(..), rng.u64(..));
    let version = 0x4000 | (a & 0xfff);
    let variant = 0x8000 | (b >> 48 & 0x3fff);
    format!(
        "{:08x}-{:04x}-{version:04x}-{variant:04x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        b & 0xffff_ffff_ffff
    )
}
