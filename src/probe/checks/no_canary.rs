//! The check with canaries for a build without Kafka, which cannot produce one.

use std::time::Duration;

use super::super::{CanaryCheck, Check, CheckResult, EventStream, ReceivedEvent, StreamError};

/// A check that always fails, and says why there is no canary.
pub(in crate::probe) struct Canaries;

impl Canaries {
    pub(in crate::probe) fn release(_canary: &CanaryCheck, _timeout: Duration) -> Self {
        Self
    }

    pub(in crate::probe) async fn watch(
        self,
        _stream: &mut EventStream,
        first: Result<ReceivedEvent, StreamError>,
    ) -> (CheckResult, Result<ReceivedEvent, StreamError>) {
        (
            Check("canary").critical("this build has no support for Kafka, so it cannot produce canaries"),
            first,
        )
    }
}
