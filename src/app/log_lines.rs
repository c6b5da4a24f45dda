//! The number of dropped log lines of this process, for `/metrics`.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
};

use crate::{
    log::{self, LineClass},
    metrics::Registry,
};

/// Registers the counters, which are read at each scrape.
pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(DroppedLinesCollector));
}

#[derive(Debug)]
struct DroppedLinesCollector;

impl Collector for DroppedLinesCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = LineClass::ALL.map(|class| (class, ConstCounter::new(log::dropped_lines(class))));
        let mut family = encoder.encode_descriptor(
            "log_lines_dropped",
            "Log lines dropped because stderr was not read fast enough or could not be written, by class",
            None,
            counts[0].1.metric_type(),
        )?;
        for (class, count) in &counts {
            count.encode(family.encode_family(&[("class", class.name())])?)?;
        }
        Ok(())
    }
}
