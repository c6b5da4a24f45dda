//! Invented changes on wikis that exist.
//!
//! Every byte is determined by the seed and the times passed in.
//!
//! Not here: the form of the events (`recentchange`), and writing them (`generator`).

use fastrand::Rng;

use super::{
    recentchange::{Edit, LogAction, Meta, OldNew, RecentChange, SCHEMA},
    text::{Comment, path},
    wikis::{WIKIS, Wiki},
};

/// An endless sequence of changes.
pub(super) struct Changes {
    rng: Rng,
    /// The last numbers of each wiki, in the order of [`WIKIS`].
    counters: Vec<WikiCounters>,
}

/// A change, and where it is written to.
pub(super) struct Change {
    /// The data centre that accepted it.
    pub(super) site: Site,
    /// Record key: the wiki and the page (`enwiki:Apache Kafka`), so that the changes of one page stay in order.
    pub(super) key: String,
    /// The record's value.
    pub(super) event: RecentChange,
}

/// A data centre. Each writes to its own topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    Eqiad,
    Codfw,
}

/// Kind of a change, which determines its other fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ChangeKind {
    Edit,
    New,
    Log,
    Categorize,
}

/// The last numbers that a wiki has assigned.
struct WikiCounters {
    change: u64,
    revision: u64,
    log: u64,
}

impl Changes {
    /// Creates the sequence that belongs to `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let counters = WIKIS.iter().map(|_| WikiCounters::start(&mut rng)).collect();
        Self { rng, counters }
    }

    /// Returns the next change, made at `now` (milliseconds since the Unix epoch).
    pub(super) fn next(&mut self, now: i64) -> Change {
        let index = Wiki::pick(&mut self.rng);
        let wiki = &WIKIS[index];
        let kind = ChangeKind::pick(&mut self.rng);
        let (namespace, title) = self.page(wiki, kind);
        Change {
            site: Site::pick(&mut self.rng),
            key: format!("{}:{title}", wiki.name),
            event: self.event(index, kind, namespace, title, now),
        }
    }

    /// Returns the namespace and title of a page.
    fn page(&mut self, wiki: &Wiki, kind: ChangeKind) -> (i32, String) {
        let title = one_of(&mut self.rng, wiki.titles);
        match kind {
            ChangeKind::Categorize => (
                14,
                format!("{}:{}", wiki.category, one_of(&mut self.rng, wiki.sections)),
            ),
            _ if title.starts_with("File:") => (6, title.to_owned()),
            ChangeKind::Edit if self.rng.u8(0..10) == 0 => (1, format!("{}:{title}", wiki.talk)),
            _ => (0, title.to_owned()),
        }
    }

    fn event(
        &mut self,
        index: usize,
        kind: ChangeKind,
        namespace: i32,
        title: String,
        now: i64,
    ) -> RecentChange {
        let wiki = &WIKIS[index];
        let counters = &mut self.counters[index];
        let id = counters.next_change(&mut self.rng);
        let section = one_of(&mut self.rng, wiki.sections);
        let remark = one_of(&mut self.rng, wiki.remarks);
        let comment = Comment::new(&title, section, remark);
        let server_url = format!("https://{}", wiki.domain);
        let title_url = format!("{server_url}/wiki/{}", path(&title));
        RecentChange {
            schema: SCHEMA,
            meta: Meta::new(&mut self.rng, wiki.domain, &title_url, now),
            id,
            kind: kind.name(),
            namespace,
            comment: comment.wikitext,
            timestamp: now.div_euclid(1_000),
            user: one_of(&mut self.rng, wiki.users).to_owned(),
            bot: self.rng.u8(0..100) < wiki.bots,
            edit: counters
                .revision_of(&mut self.rng, kind)
                .map(|revision| Edit::new(&mut self.rng, &server_url, id, revision)),
            log: (kind == ChangeKind::Log).then(|| {
                LogAction::new(
                    counters.next_log(&mut self.rng),
                    one_of(&mut self.rng, LOGS),
                    &title,
                )
            }),
            server_url,
            server_name: wiki.domain,
            server_script_path: "/w",
            wiki: wiki.name,
            parsedcomment: comment.html,
            title,
            title_url,
        }
    }
}

impl Site {
    /// Picks a data centre. One of them gets most changes, as does the one with the primary databases.
    fn pick(rng: &mut Rng) -> Self {
        if rng.u8(0..4) == 0 {
            Self::Codfw
        } else {
            Self::Eqiad
        }
    }
}

impl ChangeKind {
    fn pick(rng: &mut Rng) -> Self {
        match rng.u8(0..100) {
            0..64 => Self::Edit,
            64..70 => Self::New,
            70..78 => Self::Log,
            _ => Self::Categorize,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::New => "new",
            Self::Log => "log",
            Self::Categorize => "categorize",
        }
    }
}

impl WikiCounters {
    fn start(rng: &mut Rng) -> Self {
        Self {
            change: rng.u64(50_000_000..3_000_000_000),
            revision: rng.u64(100_000_000..2_000_000_000),
            log: rng.u64(1_000_000..200_000_000),
        }
    }

    /// Returns the next change number. Numbers rise by more than one, as if others edited too.
    fn next_change(&mut self, rng: &mut Rng) -> u64 {
        self.change += 1 + rng.u64(0..5);
        self.change
    }

