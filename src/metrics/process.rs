//! Metrics of the process: its version and uptime, reloads and successors.
//!
//! Not here: reloads and successors themselves (`app`).

use std::time::Instant;

use prometheus_client::{
    metrics::{counter::Counter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

use super::{metric_set, scrape::register_scrape};

/// Registers the build's version and the uptime, counted from this call.
pub fn register(registry: &mut Registry) {
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version of riverhead", build);
    let start = Instant::now();
    register_scrape(registry, move |scrape| {
        let uptime = ConstGauge::new(start.elapsed().as_secs_f64());
        scrape.metric(
            "uptime",
            "How long this process has run",
            Some(&Unit::Seconds),
            &uptime,
        )
    });
}

metric_set! {
    /// Reloads that failed, and successors that were started.
    pub struct LifecycleMetrics {
        /// Reloads whose configuration could not be read.
        pub reload_failures: Counter = "reload_failures",
            "Reloads whose configuration could not be read; the old configuration stays in force";
        /// Successor processes that were started.
        pub successors_started: Counter = "successors_started",
            "Successor processes started to take over from this process";
        /// Successors that will never take over, or could not be started.
        pub successors_unfit: Counter = "successors_unfit",
            "Successor processes that did not take over: they did not start, ended, or got no answer from \
             Kafka in time";
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::{registry, render};

    #[test]
    fn the_text_names_the_build_and_ends_as_openmetrics_wants() {
        let mut registry = registry();
        super::register(&mut registry);
        let text = render(&registry).unwrap();
        assert!(text.contains("riverhead_build_info{version="), "{text}");
        assert!(text.contains("\nriverhead_uptime_seconds "), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
