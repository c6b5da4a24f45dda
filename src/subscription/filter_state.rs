//! Filtering the events of one subscription, and telling its client how far the filter has read.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    event::{Event, EventKind, Payload, json_document},
    filter::{Filter, FilterInput},
    partition::{Page, PartitionLog},
};

/// A subscription's filter, and the time since its client last received an id.
///
/// A client whose filter accepts almost nothing would reconnect with an id that is hours old, and all records since
/// then would be read for it again. So it is sent its position at a low rate, as `event: checkpoint`.
pub(super) struct FilterState {
    filter: Filter,
    /// The number of events filtered out since the last id.
    skipped: u64,
    last_id: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl FilterState {
    pub(super) fn new(filter: Filter) -> Self {
        Self {
            filter,
            skipped: 0,
            last_id: Instant::now(),
            timer: None,
        }
    }

    /// Returns whether the filter accepts this event. Counts the event if not.
    pub(super) fn accepts(&mut self, log: &PartitionLog, page: &Page, event: &Event) -> bool {
        let accepts = filter_input(log, page, event).is_some_and(|input| self.filter.accepts(&input));
        self.skipped += u64::from(!accepts);
        accepts
    }

    /// Records that the client was given an id.
    pub(super) fn record_id(&mut self) {
        self.skipped = 0;
        self.last_id = Instant::now();
    }

    /// Waits until a checkpoint is due, which is never while nothing was filtered out. Returns the number of events
    /// filtered out since the last id.
    pub(super) fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<u64> {
        if self.skipped == 0 {
            return Poll::Pending;
        }
        let due = self.last_id + CHECKPOINT_INTERVAL;
        if self.skipped >= MAX_SKIPPED || due <= Instant::now() {
            return Poll::Ready(self.skipped);
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(context).map(|()| self.skipped)
    }
}

/// Returns what a filter can test of an event. Returns `None` for an event that no client sees.
pub(super) fn filter_input<'a>(
    log: &'a PartitionLog,
    page: &'a Page,
    event: &Event,
) -> Option<FilterInput<'a>> {
    let is_json = event.kind == EventKind::Message && log.encoding().payload == Payload::Json;
    (event.kind != EventKind::Skipped).then(|| FilterInput {
        topic: &log.partition().topic,
        partition: log.partition().partition,
        offset: event.offset,
        timestamp: event.timestamp,
        key: page.key(event),
        headers: page.headers(event),
        document: is_json.then(|| json_document(page.lines(event))),
    })
}

/// The time between two checkpoints: rare enough to cost nothing beside heartbeats, frequent enough that a resume scans
/// little.
pub(super) const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

/// The number of filtered-out events after which a checkpoint is due earlier: two seconds of the busiest stream, or a
/// page or two of a catch-up.
const MAX_SKIPPED: u64 = 10_000;
