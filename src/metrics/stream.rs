//! Metrics of the streams that clients read, by the stream's name.
//!
//! Not here: when a stream begins and ends (`http`).

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

use super::{Label, label_value::written_by_name, metric_set};

/// The metrics of all streams. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamFamilies {
    pub(super) series: StreamSeries,
    /// The streams that were used so far, by name.
    used: Arc<UsedStreams>,
}

type UsedStreams = Mutex<HashMap<String, Arc<StreamMetrics>>>;

metric_set! {
    /// The families, with a series for each stream.
    pub(super) struct StreamSeries {
        open: Family<Label<String>, Gauge> = "streams_open", "Streams that clients read now";
        /// Open streams that wait for Kafka.
        pub(super) held: Gauge = "streams_held", "Open streams that wait for Kafka";
        started: Family<StartLabels, Counter> = "streams_started", "Streams started, by starting point";
        ended: Family<EndLabels, Counter> = "streams_ended", "Streams ended, by reason";
        events: Family<Label<String>, Counter> = "events_sent", "Events written to clients";
        bytes: Family<Label<String>, Counter> = "bytes_sent", "Bytes of streams written to clients";
        gaps: Family<Label<&'static str>, Counter> = "gaps_sent", "Gaps reported to clients, by reason";
    }
}

impl StreamFamilies {
    /// Returns the metrics of `stream`: a name in the catalog, or [`COMPOSITE`].
    pub(super) fn of(&self, stream: &str) -> Arc<StreamMetrics> {
        let mut used = self.used.lock();
        if let Some(known) = used.get(stream) {
            return Arc::clone(known);
        }
        let label = [("stream", stream.to_owned())];
        let metrics = Arc::new(StreamMetrics {
            open: self.series.open.get_or_create_owned(&label),
            events: self.series.events.get_or_create_owned(&label),
            bytes: self.series.bytes.get_or_create_owned(&label),
            series: self.series.clone(),
            used: Arc::downgrade(&self.used),
            stream: stream.to_owned(),
        });
        used.insert(stream.into(), Arc::clone(&metrics));
        metrics
    }

    /// Forgets the streams that `is_there` is false for. The series of each are removed when nobody reads it any more.
    pub(super) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        let mut used = self.used.lock();
        let gone = used.extract_if(|name, _| name != COMPOSITE && !is_there(name));
        let gone: Vec<_> = gone.collect();
        // Dropped without the lock, which the drop takes.
        drop(used);
        drop(gone);
    }
}

/// Label of clients that read several streams at once. They choose the combination, so all combinations share one label.
pub const COMPOSITE: &str = "composite";

/// Metrics of one stream, shared by all its clients.
#[derive(Debug)]
pub struct StreamMetrics {
    stream: String,
    open: Gauge,
    events: Counter,
    bytes: Counter,
    series: StreamSeries,
    used: Weak<UsedStreams>,
}

impl StreamMetrics {
    /// Counts the start of a client's stream.
    pub fn started(&self, from: StartPoint) {
        let stream = self.stream.clone();
        let labels = StartLabels { stream, from };
        self.series.started.get_or_create(&labels).inc();
        self.open.inc();
    }

    /// Counts the end of a client's stream.
    pub fn ended(&self, reason: EndReason) {
        let stream = self.stream.clone();
        let labels = EndLabels { stream, reason };
        self.series.ended.get_or_create(&labels).inc();
        self.open.dec();
    }

    /// Counts events and bytes that were written.
    pub fn sent(&self, bytes: u64, events: u64) {
        self.bytes.inc_by(bytes);
        self.events.inc_by(events);
    }

    /// Counts a gap that a client is told of. `reason` is one of a few fixed words.
    pub fn gap(&self, reason: &'static str) {
        self.series.gaps.get_or_create(&[("reason", reason)]).inc();
    }

    /// Counts a stream that starts to wait for Kafka.
    pub fn held(&self) {
        self.series.held.inc();
    }

    /// Counts a stream that no longer waits for Kafka.
    pub fn released(&self) {
        self.series.held.dec();
    }

    fn remove_series(&self) {
        let label = [("stream", self.stream.clone())];
        self.series.open.remove(&label);
        self.series.events.remove(&label);
        self.series.bytes.remove(&label);
        for from in StartPoint::ALL {
            let stream = self.stream.clone();
            self.series.started.remove(&StartLabels { stream, from });
        }
        for reason in EndReason::ALL {
            let stream = self.stream.clone();
            self.series.ended.remove(&EndLabels { stream, reason });
        }
    }
}

