//! One topic of a cluster: its partitions, and the error if the cluster does not describe it.

use std::{sync::Arc, time::Instant};

use super::{
    fault::{FaultEvent, FaultSource, FaultTracker},
    partition::PartitionHealth,
    report::TopicReport,
    state::{HealthState, Verdict},
};

named! {
    /// The reason why the cluster does not describe a topic.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum TopicFault {
        /// The cluster has no topic of this name.
        Missing = "the cluster has no such topic",
        /// We are not allowed to see the topic.
        Denied = "access to the topic is denied",
        /// The cluster answers with another error.
        Refused = "the cluster does not describe the topic",
    }
}

#[derive(Debug, Default)]
pub(super) struct TopicHealth {
    fault: Option<TopicFault>,
    faults: FaultTracker,
    pub(super) partitions: Vec<Arc<PartitionHealth>>,
}

impl TopicHealth {
    /// Records that the cluster describes the topic.
    pub(super) fn set_described(&mut self, partitions: usize, at: Instant) {
        self.fault = None;
        self.faults.succeed(FaultSource::Topology);
        self.partitions
            .resize_with(partitions, || Arc::new(PartitionHealth::new(at)));
    }

    /// Records that the cluster does not describe the topic, with the name of the error.
    pub(super) fn refused(&mut self, fault: TopicFault, name: &str, at: Instant) {
        self.fault = Some(fault);
        self.faults.fail(FaultSource::Topology, name, fault.name(), at);
    }

    pub(super) fn is_missing(&self) -> bool {
        self.fault == Some(TopicFault::Missing)
    }

    /// Returns the verdict on an error that persists, and the error's name.
    pub(super) fn judge(&self, now: Instant) -> Option<(Verdict, Arc<str>)> {
        let verdict = self.faults.judge(FaultSource::Topology, now)?;
        Some((verdict, Arc::clone(self.faults.name(now)?)))
    }

    pub(super) fn fault_events(&mut self, now: Instant) -> Vec<FaultEvent> {
        self.faults.fault_events(now)
    }

    pub(super) fn report(&self, name: &str, now: Instant) -> TopicReport {
        let (verdict, error) = match (self.judge(now), self.fault) {
            (Some((verdict, error)), _) => (verdict, Some(error.to_string())),
            // A topic that was never there fails at once: it is a mistake in the catalog.
            (None, Some(TopicFault::Missing)) if self.partitions.is_empty() => {
                (Verdict::failing(TopicFault::Missing.name()), None)
            }
            (None, Some(fault)) => (Verdict::degraded(format!("starting: {}", fault.name())), None),
            (None, None) => (Verdict::ok("the cluster describes it"), None),
        };
        let Verdict { state, reason } = match (verdict.state, self.partitions.is_empty()) {
            // The partitions have verdicts of their own.
            (HealthState::Degraded, false) => Verdict::ok("the cluster described it recently"),
            _ => verdict,
        };
        TopicReport {
            topic: name.to_owned(),
            state,
            reason,
            error,
        }
    }
}
