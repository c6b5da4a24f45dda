//! The alerts, their tests and their runbook, checked against each other and against the metrics of the
//! binary.
//!
//! `promtool` checks that each alert fires: `./tests/run` makes it test `tests/alerts/alerts.test.yaml`.

use std::collections::BTreeSet;

use crate::docs::markdown::text;

/// Metrics that alerts use and that this process does not have: Prometheus's own, and the probe's.
#[cfg(feature = "kafka")]
const OF_OTHERS: [&str; 2] = ["up", "probe_success"];

/// Returns what follows `key` at the beginning of lines.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.trim_start().strip_prefix(key))
        .map(str::trim)
}

/// Returns the names of all alerts.
fn alerts() -> BTreeSet<String> {
    let rules = text("config/alerts.yaml");
    let names: BTreeSet<_> = values(&rules, "- alert: ").map(str::to_owned).collect();
    assert!(!names.is_empty());
    names
}

#[test]
fn every_alert_has_a_section_of_the_runbook_and_every_section_an_alert() {
    let runbook = text("docs/runbook.md");
    let sections: BTreeSet<_> = values(&runbook, "### ").map(str::to_owned).collect();
    assert_eq!(
        alerts(),
        sections,
        "left: alerts, right: sections of docs/runbook.md"
    );
    let links: BTreeSet<_> = values(&text("config/alerts.yaml"), "runbook_url: ")
        .map(|link| link.rsplit_once('#').unwrap().1.to_owned())
        .collect();
    let anchors: BTreeSet<_> = sections.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(links, anchors, "left: runbook_url, right: sections");
}

#[test]
fn every_cause_names_tests_that_there_are() {
    let causes = text("docs/health.md");
    let rows = causes.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut count = 0;
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let mut source = None;
        for name in tests.split('`').skip(1).step_by(2) {
            match name.ends_with(".rs") {
                true => source = Some(text(name)),
                false => {
                    let source = source.as_deref().unwrap_or_default();
                    assert!(source.contains(&format!("fn {name}(")), "{name}, of {row}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 20, "{count} tests");
}

#[test]
fn every_section_says_what_it_means_what_clients_see_and_what_to_do() {
    let runbook = text("docs/runbook.md");
    let sections = runbook.split("\n### ").skip(1);
    for section in sections.map(|section| section.split("\n## ").next().unwrap()) {
        for part in ["- **Means**", "- **Clients see**", "- **Do**"] {
            assert!(section.contains(part), "{part} is not in\n{section}");
        }
    }
}

#[test]
fn every_alert_is_seen_to_fire() {
    let tests = text("tests/alerts/alerts.test.yaml");
    let silent: Vec<_> = alerts()
        .into_iter()
        .filter(|alert| !tests.contains(&format!("alertname=\"{alert}\"")))
        .collect();
    assert_eq!(silent, [""; 0]);
}

#[test]
fn every_alert_has_a_severity_and_a_summary() {
    let rules = text("config/alerts.yaml");
    let count = alerts().len();
    assert_eq!(values(&rules, "summary: ").count(), count);
    let severities: Vec<_> = values(&rules, "severity: ").collect();
    assert_eq!(severities.len(), count);
    assert!(
        severities.iter().all(|it| ["critical", "warning"].contains(it)),
        "{severities:?}"
    );
}

/// Returns the metrics that the rules' expressions name.
#[cfg(feature = "kafka")]
fn named() -> BTreeSet<String> {
    let rules = text("config/alerts.yaml");
    let mut named = BTreeSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let expression = rule.split("expr: |").nth(1).unwrap();
        let expression = expression.split("labels:\n").next().unwrap();
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let metrics = words.filter(|word| word.starts_with("riverhead_") || OF_OTHERS.contains(word));
        named.extend(metrics.map(str::to_owned));
    }
    named
}

#[cfg(feature = "kafka")]
mod exported {
    use std::{
        collections::BTreeSet,
        io::Read,
        thread,
        time::{Duration, Instant},
    };

    use super::{OF_OTHERS, named};
    use crate::docs::demo::{Demo, send, send_with};

    fn metrics(demo: &Demo) -> BTreeSet<String> {
        let mut text = String::new();
        send(&demo.admin, "GET", "/metrics")
            .read_to_string(&mut text)
            .unwrap();
        text.lines()
            .filter(|line| line.starts_with("riverhead_"))
            .filter_map(|line| line.split(['{', ' ']).next())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_metric_that_an_alert_names_is_exported() {
        let demo = Demo::start();
        let wanted: BTreeSet<_> = named()
            .into_iter()
            .filter(|name| !OF_OTHERS.contains(&name.as_str()))
            .collect();
        let bad = send_with(&demo.public, "GET", "/", "authorization: Bearer bad\r\n");
        // One stream is admitted, and the next one is refused.
        let _answers = [
            bad,
            send(&demo.public, "GET", "/v2/stream/recentchange"),
            send(&demo.public, "GET", "/v2/stream/recentchange"),
        ];
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let exported = metrics(&demo);
            let lacking: Vec<_> = wanted.difference(&exported).collect();
            if lacking.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{lacking:?} are not among {exported:?}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}
