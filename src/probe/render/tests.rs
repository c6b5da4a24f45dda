use std::time::Duration;

use super::*;
use crate::probe::{
    Check, CheckResult, Measurement, Thresholds,
    measure::{CONNECT, EVENT_AGE, FIRST_EVENT, LOST, REPEATED, SILENT, TLS_DAYS},
};

fn report(results: impl IntoIterator<Item = CheckResult>) -> ProbeReport {
    let judged = |result: CheckResult| result.judged(&Thresholds::default());
    ProbeReport {
        stream: "recentchange".into(),
        url: "https://stream.example/v2/stream/recentchange".into(),
        at: "2026-09-27T12:00:00Z".parse().unwrap(),
        took: Duration::from_millis(1_234),
        results: results.into_iter().map(judged).collect(),
    }
}

fn connected(seconds: f64) -> CheckResult {
    let days = Measurement::new(TLS_DAYS, 61.0);
    Check("connect")
        .ok("connected")
        .with(Measurement::new(CONNECT, seconds))
        .with(days)
}

/// Returns a report without faults.
fn good() -> ProbeReport {
    let partition =
        |number, age| Measurement::of_partition(EVENT_AGE, age, ("eqiad.\"changes\"".into(), number));
    report([
        connected(0.0031),
        Check("first_event")
            .ok("first event after 0.21s")
            .with(Measurement::new(FIRST_EVENT, 0.21)),
        Check("freshness")
            .ok("age 0.8s, 2/2 partitions")
            .with(Measurement::new(EVENT_AGE, 0.8))
            .with(Measurement::new(SILENT, 0.0).of(2.0))
            .with(partition(0, 0.8))
            .with(partition(1, 2.5)),
        Check("resume")
            .ok("resume exact")
            .with(Measurement::new(LOST, 0.0))
            .with(Measurement::new(REPEATED, 0.0)),
    ])
}

/// Returns a report with a slow connection and lost events. Its text has characters that would break a line.
fn bad() -> ProbeReport {
    report([
        connected(1.5),
        Check("resume")
            .critical("resume not exact: 2 events lost | really\nso")
            .with(Measurement::new(LOST, 2.0)),
        Check("since").ok("since=60s holds"),
    ])
}

#[test]
fn nagios_gets_one_line() {
    let lines = [good(), bad()].map(|report| ReportFormat::Nagios.write(&report).unwrap());
    insta::assert_snapshot!(lines.concat());
    let nothing = ReportFormat::Nagios.write(&report([])).unwrap();
    assert!(
        nothing.starts_with("RIVERHEAD CRITICAL - recentchange"),
        "no finding is no good one: {nothing}"
    );
}

#[test]
fn programs_get_a_document() {
    insta::assert_snapshot!(ReportFormat::Json.write(&good()).unwrap());
}

#[test]
fn prometheus_gets_metrics() {
    insta::assert_snapshot!(ReportFormat::Prometheus.write(&good()).unwrap());
    let bad = ReportFormat::Prometheus.write(&bad()).unwrap();
    assert!(bad.contains("\nprobe_success 0.0\n"), "{bad}");
    assert!(
        bad.contains("\nriverhead_probe_status{check=\"resume\"} 2.0\n"),
        "{bad}"
    );
}

#[test]
fn nothing_that_a_hostile_server_says_reaches_the_terminal_as_a_command() {
    let said =
        "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m \0 \u{85}\u{2028}\u{202e}gnitaroc\u{2066} | x=1\t\u{7f}";
    let report = report([Check("head").critical(said)]);
    let line = ReportFormat::Nagios.write(&report).unwrap();
    let text = line.strip_suffix('\n').unwrap();
    assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
    assert!(
        !text.contains(['\u{2028}', '\u{202e}', '\u{2066}', '|']),
        "{text:?}"
    );
    assert!(text.contains("gnitaroc"), "{text:?}");
}
