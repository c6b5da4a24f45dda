//! Metrics that are read at each scrape: the partition logs, the lanes, and the log lines that were dropped.
//!
//! Not here: health (`health`).

use std::sync::Arc;

use prometheus_client::metrics::{MetricType, counter::ConstCounter};

use crate::{
    log::{self, LineClass},
    metrics::{Registry, register_scrape},
    partition::LogDirectory,
    subscription::Lanes,
};

/// Registers the metrics of the directory.
pub(super) fn register_logs(registry: &mut Registry, directory: &Arc<LogDirectory>) {
    let directory = Arc::clone(directory);
    register_scrape(registry, move |scrape| {
        let (logs, bytes) = (directory.all().len(), directory.bytes());
        scrape.gauge("partitions", "Partitions whose log is known and read", logs)?;
        scrape.gauge("tail_ring_bytes", "Memory of all tail rings, in bytes", bytes)
    });
}

/// Registers the metrics of the lanes.
pub(super) fn register_lanes(registry: &mut Registry, lanes: &Lanes) {
    let lanes = lanes.clone();
    register_scrape(registry, move |scrape| {
        let composed = ConstCounter::new(lanes.composed());
        let help = "Bytes of composed events, counted once for all clients that get them";
        scrape.metric("composed_bytes", help, None, &composed)?;
        let help = "Lanes: live subscriptions, each shared by the clients with equal requests";
        scrape.gauge("lanes", help, lanes.count())?;
        let help =
            "Memory of the rings of all lanes and of every batch that a client has not taken yet, in bytes";
        scrape.gauge("lane_ring_bytes", help, lanes.bytes())?;
        let help = "Memory of the compiled filters in use, in bytes";
        scrape.gauge("filter_bytes", help, lanes.filter_bytes())
    });
}

/// Registers the counters of dropped log lines.
pub(super) fn register_log_lines(registry: &mut Registry) {
    register_scrape(registry, |scrape| {
        let help =
            "Log lines dropped because stderr was not read fast enough or could not be written, by class";
        let count = |class| ConstCounter::new(log::dropped_lines(class));
        let series = LineClass::ALL.map(|class| ([("class", class.name())], count(class)));
        scrape.family("log_lines_dropped", help, MetricType::Counter, series)
    });
}