/// Removes the series, unless a stream of this name is used again.
impl Drop for StreamMetrics {
    fn drop(&mut self) {
        let Some(used) = self.used.upgrade() else {
            return;
        };
        let used = used.lock();
        if !used.contains_key(&self.stream) {
            self.remove_series();
        }
    }
}

named! {
    /// Where a client's stream starts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum StartPoint {
        /// Behind the event named by its id.
        Id = "id",
        /// At a time.
        Since = "since",
        /// With the next event.
        Live = "live",
    }
}

named! {
    /// Why a stream ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum EndReason {
        /// The client closed or reset its connection.
        ClientClosed = "client_closed",
        /// The client's socket accepted no byte until the stall deadline.
        Stalled = "stalled",
        /// The client's host no longer acknowledges data.
        Vanished = "vanished",
        /// The process is shutting down.
        Drained = "drained",
        /// The stream waited for Kafka for longer than the hold limit.
        HeldTooLong = "held_too_long",
        /// There was a gap, and the client had asked to fail on gaps (`?on_gap=fail`).
        Gap = "gap",
        /// The client vanished without closing its connection, and has reconnected on another one.
        Replaced = "replaced",
        /// The host was full, and the slot was given to a client that had no stream.
        Evicted = "evicted",
        /// The clients held more than `memory.lanes`, and of all sockets this one's had accepted nothing for longest.
        Memory = "memory",
        /// The credential that it came with has expired.
        Expired = "expired",
        /// The credential that it came with was revoked.
        Revoked = "revoked",
        /// The client got as many events as it had asked for (`?limit=`).
        Limit = "limit",
        /// The client got everything before the end that it had asked for (`?until=`).
        Until = "until",
        /// A reload has removed the stream.
        Removed = "removed",
        /// A reload has ended the client's access to the stream.
        Access = "access",
        /// A reload has changed what the stream gives. The client gets it when it comes back.
        Changed = "changed",
        /// A panic.
        Panicked = "panicked",
    }
}

written_by_name!(StartPoint, EndReason);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StartLabels {
    stream: String,
    from: StartPoint,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    stream: String,
    reason: EndReason,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{HttpMetrics, registry, render};

    #[test]
    fn a_stream_that_came_and_went_leaves_the_gauge_where_it_was() {
        let mut registry = registry();
        let metrics = HttpMetrics::register(&mut registry);
        let stream = metrics.stream("recentchange");
        stream.started(StartPoint::Id);
        stream.sent(700, 1);
        assert!(
            render(&registry)
                .unwrap()
                .contains("riverhead_streams_open{stream=\"recentchange\"} 1\n")
        );
        stream.ended(EndReason::Stalled);

        let text = render(&registry).unwrap();
        for line in [
            "riverhead_streams_open{stream=\"recentchange\"} 0",
            "riverhead_streams_started_total{stream=\"recentchange\",from=\"id\"} 1",
            "riverhead_streams_ended_total{stream=\"recentchange\",reason=\"stalled\"} 1",
            "riverhead_bytes_sent_total{stream=\"recentchange\"} 700",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_series_of_a_stream_that_is_gone_go_when_its_last_client_goes() {
        let mut registry = registry();
        let metrics = HttpMetrics::register(&mut registry);
        let text = || render(&registry).unwrap();
        let before = text();
        let (open, kept) = (metrics.stream("gone"), metrics.stream("kept"));
        open.started(StartPoint::Live);
        metrics.keep_streams(|name| name == "kept");
        assert!(text().contains("riverhead_streams_open{stream=\"gone\"} 1\n"));
        open.ended(EndReason::Removed);
        drop(open);
        assert!(!text().contains("gone"), "{}", text());
        assert!(text().contains("\"kept\""));

        let old = metrics.stream("again");
        metrics.keep_streams(|_| false);
        let new = metrics.stream("again");
        new.started(StartPoint::Id);
        drop(old);
        assert!(
            text().contains("riverhead_streams_open{stream=\"again\"} 1\n"),
            "it is used again"
        );
        drop((new, kept));
        metrics.keep_streams(|_| false);
        assert_eq!(text(), before);
    }
}
