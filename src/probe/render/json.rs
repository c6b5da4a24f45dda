//! A report for programs.

use serde::Serialize;

use super::super::{Finding, Measure, Range, Report, Status, finding::rounded};

pub(in crate::probe) fn document(report: &Report) -> String {
    let document = Document {
        status: name(report.status()),
        stream: &report.stream,
        url: &report.url,
        at: report.at.to_string(),
        seconds: rounded(report.took.as_secs_f64()),
        summary: report.summary(),
        checks: report.findings.iter().map(Check::of).collect(),
    };
    // Strings and numbers: there is nothing in it that could fail.
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text + "\n"
}

#[derive(Serialize)]
struct Document<'a> {
    status: String,
    stream: &'a str,
    url: &'a str,
    at: String,
    seconds: f64,
    summary: String,
    checks: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    check: &'static str,
    status: String,
    sentence: &'a str,
    measures: Vec<Number<'a>>,
}

#[derive(Serialize)]
struct Number<'a> {
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

impl<'a> Check<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            check: finding.check,
            status: name(finding.status),
            sentence: &finding.sentence,
            measures: finding.measures.iter().map(Number::of).collect(),
        }
    }
}

impl<'a> Number<'a> {
    fn of(measure: &'a Measure) -> Self {
        let range = |range: Option<Range>| range.map(|range| range.to_string());
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
