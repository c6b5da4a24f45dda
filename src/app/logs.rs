//! Metrics of the log directory and of the lanes, collected at each scrape.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use crate::{metrics::Registry, partition::LogDirectory, subscription::Lanes};

/// Registers the metrics of the directory.
pub(super) fn register(registry: &mut Registry, directory: &Arc<LogDirectory>) {
    registry.register_collector(Box::new(PartitionLogCollector(Arc::clone(directory))));
}

/// Registers the metrics of the lanes.
pub(super) fn register_lanes(registry: &mut Registry, lanes: &Lanes) {
    registry.register_collector(Box::new(LaneCollector(lanes.clone())));
}

#[derive(Debug)]
struct PartitionLogCollector(Arc<LogDirectory>);

impl Collector for PartitionLogCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (logs, bytes) = (self.0.all(), self.0.bytes());
        gauge(
            &mut encoder,
            "partitions",
            "Partitions whose log is known and read",
            logs.len(),
        )?;
        gauge(
            &mut encoder,
            "tail_ring_bytes",
            "Memory of all tail rings, in bytes",
            bytes,
        )
    }
}

#[derive(Debug)]
struct LaneCollector(Lanes);

impl Collector for LaneCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (lanes, bytes) = (self.0.count(), self.0.bytes());
        let composed = ConstCounter::new(self.0.composed());
        composed.encode(encoder.encode_descriptor(
            "composed_bytes",
            "Bytes of composed events, counted once for all clients that get them",
            None,
            composed.metric_type(),
        )?)?;
        gauge(
            &mut encoder,
            "lanes",
            "Lanes: live subscriptions, each shared by the clients with equal requests",
            lanes,
        )?;
        gauge(
            &mut encoder,
            "lane_ring_bytes",
            "Memory of the rings of all lanes and of every batch that a client has not taken yet, in bytes",
            bytes,
        )?;
        gauge(
            &mut encoder,
            "filter_bytes",
            "Memory of the compiled filters in use, in bytes",
            self.0.filter_bytes(),
        )
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> fmt::Result {
    let gauge = ConstGauge::new(value as i64);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}
