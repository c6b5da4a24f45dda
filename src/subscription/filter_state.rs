//! Which events of a subscription its client wants, and what it is told of the others.

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

/// A filter, and how long ago its client last got an id.
///
/// A client of a filter that passes next to nothing would come back with an id of hours ago, and all since then would be
/// read for it again. So it is told, at a slow pace, how far its position has come: `event: checkpoint`.
pub(super) struct FilterState {
    filter: Filter,
    /// Events passed over since the last id.
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

    /// Whether its client wants this event; counts it, if not.
    pub(super) fn accepts(&mut self, log: &PartitionLog, page: &Page, event: &Event) -> bool {
        let is_json = event.kind == EventKind::Message && log.encoding().payload == Payload::Json;
        let accepts = event.kind != EventKind::Skipped
            && self.filter.accepts(&FilterInput {
                topic: &log.partition().topic,
                partition: log.partition().partition,
                offset: event.offset,
                timestamp: event.timestamp,
                key: page.key(event),
                headers: page.headers(event),
                document: is_json.then(|| json_document(page.lines(event))),
            });
        self.skipped += u64::from(!accepts);
        accepts
    }

    /// Its client has got an id.
    pub(super) fn record_id(&mut self) {
        self.skipped = 0;
        self.last_id = Instant::now();
    }

    /// How many events were passed over since the last id, once it is time to say so.
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

/// Between two checkpoints: seldom enough to cost nothing beside heartbeats, often enough that a resume scans little.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

/// Events after which it is said sooner: two seconds of the busiest stream, or a page or two of a catch-up.
const MAX_SKIPPED: u64 = 10_000;
