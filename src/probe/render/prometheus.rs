//! The report as Prometheus metrics.

use std::fmt;

use prometheus_client::metrics::{counter::Counter, family::Family};

use super::super::{ProbeReport, Status, measure};
use crate::metrics::{self, Registry, Scrape, register_scrape};

/// The number of runs by status, for a probe that runs again and again.
pub(in crate::probe) type Runs = Family<Labels, Counter>;

type Labels = Vec<(&'static str, String)>;

pub(in crate::probe) fn text(report: &ProbeReport, runs: Option<&Runs>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let (report, measured) = (report.clone(), report.clone());
    register_scrape(&mut registry, move |scrape| write_blackbox(scrape, &report));
    let own = registry.sub_registry_with_prefix("riverhead_probe");
    register_scrape(own, move |scrape| write_measures(scrape, &measured));
    if let Some(runs) = runs {
        own.register("runs", "Runs by status", runs.clone());
    }
    metrics::render(&registry)
}

/// Writes the metrics that blackbox_exporter also has, under its names, so that its dashboards and rules apply.
fn write_blackbox(scrape: &mut Scrape<'_>, report: &ProbeReport) -> fmt::Result {
    let success = f64::from(report.status() != Status::Critical);
    scrape.gauge(
        "probe_success",
        "Whether the probe found nothing critical",
        success,
    )?;
    let took = report.took.as_secs_f64();
    scrape.gauge("probe_duration_seconds", "How long the probe took", took)?;
    let days = measure::TLS_DAYS.name;
    if let Some(days) = report.measures().find(|it| it.kind.name == days) {
        const DAY: f64 = 86_400.0;
        let ends = report.at.as_second() as f64 + days.value * DAY;
        let help = "When the first certificate of the chain expires, in seconds since 1970, exact to a day";
        scrape.gauge("probe_ssl_earliest_cert_expiry", help, ends)?;
    }
    Ok(())
}

/// Writes the status of each check and every number: those of the stream, then those of each partition.
fn write_measures(scrape: &mut Scrape<'_>, report: &ProbeReport) -> fmt::Result {
    let status = report.results.iter().map(|result| {
        let code = f64::from(result.status.exit_code());
        ([("check", result.check)], code)
    });
    scrape.gauges(
        "status",
        "Status of each check: 0 ok, 1 warning, 2 critical",
        status,
    )?;
    let at = report.at.as_millisecond() as f64 / 1000.0;
    scrape.gauge("last_run_timestamp_seconds", "When the last run began", at)?;
    for kind in measure::KINDS {
        let of_kind = || report.measures().filter(|measure| measure.kind.name == kind.name);
        let name = format!("{}{}", kind.name, kind.unit.suffix());
        if let Some(whole) = of_kind().find(|measure| measure.partition.is_none()) {
            scrape.gauge(&name, kind.help, whole.value)?;
        }
        let each = of_kind().filter_map(|measure| Some((labels(measure.partition.as_ref()?), measure.value)));
        scrape.gauges(&format!("partition_{name}"), kind.help, each)?;
    }
    Ok(())
}

fn labels((topic, partition): &(String, i32)) -> Labels {
    vec![("topic", topic.clone()), ("partition", partition.to_string())]
}
