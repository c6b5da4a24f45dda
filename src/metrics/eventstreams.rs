//! The metrics of EventStreams, under its own names, for dashboards and alerts that were made for it.
//!
//! They are in a registry of their own, because their names do not begin with `riverhead_`. What they count, the metrics
//! of [`HttpMetrics`](super::HttpMetrics) count better.

use std::{borrow::Cow, collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{COMPOSITE, Label};

/// The section `metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Whether `/metrics` has the metrics of EventStreams too. They are off by default, because they say nothing new.
    pub eventstreams: bool,
}

/// The metrics of EventStreams. Clones share them.
#[derive(Clone, Debug)]
pub struct EventStreamsMetrics(Arc<EventStreamsInner>);

#[derive(Debug)]
struct EventStreamsInner {
    registry: Registry,
    clients: Family<Label<String>, Gauge>,
    connections: Family<Label<String>, Counter>,
    durations: Family<RouteLabels, Histogram>,
    /// The names that have series.
    used: Mutex<HashSet<String>>,
}

/// The labels of a request. The values of all of them are from fixed sets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    path: String,
    method: &'static str,
    status: u16,
}

impl EventStreamsMetrics {
    /// Creates them if these settings ask for them.
    pub fn of(settings: &MetricsSettings) -> Option<Self> {
        settings.eventstreams.then(Self::new)
    }

    fn new() -> Self {
        let label = (Cow::Borrowed("service"), Cow::Borrowed(SERVICE));
        let mut registry = Registry::with_labels([label].into_iter());
        let clients = Family::<Label<String>, Gauge>::default();
        let connections = Family::<Label<String>, Counter>::default();
        let durations = Family::<RouteLabels, Histogram>::new_with_constructor(histogram);
        registry.register(
            "eventstreams_connected_clients",
            "Clients connected now, by stream",
            clients.clone(),
        );
        registry.register(
            "eventstreams_client_connections",
            "Clients connected so far, by stream, or \"composite\" for several streams at once",
            connections.clone(),
        );
        registry.register(
            "express_router_request_duration_seconds",
            "Time from a request to the head of its response, in seconds, by route",
            durations.clone(),
        );
        Self(Arc::new(EventStreamsInner {
            registry,
            clients,
            connections,
            durations,
            used: Mutex::default(),
        }))
    }

    /// Counts a client of these streams, until the result is dropped. `combination` stands for all of them together, and has
    /// to be one of a fixed set.
    pub fn client<'a>(
        &self,
        combination: &str,
        streams: impl Iterator<Item = &'a str>,
    ) -> ConnectedClientGuard {
        let label = [("streams", combination.to_owned())];
        self.0.connections.get_or_create(&label).inc();
        let mut used = self.0.used.lock();
        used.insert(combination.to_owned());
        let gauge = |stream: &str| {
            used.insert(stream.to_owned());
            self.0
                .clients
                .get_or_create_owned(&[("stream", stream.to_owned())])
        };
        let gauges: Box<[Gauge]> = streams.map(gauge).collect();
        for gauge in &gauges {
            gauge.inc();
        }
        ConnectedClientGuard(gauges)
    }

    /// Removes the series of streams that `is_there` is false for.
    pub(super) fn keep_streams(&self, is_there: impl Fn(&str) -> bool) {
        let mut used = self.0.used.lock();
        for stream in used.extract_if(|stream| stream != COMPOSITE && !is_there(stream)) {
            self.0.connections.remove(&[("streams", stream.clone())]);
            self.0.clients.remove(&[("stream", stream)]);
        }
    }

    /// Records how long a request to a route took. `route` is the path as the router knows it.
    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels = RouteLabels {
            path: path_label(route),
            method: METHODS
                .into_iter()
                .find(|known| *known == method)
                .unwrap_or("OTHER"),
            status,
        };
        let durations = self.0.durations.get_or_create(&labels);
        durations.observe(took.as_secs_f64());
    }

    /// Returns the registry that has these metrics and no others.
    pub(super) fn registry(&self) -> &Registry {
        &self.0.registry
    }
}

/// A connected client. Dropping it counts the client as gone.
#[derive(Debug)]
pub struct ConnectedClientGuard(Box<[Gauge]>);

impl Drop for ConnectedClientGuard {
    fn drop(&mut self) {
        for gauge in &self.0 {
            gauge.dec();
        }
    }
}

/// Returns a route in the form of the label of EventStreams: `v2/stream/--streams`, and `root` for `/`.
fn path_label(route: &str) -> String {
    match route.strip_prefix('/') {
        None | Some("") => "root".to_owned(),
        Some(path) => path.replace('{', "--").replace('}', ""),
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// The label that all metrics of EventStreams have: the name of the service.
const SERVICE: &str = "eventstreams";

/// The methods that routes answer.
const METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// The upper bounds of the buckets, in seconds: those of EventStreams.
const BUCKETS: [f64; 5] = [0.01, 0.05, 0.1, 0.3, 1.0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{registry, render_with};

    fn text(metrics: &EventStreamsMetrics) -> String {
        render_with(&registry(), Some(metrics)).unwrap()
    }

    #[test]
    fn they_have_the_names_and_labels_of_eventstreams() {
        let metrics = EventStreamsMetrics::new();
        let one = metrics.client("recentchange", ["recentchange"].into_iter());
        let both = metrics.client("composite", ["recentchange", "revision"].into_iter());
        metrics.request("/v2/stream/{streams}", "GET", 200, Duration::from_millis(20));
        metrics.request("/", "GET", 200, Duration::ZERO);
        metrics.request("/_info/name", "BREW", 405, Duration::from_secs(2));
        let of_stream = r#"service="eventstreams",path="v2/stream/--streams",method="GET",status="200""#;
        let shown = text(&metrics);
        for line in [
            r#"eventstreams_connected_clients{service="eventstreams",stream="recentchange"} 2"#,
            r#"eventstreams_connected_clients{service="eventstreams",stream="revision"} 1"#,
            r#"eventstreams_client_connections_total{service="eventstreams",streams="recentchange"} 1"#,
            r#"eventstreams_client_connections_total{service="eventstreams",streams="composite"} 1"#,
            &format!("express_router_request_duration_seconds_count{{{of_stream}}} 1"),
            r#"express_router_request_duration_seconds_count{service="eventstreams",path="root",method="GET",status="200"} 1"#,
            r#"express_router_request_duration_seconds_count{service="eventstreams",path="_info/name",method="OTHER",status="405"} 1"#,
        ] {
            assert!(shown.contains(&format!("{line}\n")), "{line} is not in\n{shown}");
        }
        drop((one, both));
        let left = r#"eventstreams_connected_clients{service="eventstreams",stream="recentchange"} 0"#;
        assert!(text(&metrics).contains(&format!("{left}\n")));
    }

    #[test]
    fn a_text_of_both_registries_ends_once() {
        let text = text(&EventStreamsMetrics::new());
        assert_eq!(text.matches("# EOF\n").count(), 1);
        assert!(text.ends_with("# EOF\n"), "{text}");
        assert!(EventStreamsMetrics::of(&MetricsSettings::default()).is_none());
    }
}
