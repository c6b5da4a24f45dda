//! The report as JSON, for programs.

use serde::Serialize;

use super::super::{AlertRange, CheckResult, Measurement, ProbeReport, Status, check_result::rounded};

pub(in crate::probe) fn document(report: &ProbeReport) -> String {
    let document = JsonReport {
        status: name(report.status()),
        stream: &report.stream,
        url: &report.url,
        at: report.at.to_string(),
        seconds: rounded(report.took.as_secs_f64()),
        summary: report.summary(),
        checks: report.results.iter().map(JsonCheck::of).collect(),
    };
    // The document has only strings and numbers, so this cannot fail.
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text + "\n"
}

#[derive(Serialize)]
struct JsonReport<'a> {
    status: String,
    stream: &'a str,
    url: &'a str,
    at: String,
    seconds: f64,
    summary: String,
    checks: Vec<JsonCheck<'a>>,
}

#[derive(Serialize)]
struct JsonCheck<'a> {
    check: &'static str,
    status: String,
    sentence: &'a str,
    measures: Vec<JsonMeasurement<'a>>,
}

#[derive(Serialize)]
struct JsonMeasurement<'a> {
    name: String,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    critical: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<f64>,
}

impl<'a> JsonCheck<'a> {
    fn of(check_result: &'a CheckResult) -> Self {
        Self {
            check: check_result.check,
            status: name(check_result.status),
            sentence: &check_result.sentence,
            measures: check_result.measures.iter().map(JsonMeasurement::of).collect(),
        }
    }
}

impl<'a> JsonMeasurement<'a> {
    fn of(measure: &'a Measurement) -> Self {
        let range = |range: Option<AlertRange>| range.map(|range| range.to_string());
        let partition = measure.partition.as_ref();
        Self {
            name: format!("{}{}", measure.kind.name, measure.kind.unit.suffix()),
            value: rounded(measure.value),
            topic: partition.map(|(topic, _)| topic.as_str()),
            partition: partition.map(|(_, partition)| *partition),
            warning: range(measure.warning),
            critical: range(measure.critical),
            most: measure.most,
        }
    }
}

fn name(status: Status) -> String {
    status.name().to_lowercase()
}
