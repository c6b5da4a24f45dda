//! Stands in for canaries in a build that cannot produce one.

use std::time::Duration;

use super::super::{
    Canary, Finding,
    deadline::Deadline,
    failure::Failure,
    stream::{Event, Stream},
};

/// A canary that says why there is none.
pub(in crate::probe) struct Canaries;

impl Canaries {
    pub(in crate::probe) fn release(_canary: &Canary, _timeout: Duration) -> Self {
        Self
    }

    pub(in crate::probe) async fn watch(
        self,
        _stream: &mut Stream,
        first: Result<Event, Failure>,
        _deadline: Deadline,
    ) -> (Finding, Result<Event, Failure>) {
        (
            Finding::critical("canary", "this build has no Kafka to give a canary to"),
            first,
        )
    }
}
