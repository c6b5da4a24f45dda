//! Metrics whose values are read at each scrape, so that no task has to keep them up to date.
//!
//! Not here: what is read (`app`, `probe`).

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::{Registry, Unit},
};

/// The text of one scrape, to which values are added.
pub struct Scrape<'a>(DescriptorEncoder<'a>);

/// Registers the metrics that `write` adds to each scrape.
pub fn register_scrape(
    registry: &mut Registry,
    write: impl Fn(&mut Scrape<'_>) -> fmt::Result + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(ScrapeCollector(write)));
}

impl Scrape<'_> {
    /// Adds a metric without labels. A unit becomes the end of the name.
    ///
    /// # Errors
    /// As the text's.
    pub fn metric(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, unit, metric.metric_type())?)
    }

    /// Adds a gauge without labels.
    ///
    /// # Errors
    /// As the text's.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.metric(name, help, None, &ConstGauge::new(value))
    }

    /// Adds one series of a family for each value. Without any, the family is left out.
    ///
    /// # Errors
    /// As the text's.
    pub fn family<L: EncodeLabelSet, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        series: impl IntoIterator<Item = (L, M)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        series.try_for_each(|(labels, metric)| metric.encode(family.encode_family(&labels)?))
    }

    /// Adds a family of gauges.
    ///
    /// # Errors
    /// As the text's.
    pub fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let series = series
            .into_iter()
            .map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family(name, help, MetricType::Gauge, series)
    }
}

struct ScrapeCollector<W>(W);

debug_by_name!(ScrapeCollector<W>);

impl<W: Fn(&mut Scrape<'_>) -> fmt::Result + Send + Sync + 'static> Collector for ScrapeCollector<W> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)(&mut Scrape(encoder))
    }
}
