//! What is told of the streams of `[stream_config]`: in the log once, in health and in metrics for as long as it holds.

use std::collections::BTreeSet;

use crate::{
    config::{LeftOut, StreamFault},
    health::{Health, StreamConfigHealth},
    metrics::{Registry, StreamConfigMetrics},
};

/// What was told.
#[derive(Default)]
pub(super) struct Told {
    health: Health,
    metrics: StreamConfigMetrics,
    state: StreamConfigHealth,
    left_out: LeftOut,
    faults: BTreeSet<String>,
}

impl Told {
    /// Tells health and metrics what there is, from now on.
    pub(super) fn report_to(&mut self, health: &Health, registry: &mut Registry) {
        self.metrics.add_to(registry);
        self.health = health.clone();
        if !self.state.source.is_empty() {
            self.health.set_stream_config(Some(self.state.clone()));
        }
    }

    /// Forgets everything: there is no document any more.
    pub(super) fn forget(&mut self) {
        self.metrics.set_streams(0, 0);
        self.metrics.recovered();
        self.health.set_stream_config(None);
        *self = Self {
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            ..Self::default()
        };
    }

    /// Tells where the document is.
    pub(super) fn set_source(&mut self, source: String) {
        self.state.source = source;
    }

    /// Tells how many streams are served, and which cannot be.
    pub(super) fn set_streams(&mut self, served: usize, faults: &[StreamFault]) {
        self.metrics.set_streams(served, faults.len());
        self.state.streams = served;
        self.state.faults = faults.iter().map(ToString::to_string).collect();
        let new = self
            .state
            .faults
            .iter()
            .filter(|fault| !self.faults.contains(*fault));
        let new: Vec<_> = new.collect();
        for fault in new.iter().take(MAX_LINES) {
            tracing::warn!(source = self.state.source, "[stream_config]: {fault}");
        }
        if new.len() > MAX_LINES {
            let more = new.len() - MAX_LINES;
            tracing::warn!(
                source = self.state.source,
                "[stream_config]: {more} more streams cannot be served"
            );
        }
        self.faults = self.state.faults.iter().cloned().collect();
        self.health.set_stream_config(Some(self.state.clone()));
    }

    /// Tells that the document was read, and which streams of it are not meant to be served.
    pub(super) fn read(&mut self, left_out: LeftOut) {
        let source = &self.state.source;
        if self.state.problem.take().is_some() {
            tracing::info!(source, "[stream_config] can be read again");
        }
        self.metrics.recovered();
        let before = self.left_out.by_reason();
        for ((why, names), (_, before)) in left_out.by_reason().into_iter().zip(before) {
            let new: Vec<_> = names.iter().filter(|name| !before.contains(name)).collect();
            if !new.is_empty() {
                let (count, names) = (new.len(), listed(&new));
                tracing::warn!(
                    source,
                    count,
                    names,
                    "streams of [stream_config] are left out: {why}"
                );
            }
        }
        self.left_out = left_out;
        self.state.read_at = Some(std::time::Instant::now());
        self.health.set_stream_config(Some(self.state.clone()));
    }

    /// Tells that the document could not be read.
    pub(super) fn failed(&mut self, problem: &str) {
        self.metrics.read_failed();
        if self.state.problem.is_none() {
            let (source, streams) = (&self.state.source, self.state.streams);
            tracing::warn!(
                source,
                streams,
                problem,
                "[stream_config] cannot be read; the streams that were read last are served, and it is read again"
            );
        }
        self.state.problem = Some(problem.to_owned());
        self.health.set_stream_config(Some(self.state.clone()));
    }
}

/// Returns the first names of a list, for the log.
fn listed(names: &[&String]) -> String {
    let first = names
        .iter()
        .take(MAX_LISTED)
        .map(|name| name.escape_debug().to_string());
    let first: Vec<_> = first.collect();
    let more = if names.len() > MAX_LISTED { ", ..." } else { "" };
    first.join(", ") + more
}

/// How many streams have a line of their own. More have one cause, which these show.
const MAX_LINES: usize = 20;

/// How many names a line has.
const MAX_LISTED: usize = 20;
