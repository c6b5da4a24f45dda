//! Accounting of one stream: two log lines, the metrics, and its slot within the limits.

use std::{hint::black_box, sync::Arc};

use tokio::time::Instant;

use super::evict::EvictHandle;
use crate::{
    auth::{Principal, SessionGuard},
    client::ClientKey,
    http::open_streams::OpenStreamGuard,
    limits::{ClientLogLimiter, Permit},
    metrics::{ConnectedClientGuard, EndReason, StartPoint, StreamMetrics},
    subscription::Batch,
};

/// The client of a stream, what it reads and from where, for the log.
#[derive(Clone, Debug)]
pub(in crate::http) struct StreamInfo {
    pub(in crate::http) client: ClientKey,
    /// Whom its credential stands for, if it came with one.
    pub(in crate::http) principal: Option<Arc<Principal>>,
    /// The names of the streams, separated by commas.
    pub(in crate::http) streams: Arc<str>,
    pub(in crate::http) start: StartPoint,
    /// Decides whether the two log lines of the stream are written.
    pub(in crate::http) log_limiter: Arc<ClientLogLimiter>,
}

/// Counts one stream from its start to its end. The end is the drop, so that there is exactly one.
#[derive(Debug)]
pub(in crate::http) struct StreamAccounting {
    info: StreamInfo,
    opened: Instant,
    metrics: Arc<StreamMetrics>,
    /// The stream's slot within the limits. `None` once the stream has ended.
    permit: Option<Permit>,
    /// The entry among the streams of principals, on the heap because most streams have none.
    session: Option<Box<SessionGuard>>,
    /// The entry among the open streams.
    open: Option<OpenStreamGuard>,
    /// The client in the metrics of EventStreams, on the heap because they are mostly off.
    connected: Option<Box<ConnectedClientGuard>>,
    pub(super) evict_handle: Arc<EvictHandle>,
    events: u64,
    gaps: u64,
    bytes: u64,
    held: bool,
    reason: Option<EndReason>,
}

impl StreamAccounting {
    /// Counts and logs the start of a stream.
    pub(in crate::http) fn open(
        info: StreamInfo,
        metrics: Arc<StreamMetrics>,
        permit: Permit,
        evict_handle: Arc<EvictHandle>,
    ) -> Self {
        metrics.started(info.start);
        if let Some(left_out) = info.log_limiter.take(info.client) {
            tracing::info!(
                client = %info.client,
                principal = info.principal.as_deref().map(display),
                streams = &*info.streams,
                start = %info.start,
                left_out = nonzero(left_out),
                "stream started"
            );
        }
        Self {
            info,
            opened: Instant::now(),
            metrics,
            permit: Some(permit),
            session: None,
            open: None,
            connected: None,
            evict_handle,
            events: 0,
            gaps: 0,
            bytes: 0,
            held: false,
            reason: None,
        }
    }

    /// Returns the same stream with its entry among the streams of principals.
    pub(in crate::http) fn with_session(mut self, session: Option<SessionGuard>) -> Self {
        self.session = session.map(Box::new);
        self
    }

    /// Returns the same stream with its entry among the open streams.
    pub(in crate::http) fn with_open(mut self, open: OpenStreamGuard) -> Self {
        self.open = Some(open);
        self
    }

    /// Returns the same stream with its client in the metrics of EventStreams.
    pub(in crate::http) fn with_connected(mut self, connected: Option<ConnectedClientGuard>) -> Self {
        self.connected = connected.map(Box::new);
        self
    }

    /// Reads the memory that [`record_sent`](Self::record_sent) will need, so that it is in the processor's cache then.
    pub(in crate::http) fn prefetch(&self) {
        black_box((self.bytes, self.gaps, Arc::as_ptr(&self.metrics)));
    }

    /// Counts a batch that was sent as it is.
    pub(in crate::http) fn record_sent(&mut self, batch: &Batch) {
        self.record_sent_bytes(batch.size(), batch);
    }

    /// Counts a batch that was sent as `bytes` bytes, because of a content coding.
    pub(super) fn record_sent_bytes(&mut self, bytes: usize, batch: &Batch) {
        let (bytes, events) = (bytes as u64, batch.events.into());
        self.bytes += bytes;
        self.events += events;
        self.gaps += batch.gaps.len() as u64;
        self.metrics.sent(bytes, events);
        for gap in &batch.gaps {
            self.metrics.gap(gap.reason.as_str());
        }
    }

    /// Returns how many events were sent.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Counts that the stream waits for Kafka, or no longer does.
    pub(super) fn set_held(&mut self, held: bool) {
        match (std::mem::replace(&mut self.held, held), held) {
            (false, true) => self.metrics.held(),
            (true, false) => self.metrics.released(),
            _ => {}
        }
    }

    /// Records why the stream ends by itself, and frees its slot. A client that does not take the rest is then reset, because the
    /// connection counts for nobody any more. A drain has a deadline of its own.
    pub(super) fn end(&mut self, reason: EndReason) {
        if self.permit.is_some() && reason != EndReason::Drained {
            self.evict_handle.reset_if_blocked(reason);
        }
        self.close(reason);
    }

    /// Records why the stream ends, and frees its slot. The first reason is kept. The slot is freed here, because a client that
    /// sees the end may be back before the rest of the stream is dropped.
    pub(in crate::http) fn close(&mut self, reason: EndReason) {
        self.reason.get_or_insert(reason);
        self.permit = None;
        self.session = None;
        self.open = None;
        self.connected = None;
    }
}

impl Drop for StreamAccounting {
    fn drop(&mut self) {
        self.set_held(false);
        let reason = self.reason.unwrap_or(EndReason::ClientClosed);
        self.metrics.ended(reason);
        let left_out = match reason {
            // The client did not cause the end of the process: this line is always written, and does not count against its limit.
            EndReason::Drained => Some(0),
            _ => self.info.log_limiter.take(self.info.client),
        };
        let Some(left_out) = left_out else { return };
        tracing::info!(
            client = %self.info.client,
            principal = self.info.principal.as_deref().map(display),
            streams = &*self.info.streams,
            start = %self.info.start,
            events = self.events,
            gaps = self.gaps,
            bytes = self.bytes,
            seconds = self.opened.elapsed().as_secs_f64(),
            %reason,
            left_out = nonzero(left_out),
            "stream ended"
        );
    }
}

/// Returns a count for a log line. Returns `None` for zero, so that the line has no such field.
fn nonzero(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{net::IpAddr, sync::Weak};

    use super::*;
    use crate::{
        client::CandidateAddrs,
        http::delivery::evict::tests::evict_handle,
        limits::{Admission, Evictable, StreamRequest, settings::LimitSettings},
        metrics::{HttpMetrics, LimitMetrics},
    };

    pub(in crate::http) fn accounting(metrics: &HttpMetrics, start: StartPoint) -> StreamAccounting {
        let address = IpAddr::from([192, 0, 2, 7]);
        let client = ClientKey::of(address);
        let admission = Admission::new(&LimitSettings::default(), LimitMetrics::default());
        let wish = StreamRequest {
            client: address.into(),
            candidates: CandidateAddrs::default(),
            principal: None,
            names: ["recentchange".into()].into(),
        };
        let evict_handle = evict_handle();
        let stream: Weak<dyn Evictable> = Arc::downgrade(&evict_handle) as _;
        let permit = admission.admit(&wish, &stream).unwrap();
        let info = StreamInfo {
            client,
            principal: None,
            streams: "recentchange".into(),
            start,
            log_limiter: Arc::default(),
        };
        StreamAccounting::open(info, metrics.stream("recentchange"), permit, evict_handle)
    }
}
