//! The report as JSON, for programs.

use serde::{Serialize, Serializer};

use super::super::{AlertRange, CheckResult, Measurement, ProbeReport, Status, rounded};

pub(in crate::probe) fn document(report: &ProbeReport) -> String {
    let document = JsonReport {
        status: report.status(),
        stream: &report.stream,
        url: &report.url,
        at: report.at.to_string(),
        seconds: rounded(report.took.as_secs_f64()),
        summary: report.summary(),
        checks: &report.results,
    };
    // The document has only strings and numbers, so this cannot fail.
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text + "\n"
}

#[derive(Serialize)]
struct JsonReport<'a> {
    status: Status,
    stream: &'a str,
    url: &'a str,
    at: String,
    seconds: f64,
    summary: String,
    checks: &'a [CheckResult],
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

impl Serialize for Measurement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let range = |range: Option<AlertRange>| range.map(|range| range.to_string());
        let partition = self.partition.as_ref();
        let document = JsonMeasurement {
            name: format!("{}{}", self.kind.name, self.kind.unit.suffix()),
            value: rounded(self.value),
            topic: partition.map(|(topic, _)| topic.as_str()),
            partition: partition.map(|(_, partition)| *partition),
            warning: range(self.warning),
            critical: range(self.critical),
            most: self.most,
        };
        document.serialize(serializer)
    }
}
