//! Metrics of the process's lifecycle, recorded by `app`.
//!
//! Not here: reloads and successors themselves (`app`).

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// Reloads that failed, and successors that were started.
#[derive(Clone, Debug, Default)]
pub struct LifecycleMetrics {
    reload_failures: Counter,
    successors_started: Counter,
    successors_unfit: Counter,
}

impl LifecycleMetrics {
    /// Registers all metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register(
            "reload_failures",
            "Reloads whose configuration could not be read; the old configuration stays in force",
            own.reload_failures.clone(),
        );
        registry.register(
            "successors_started",
            "Successor processes started to take over from this process",
            own.successors_started.clone(),
        );
        registry.register(
            "successors_unfit",
            "Successor processes that did not take over: they did not start, ended, or got no answer from \
             Kafka in time",
            own.successors_unfit.clone(),
        );
        own
    }

    /// Counts a reload whose configuration could not be read.
    pub fn reload_failure(&self) {
        self.reload_failures.inc();
    }

    /// Counts a successor process that was started.
    pub fn successor_started(&self) {
        self.successors_started.inc();
    }

    /// Counts a successor that will never take over, or could not be started.
    pub fn successor_unfit(&self) {
        self.successors_unfit.inc();
    }
}
