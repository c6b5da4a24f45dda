//! The report as Prometheus metrics.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge},
};

use super::super::{ProbeReport, Status, measure};
use crate::metrics::{self, Registry};

/// The number of runs by status, for a probe that runs again and again.
pub(in crate::probe) type Runs = Family<Labels, Counter>;

type Labels = Vec<(&'static str, String)>;

pub(in crate::probe) fn text(report: &ProbeReport, runs: Option<&Runs>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(blackbox(report)));
    let own = registry.sub_registry_with_prefix("riverhead_probe");
    own.register_collector(Box::new(probe_gauges(report)));
    if let Some(runs) = runs {
        own.register("runs", "Runs by status", runs.clone());
    }
    metrics::render(&registry)
}

/// Gauges in the order in which they were added.
#[derive(Debug, Default)]
struct GaugeCollector(Vec<Gauge>);

#[derive(Debug)]
struct Gauge {
    name: String,
    help: &'static str,
    value: GaugeValue,
}

#[derive(Debug)]
enum GaugeValue {
    One(f64),
    Many(Vec<(Labels, f64)>),
}

impl GaugeCollector {
    fn one(&mut self, name: impl Into<String>, help: &'static str, value: f64) {
        let (name, value) = (name.into(), GaugeValue::One(value));
        self.0.push(Gauge { name, help, value });
    }

    fn many(&mut self, name: impl Into<String>, help: &'static str, values: Vec<(Labels, f64)>) {
        if !values.is_empty() {
            let (name, value) = (name.into(), GaugeValue::Many(values));
            self.0.push(Gauge { name, help, value });
        }
    }
}

impl Collector for GaugeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Gauge { name, help, value } in &self.0 {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            match value {
                GaugeValue::One(value) => ConstGauge::new(*value).encode(gauge)?,
                GaugeValue::Many(values) => {
                    for (labels, value) in values {
                        ConstGauge::new(*value).encode(gauge.encode_family(labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the metrics that blackbox_exporter also has, under its names, so that its dashboards and rules apply.
fn blackbox(report: &ProbeReport) -> GaugeCollector {
    let mut gauges = GaugeCollector::default();
    let success = f64::from(report.status() != Status::Critical);
    gauges.one(
        "probe_success",
        "Whether the probe found nothing critical",
        success,
    );
    gauges.one(
        "probe_duration_seconds",
        "How long the probe took",
        report.took.as_secs_f64(),
    );
    let days = measure::TLS_DAYS.name;
    if let Some(days) = report.measures().find(|it| it.kind.name == days) {
        const DAY: f64 = 86_400.0;
        let ends = report.at.as_second() as f64 + days.value * DAY;
        let help = "When the first certificate of the chain expires, in seconds since 1970, exact to a day";
        gauges.one("probe_ssl_earliest_cert_expiry", help, ends);
    }
    gauges
}

/// Returns the status of each check and every number: those of the stream, then those of each partition.
fn probe_gauges(report: &ProbeReport) -> GaugeCollector {
    let mut gauges = GaugeCollector::default();
    let status = report.results.iter().map(|result| {
        let labels = vec![("check", result.check.to_owned())];
        (labels, f64::from(result.status.exit_code()))
    });
    gauges.many(
        "status",
        "Status of each check: 0 ok, 1 warning, 2 critical",
        status.collect(),
    );
    let at = report.at.as_millisecond() as f64 / 1000.0;
    gauges.one("last_run_timestamp_seconds", "When the last run began", at);
    for kind in measure::KINDS {
        let of_kind = || report.measures().filter(|measure| measure.kind.name == kind.name);
        let name = format!("{}{}", kind.name, kind.unit.suffix());
        if let Some(whole) = of_kind().find(|measure| measure.partition.is_none()) {
            gauges.one(&name, kind.help, whole.value);
        }
        let each = of_kind().filter_map(|measure| Some((labels(measure.partition.as_ref()?), measure.value)));
        gauges.many(format!("partition_{name}"), kind.help, each.collect());
    }
    gauges
}

fn labels((topic, partition): &(String, i32)) -> Labels {
    vec![("topic", topic.clone()), ("partition", partition.to_string())]
}
