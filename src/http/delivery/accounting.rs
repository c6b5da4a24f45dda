//! What one stream cost and gave: two lines in the log, and the metrics.

use std::{hint::black_box, sync::Arc, task::Context};

use tokio::time::Instant;

use super::evict::EvictHandle;
use crate::{
    client::ClientKey,
    limits::{ClientLogLimiter, Permit},
    metrics::{EndReason, StartPoint, StreamMetrics},
    subscription::Batch,
};

/// Who reads what, from where.
#[derive(Clone, Debug)]
pub(in crate::http) struct StreamInfo {
    pub(in crate::http) client: ClientKey,
    /// The streams' names, with commas.
    pub(in crate::http) streams: Arc<str>,
    pub(in crate::http) start: StartPoint,
    /// Whether the two lines about it are written.
    pub(in crate::http) log_limiter: Arc<ClientLogLimiter>,
}

/// Counts one stream from its beginning to its end; the end is its drop, so that there is exactly one.
#[derive(Debug)]
pub(in crate::http) struct StreamAccounting {
    info: StreamInfo,
    opened: Instant,
    metrics: Arc<StreamMetrics>,
    /// Its place within the limits.
    permit: Option<Permit>,
    evict_handle: Arc<EvictHandle>,
    events: u64,
    gaps: u64,
    bytes: u64,
    held: bool,
    reason: Option<EndReason>,
}

impl StreamAccounting {
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
            evict_handle,
            events: 0,
            gaps: 0,
            bytes: 0,
            held: false,
            reason: None,
        }
    }

    /// Reads what [`record_sent`](Self::record_sent) will.
    pub(in crate::http) fn prefetch(&self) {
        black_box((self.bytes, self.gaps, Arc::as_ptr(&self.metrics)));
    }

    pub(in crate::http) fn record_sent(&mut self, batch: &Batch) {
        self.record_sent_bytes(batch.size(), batch);
    }

    /// The same, when it was so many bytes by a coding.
    pub(super) fn record_sent_bytes(&mut self, bytes: usize, batch: &Batch) {
        let (bytes, events) = (bytes as u64, batch.events.into());
        self.bytes += bytes;
        self.events += events;
        self.gaps += batch.gaps.len() as u64;
        self.metrics.sent(bytes, events);
        batch
            .gaps
            .iter()
            .for_each(|gap| self.metrics.gap(gap.reason.as_str()));
    }

    pub(super) fn set_held(&mut self, held: bool) {
        match (std::mem::replace(&mut self.held, held), held) {
            (false, true) => self.metrics.held(),
            (true, false) => self.metrics.released(),
            _ => {}
        }
    }

    /// Why it has to go for others, if it has to: see [`EvictHandle::eviction_reason`].
    pub(super) fn eviction_reason(&self, context: &Context<'_>) -> Option<EndReason> {
        self.evict_handle.eviction_reason(context)
    }

    /// Notes why it ends. The first reason stays. Its slot is free from now on: a client that sees the end may be back
    /// before the rest of the stream is taken down.
    pub(in crate::http) fn close(&mut self, reason: EndReason) {
        self.reason.get_or_insert(reason);
        self.permit = None;
    }
}

impl Drop for StreamAccounting {
    fn drop(&mut self) {
        self.set_held(false);
        let reason = self.reason.unwrap_or(EndReason::ClientClosed);
        self.metrics.ended(reason);
        let left_out = match reason {
            // The end of a process is not its client's doing.
            EndReason::Drained => Some(0),
            _ => self.info.log_limiter.take(self.info.client),
        };
        let Some(left_out) = left_out else { return };
        tracing::info!(
            client = %self.info.client,
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

/// A count for a log line, which has no such field if there is nothing to count.
fn nonzero(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

#[cfg(test)]
pub(in crate::http) mod tests {
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
            names: ["recentchange".into()].into(),
        };
        let evict_handle = evict_handle();
        let stream: Weak<dyn Evictable> = Arc::downgrade(&evict_handle) as _;
        let permit = admission.admit(&wish, &stream).unwrap();
        let info = StreamInfo {
            client,
            streams: "recentchange".into(),
            start,
            log_limiter: Arc::default(),
        };
        StreamAccounting::open(info, metrics.stream("recentchange"), permit, evict_handle)
    }
}
