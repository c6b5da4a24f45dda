//! The configuration that is in force, and what the last reloads changed, for operators.
//!
//! Not here: the reloads (`reload`), and which settings may be shown (`config`).

use std::collections::VecDeque;

use serde::Serialize;

use crate::{
    config::{SettingChange, ShownSetting, ShownSettings},
    http::ConfigReport,
    position::Timestamp,
};

/// The settings in force and the last reloads. Every change of them is published in a [`ConfigReport`].
pub(super) struct ConfigHistory {
    running: ShownSettings,
    /// What the file and the environment said last.
    latest: ShownSettings,
    reloads: VecDeque<ReloadRecord>,
    report: ConfigReport,
}

/// One reload.
#[derive(Serialize)]
struct ReloadRecord {
    /// When it ended, in milliseconds since the Unix epoch.
    time: Timestamp,
    /// `applied`, or `refused` if nothing has changed.
    result: &'static str,
    /// Why it was refused, or what the configuration warns of. Secrets are left out.
    detail: String,
    changes: Vec<RecordedChange>,
    /// How many changes are not listed.
    changes_left_out: usize,
}

#[derive(Serialize)]
struct RecordedChange {
    #[serde(flatten)]
    change: SettingChange,
    /// `now`, or `restart` if it needs one.
    applies: &'static str,
}

#[derive(Serialize)]
struct ConfigDocument<'a> {
    settings: &'a [ShownSetting],
    settings_left_out: usize,
    /// What is set by now and needs a restart.
    waiting: &'a [SettingChange],
    waiting_left_out: usize,
    /// The newest first.
    reloads: &'a VecDeque<ReloadRecord>,
}

impl ConfigHistory {
    /// Creates the history of a process that was started with these settings, and publishes it.
    pub(super) fn new(started: &ShownSettings, report: ConfigReport) -> Self {
        let history = Self {
            running: started.clone(),
            latest: started.clone(),
            reloads: VecDeque::new(),
            report,
        };
        history.publish();
        history
    }

    /// Records that these settings were read, and that those apply for which `applies_now` holds.
    pub(super) fn applied(
        &mut self,
        fresh: &ShownSettings,
        applies_now: impl Fn(&str) -> bool,
        warnings: &str,
    ) {
        let changes = self.latest.changes_to(fresh);
        let left_out = changes.len().saturating_sub(MAX_CHANGES);
        let changes = changes.into_iter().take(MAX_CHANGES).map(|change| {
            let applies = if applies_now(&change.key) {
                "now"
            } else {
                "restart"
            };
            RecordedChange { change, applies }
        });
        let record = ReloadRecord {
            changes: changes.collect(),
            changes_left_out: left_out,
            ..ReloadRecord::new("applied", warnings)
        };
        self.running = self.running.replaced(fresh, &applies_now);
        self.latest = fresh.clone();
        self.add(record);
    }

    /// Records a reload that has changed nothing.
    pub(super) fn refused(&mut self, why: &str) {
        self.add(ReloadRecord::new("refused", why));
    }

    fn add(&mut self, record: ReloadRecord) {
        self.reloads.push_front(record);
        self.reloads.truncate(MAX_RELOADS);
        self.publish();
    }

    fn publish(&self) {
        let running = self.running.with_defaults();
        let settings = running.settings();
        let waiting = self.running.changes_to(&self.latest);
        let document = ConfigDocument {
            settings: &settings[..settings.len().min(MAX_SETTINGS)],
            settings_left_out: settings.len().saturating_sub(MAX_SETTINGS),
            waiting: &waiting[..waiting.len().min(MAX_CHANGES)],
            waiting_left_out: waiting.len().saturating_sub(MAX_CHANGES),
            reloads: &self.reloads,
        };
        match serde_json::to_vec(&document) {
            Ok(document) => self.report.set(document),
            // All keys of the document are strings, so this does not happen.
            Err(error) => tracing::error!(%error, "the report on the configuration cannot be written"),
        }
    }
}

impl ReloadRecord {
    fn new(result: &'static str, detail: &str) -> Self {
        Self {
            time: jiff::Timestamp::now().as_millisecond(),
            result,
            detail: detail.chars().take(MAX_DETAIL_CHARS).collect(),
            changes: Vec::new(),
            changes_left_out: 0,
        }
    }
}

/// How many reloads are kept: those of one incident.
const MAX_RELOADS: usize = 10;

/// How many changes are listed of one reload. More are another configuration, which nobody compares line by line.
const MAX_CHANGES: usize = 100;

/// How many settings are listed: those of two hundred streams.
const MAX_SETTINGS: usize = 2_000;

/// How much is kept of the report on a bad configuration.
const MAX_DETAIL_CHARS: usize = 4_000;
