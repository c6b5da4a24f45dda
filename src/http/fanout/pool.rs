//! The write tasks: one for each thread of the runtime, each with its part of the clients that have left hyper.
//!
//! A client is no task of its own, because a batch would schedule each of thousands by itself, on whichever core is free, and
//! each would keep the stack of futures that a connection begins with.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::StreamExt;
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{groups::ClientGroups, socket::SocketSink};
use crate::{http::server::panics, metrics::HttpMetrics};

/// The write tasks of one listener. They end when the last clone of the pool is dropped and the last client is gone.
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
    /// Starts one write task for each thread of the runtime. `abort` closes all connections at once.
    pub(in crate::http) fn start(metrics: &HttpMetrics, abort: &CancellationToken) -> Self {
        let threads = Handle::current().metrics().num_workers();
        Self {
            tasks: (0..threads).map(|_| WriteTask::start(metrics, abort)).collect(),
            metrics: metrics.clone(),
        }
    }

    /// Gives a client to the write task with the fewest clients, which serves it from now on.
    pub(in crate::http) fn assign(&self, client: SocketSink) {
        self.metrics.taken_over.inc();
        let least_loaded = self.tasks.iter().min_by_key(|task| task.clients.load(Relaxed));
        if let Some(task) = least_loaded {
            task.clients.fetch_add(1, Relaxed);
            // Fails after `abort`. The connection is then closed by its drop.
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

/// Serves the clients of one write task. Returns when no more can come and all have ended.
async fn serve(
    mut new_clients_rx: mpsc::UnboundedReceiver<SocketSink>,
    count: Arc<AtomicUsize>,
    metrics: HttpMetrics,
) {
    let mut clients = ClientGroups::default();
    let on_end = |end| {
        count.fetch_sub(1, Relaxed);
        panics::record_panic(end, &metrics.panics);
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
