//! What one stream cost and gave: two lines in the log, and the metrics.

use std::{hint::black_box, sync::Arc, task::Context};

use tokio::time::Instant;

use super::exit::Exit;
use crate::{
    client::ClientKey,
    limits::{ClientLines, Permit},
    metrics::{EndReason, StartPlace, StreamMetrics},
    subscription::Batch,
};

/// Who reads what, from where.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) client: ClientKey,
    /// The streams' names, with commas.
    pub(super) streams: Arc<str>,
    pub(super) start: StartPlace,
    /// Whether the two lines about it are written.
    pub(super) lines: Arc<ClientLines>,
}

/// Counts one stream from its beginning to its end; the end is its drop, so that there is exactly one.
#[derive(Debug)]
pub(super) struct Account {
    opening: Opening,
    opened: Instant,
    metrics: Arc<StreamMetrics>,
    /// Its place within the limits.
    permit: Option<Permit>,
    exit: Arc<Exit>,
    events: u64,
    gaps: u64,
    bytes: u64,
    held: bool,
    reason: Option<EndReason>,
}

impl Account {
    pub(super) fn open(
        opening: Opening,
        metrics: Arc<StreamMetrics>,
        permit: Permit,
        exit: Arc<Exit>,
    ) -> Self {
        metrics.started(opening.start);
        if let Some(left_out) = opening.lines.take(opening.client) {
            tracing::info!(
                client = %opening.client,
                streams = &*opening.streams,
                start = %opening.start,
                left_out = some(left_out),
                "stream started"
            );
        }
        Self {
            opening,
            opened: Instant::now(),
            metrics,
            permit: Some(permit),
            exit,
            events: 0,
            gaps: 0,
            bytes: 0,
            held: false,
            reason: None,
        }
    }

    /// Reads what [`sent`](Self::sent) will.
    pub(super) fn prefetch(&self) {
        black_box((self.bytes, self.gaps, Arc::as_ptr(&self.metrics)));
    }

    pub(super) fn sent(&mut self, batch: &Batch) {
        self.sent_as(batch.size(), batch);
    }

    /// The same, when it was so many bytes by a coding.
    pub(super) fn sent_as(&mut self, bytes: usize, batch: &Batch) {
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

    /// Why it has to go for others, if it has to: see [`Exit::told`].
    pub(super) fn told(&self, context: &Context<'_>) -> Option<EndReason> {
        self.exit.told(context)
    }

    /// Notes why it ends. The first reason stays. Its slot is free from now on: a client that sees the end may be back
    /// before the rest of the stream is taken down.
    pub(super) fn close(&mut self, reason: EndReason) {
        self.reason.get_or_insert(reason);
        self.permit = None;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set_held(false);
        let reason = self.reason.unwrap_or(EndReason::ClientClosed);
        self.metrics.ended(reason);
        let left_out = match reason {
            // The end of a process is not its client's doing.
            EndReason::Drained => Some(0),
            _ => self.opening.lines.take(self.opening.client),
        };
        let Some(left_out) = left_out else { return };
        tracing::info!(
            client = %self.opening.client,
            streams = &*self.opening.streams,
            start = %self.opening.start,
            events = self.events,
            gaps = self.gaps,
            bytes = self.bytes,
            seconds = self.opened.elapsed().as_secs_f64(),
            %reason,
            left_out = some(left_out),
            "stream ended"
        );
    }
}

/// A count for a log line, which has no such field if there is nothing to count.
fn some(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

#[cfg(test)]
pub(super) mod tests {
    use std::{net::IpAddr, sync::Weak};

    use super::*;
    use crate::{
        client::Named,
        http::exit::tests::exit,
        limits::{Admission, OpenStream, Wish, settings::Settings},
        metrics::{HttpMetrics, LimitMetrics},
    };

    pub(in crate::http) fn account(metrics: &HttpMetrics, start: StartPlace) -> Account {
        let address = IpAddr::from([192, 0, 2, 7]);
        let client = ClientKey::of(address);
        let admission = Admission::new(&Settings::default(), LimitMetrics::default());
        let wish = Wish {
            client: address.into(),
            named: Named::default(),
            names: ["recentchange".into()].into(),
        };
        let exit = exit();
        let stream: Weak<dyn OpenStream> = Arc::downgrade(&exit) as _;
        let permit = admission.admit(&wish, &stream).unwrap();
        let opening = Opening {
            client,
            streams: "recentchange".into(),
            start,
            lines: Arc::default(),
        };
        Account::open(opening, metrics.stream("recentchange"), permit, exit)
    }
}
