//! The history that led to a violation.

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

use super::{
    judge::Violation,
    note::{Observation, ObservationKind},
    stage::EventHistory,
    truth::Partition,
};

/// The recent observations of a reader, without events.
#[derive(Debug, Default)]
pub(super) struct RecentObservations(VecDeque<Observation>);

impl RecentObservations {
    /// Keeps the observations that are not events.
    pub(super) fn extend(&mut self, notes: Vec<Observation>) {
        let other = notes
            .into_iter()
            .filter(|note| !matches!(note.what, ObservationKind::Event { .. } | ObservationKind::Id));
        self.0.extend(other);
        self.0.drain(..self.0.len().saturating_sub(KEPT));
    }

    /// Returns the text of a violation, with the acts and the reader's observations since the partition was
    /// last correct, and a little before.
    pub(super) fn of(
        &self,
        reader: &str,
        fault: &Violation,
        topics: &[String],
        chronicle: &EventHistory,
    ) -> String {
        let place = fault.partition.map(|partition| name(partition, topics));
        let place = place.unwrap_or_else(|| "no partition".to_owned());
        let mut text = format!(
            "VIOLATION: reader {reader}; {place}: {} ({}; this partition was correct until {})",
            fault.what,
            seconds(fault.at),
            seconds(fault.well)
        );
        let acts = chronicle.acts.iter().map(|(at, act)| (*at, act.clone()));
        let noted = self.0.iter().map(|note| (note.at, format!("    {}", told(note))));
        let mut all: Vec<_> = acts.chain(noted).filter(|(at, _)| *at <= fault.at).collect();
        all.sort_by_key(|(at, _)| *at);
        let behind = all.partition_point(|(at, _)| *at < fault.well);
        let from = behind.saturating_sub(BEFORE).max(all.len().saturating_sub(LINES));
        for (at, line) in &all[from..] {
            // Writing to a string does not fail.
            _ = write!(text, "\n  {:>9}  {line}", seconds(*at));
        }
        text
    }
}

fn told(note: &Observation) -> String {
    match &note.what {
        ObservationKind::Began { resumes: true } => "it reconnected with its last id".to_owned(),
        ObservationKind::Began { resumes: false } => "it connected at the start of the logs".to_owned(),
        ObservationKind::Ended => "its stream ended".to_owned(),
        ObservationKind::Gap(told) => format!("it received a gap: {told:?}"),
        ObservationKind::Strange(text) => text.clone(),
        ObservationKind::Event { .. } | ObservationKind::Id => String::new(),
    }
}

fn name(Partition { topic, number }: Partition, topics: &[String]) -> String {
    let topic = topics.get(topic).map_or("?", |topic| topic);
    format!("{topic}-{number}")
}

fn seconds(at: Duration) -> String {
    format!("{:.2} s", at.as_secs_f64())
}

/// The number of observations that are kept of a reader.
const KEPT: usize = 200;

/// The number of lines before the moment at which the partition was last correct.
const BEFORE: usize = 4;

/// The most lines of a history.
const LINES: usize = 60;