    /// Returns the revisions before and after a change, if this kind makes one. A new page has none before.
    fn revision_of(&mut self, rng: &mut Rng, kind: ChangeKind) -> Option<OldNew> {
        if !matches!(kind, ChangeKind::Edit | ChangeKind::New) {
            return None;
        }
        self.revision += 1 + rng.u64(0..4);
        let new = self.revision;
        let old = (kind == ChangeKind::Edit).then(|| new - rng.u64(1..40_000_000));
        Some(OldNew { old, new })
    }

    fn next_log(&mut self, rng: &mut Rng) -> u64 {
        self.log += 1 + rng.u64(0..3);
        self.log
    }
}

fn one_of<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(0..all.len())]
}

/// Log types and their actions.
const LOGS: &[(&str, &str)] = &[
    ("patrol", "patrol"),
    ("delete", "delete"),
    ("block", "block"),
    ("upload", "upload"),
    ("move", "move"),
    ("newusers", "create"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use serde_json::Value;

    use super::*;

    const NOW: i64 = 1_790_487_705_415;

    fn texts(seed: u64, count: usize) -> Vec<String> {
        let mut changes = Changes::new(seed);
        (0..count)
            .map(|_| serde_json::to_string(&changes.next(NOW).event).unwrap())
            .collect()
    }

    fn values(count: usize) -> Vec<Value> {
        texts(7, count)
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    /// Returns whether `field` of `event` has the schema's type, or is absent and may be.
    fn conforms(event: &Value, field: &str, required: bool, is: fn(&Value) -> bool) -> bool {
        event.pointer(field).map_or(!required, is)
    }

    #[test]
    fn every_event_conforms_to_schema_1_0_0() {
        for event in values(2_000) {
            for field in [
                "/$schema",
                "/meta/dt",
                "/meta/stream",
                "/meta/id",
                "/meta/uri",
                "/meta/domain",
            ] {
                assert!(
                    conforms(&event, field, true, Value::is_string),
                    "{field}: {event}"
                );
            }
            for field in [
                "/type",
                "/title",
                "/comment",
                "/user",
                "/server_name",
                "/wiki",
                "/parsedcomment",
            ] {
                assert!(
                    conforms(&event, field, true, Value::is_string),
                    "{field}: {event}"
                );
            }
            for field in ["/id", "/timestamp", "/namespace"] {
                assert!(conforms(&event, field, true, Value::is_i64), "{field}: {event}");
            }
            let edited = event["type"] == "edit" || event["type"] == "new";
            for field in ["/length/new", "/revision/new"] {
                assert!(conforms(&event, field, edited, Value::is_u64), "{field}: {event}");
            }
            assert!(conforms(&event, "/minor", edited, Value::is_boolean), "{event}");
            assert!(
                conforms(&event, "/log_id", event["type"] == "log", Value::is_u64),
                "{event}"
            );
            assert!(conforms(&event, "/bot", true, Value::is_boolean), "{event}");
        }
    }

    #[test]
    fn the_times_of_an_event_are_the_time_asked_for() {
        let event = &values(1)[0];
        assert_eq!(event["timestamp"], NOW / 1_000);
        assert_eq!(
            event["meta"]["dt"]
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .unwrap()
                .as_millisecond(),
            NOW
        );
    }

    #[test]
    fn all_types_occur_and_new_pages_have_no_before() {
        let events = values(500);
        let kinds: BTreeSet<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        assert_eq!(kinds, BTreeSet::from(["categorize", "edit", "log", "new"]));
        for event in events.iter().filter(|event| event["type"] == "new") {
            assert!(
                event["revision"]["old"].is_null() && event["length"]["old"].is_null(),
                "{event}"
            );
        }
    }

    #[test]
    fn events_are_as_large_as_real_ones() {
        let sizes: Vec<_> = texts(3, 2_000).iter().map(String::len).collect();
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((700..=1_500).contains(&mean), "{mean}");
        assert!(
            sizes.iter().all(|size| (600..=2_000).contains(size)),
            "{:?}",
            (sizes.iter().min(), sizes.iter().max())
        );
    }

    #[test]
    fn titles_and_comments_leave_ascii_and_need_escapes() {
        let all = texts(5, 500).concat();
        for text in [
            "Björk",
            "源氏物語",
            "𠮷野家",
            "نهر النيل",
            "\\\"first in Europe\\\"",
            "🙂",
            "%C3%B6",
        ] {
            assert!(all.contains(text), "{text}");
        }
    }

    #[test]
    fn one_seed_gives_one_sequence_and_another_gives_another() {
        assert_eq!(texts(11, 200), texts(11, 200));
        assert_ne!(texts(11, 200), texts(12, 200));
    }

    #[test]
    fn ids_of_events_are_distinct_uuids() {
        let events = values(2_000);
        let ids: BTreeSet<_> = events
            .iter()
            .filter_map(|event| event["meta"]["id"].as_str())
            .collect();
        assert_eq!(ids.len(), events.len());
        for id in ids {
            let lengths: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
        }
    }

    #[test]
    fn both_sites_take_changes_one_of_them_most() {
        let mut changes = Changes::new(2);
        let eqiad = (0..1_000)
            .filter(|_| changes.next(NOW).site == Site::Eqiad)
            .count();
        assert!((650..850).contains(&eqiad), "{eqiad}");
    }
}
