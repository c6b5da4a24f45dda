//! Who writes to the sockets that were taken over: one task per core, each for its part of the clients.
//!
//! When a batch comes, thousands want it. As tasks of the runtime, each would be scheduled by itself, on whichever core is
//! free, and keep the stack of futures that a connection begins with. In a shard they are entries of one list for each lane: the
//! batch wakes the shard, and one pass over the list serves them all.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::StreamExt;
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{audiences::Audiences, panics, socket::SocketSink};
use crate::metrics::HttpMetrics;

/// The shards of one listener. They end with the last of these, when the last client is gone.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    shards: Arc<[Shard]>,
    metrics: HttpMetrics,
}

#[derive(Debug)]
struct Shard {
    arrivals: mpsc::UnboundedSender<SocketSink>,
    clients: Arc<AtomicUsize>,
}

impl Shards {
    /// One for each thread of the runtime. `cut` closes all connections at once.
    pub(super) fn start(metrics: &HttpMetrics, cut: &CancellationToken) -> Self {
        let threads = Handle::current().metrics().num_workers();
        Self {
            shards: (0..threads).map(|_| Shard::start(metrics, cut)).collect(),
            metrics: metrics.clone(),
        }
    }

    /// Serves a client from now on, with whom there are fewest.
    pub(super) fn take(&self, client: SocketSink) {
        self.metrics.taken_over();
        let emptiest = self.shards.iter().min_by_key(|shard| shard.clients.load(Relaxed));
        if let Some(shard) = emptiest {
            shard.clients.fetch_add(1, Relaxed);
            // Fails when all are cut, and then this one is cut by its drop.
            let _ = shard.arrivals.send(client);
        }
    }
}

impl Shard {
    fn start(metrics: &HttpMetrics, cut: &CancellationToken) -> Self {
        let clients = Arc::new(AtomicUsize::new(0));
        let (arrivals, come) = mpsc::unbounded_channel();
        let served = serve(come, Arc::clone(&clients), metrics.clone());
        let cut = cut.clone();
        tokio::spawn(async move { cut.run_until_cancelled(served).await });
        Self { arrivals, clients }
    }
}

async fn serve(mut come: mpsc::UnboundedReceiver<SocketSink>, count: Arc<AtomicUsize>, metrics: HttpMetrics) {
    let mut clients = Audiences::default();
    let left = |end| {
        count.fetch_sub(1, Relaxed);
        panics::note(end, metrics.panics());
    };
    loop {
        tokio::select! {
            biased;
            client = come.recv() => match client {
                Some(client) => clients.push(client.audience(), client),
                None => break,
            },
            Some(end) = clients.next() => left(end),
        }
    }
    while let Some(end) = clients.next().await {
        left(end);
    }
}
