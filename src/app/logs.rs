//! What the directory can say of itself, for `/metrics`.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use crate::{metrics::Registry, partition::Directory};

/// Registers it.
pub(super) fn register(registry: &mut Registry, directory: &Arc<Directory>) {
    registry.register_collector(Box::new(Logs(Arc::clone(directory))));
}

#[derive(Debug)]
struct Logs(Arc<Directory>);

impl Collector for Logs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (logs, bytes) = (self.0.all(), self.0.bytes());
        let mut gauge = |name, help, value: usize| {
            let gauge = ConstGauge::new(value as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("partitions", "Partitions whose log is known and read", logs.len())?;
        gauge("tail_ring_bytes", "What all tail rings cost in memory", bytes)
    }
}
