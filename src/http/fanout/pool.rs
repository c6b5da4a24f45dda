//! Who writes to the sockets that were taken over: one task per core, each for its part of the clients.
//!
//! When a batch comes, thousands want it. As tasks of the runtime, each would be scheduled by itself, on whichever core is
//! free, and keep the stack of futures that a connection begins with. In a write task they are entries of one list for each lane: the
//! batch wakes the write task, and one pass over the list serves them all.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::StreamExt;
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{groups::ClientGroups, socket::SocketSink};
use crate::{http::server::panics, metrics::HttpMetrics};

/// The write tasks of one listener. They end with the last of these, when the last client is gone.
#[derive(Clone, Debug)]
pub(in crate::http) struct WriterPool {
    tasks: Arc<[WriteTask]>,
    metrics: HttpMetrics,
}

#[derive(Debug)]
struct WriteTask {
    new_clients_tx: mpsc::UnboundedSender<SocketSink>,
    clients: Arc<AtomicUsize>,
}

impl WriterPool {
    /// One for each thread of the runtime. `abort` closes all connections at once.
    pub(in crate::http) fn start(metrics: &HttpMetrics, abort: &CancellationToken) -> Self {
        let threads = Handle::current().metrics().num_workers();
        Self {
            tasks: (0..threads).map(|_| WriteTask::start(metrics, abort)).collect(),
            metrics: metrics.clone(),
        }
    }

    /// Serves a client from now on, with whom there are fewest.
    pub(in crate::http) fn assign(&self, client: SocketSink) {
        self.metrics.taken_over();
        let least_loaded = self.tasks.iter().min_by_key(|task| task.clients.load(Relaxed));
        if let Some(task) = least_loaded {
            task.clients.fetch_add(1, Relaxed);
            // Fails when all are cut, and then this one is cut by its drop.
            let _ = task.new_clients_tx.send(client);
        }
    }
}

impl WriteTask {
    fn start(metrics: &HttpMetrics, abort: &CancellationToken) -> Self {
        let clients = Arc::new(AtomicUsize::new(0));
        let (new_clients_tx, new_clients_rx) = mpsc::unbounded_channel();
        let served = serve(new_clients_rx, Arc::clone(&clients), metrics.clone());
        let abort = abort.clone();
        tokio::spawn(async move { abort.run_until_cancelled(served).await });
        Self {
            new_clients_tx,
            clients,
        }
    }
}

async fn serve(
    mut new_clients_rx: mpsc::UnboundedReceiver<SocketSink>,
    count: Arc<AtomicUsize>,
    metrics: HttpMetrics,
) {
    let mut clients = ClientGroups::default();
    let on_end = |end| {
        count.fetch_sub(1, Relaxed);
        panics::record_panic(end, metrics.panics());
    };
    loop {
        tokio::select! {
            biased;
            client = new_clients_rx.recv() => match client {
                Some(client) => clients.push(client.lane_id(), client),
                None => break,
            },
            Some(end) = clients.next() => on_end(end),
        }
    }
    while let Some(end) = clients.next().await {
        on_end(end);
    }
}
