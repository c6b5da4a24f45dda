//! Metrics of the process's lifecycle, recorded by `app`.
//!
//! Not here: reloads and successors themselves (`app`).

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// Reloads that failed, and successors that were started.
#[derive(Clone, Debug, Default)]
pub struct LifecycleMetrics {
    /// Reloads whose configuration could not be read.
    pub reload_failures: Counter,
    /// Successor processes that were started.
    pub successors_started: Counter,
    /// Successors that will never take over, or could not be started.
    pub successors_unfit: Counter,
}

impl LifecycleMetrics {
    /// Registers all metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register(
            "reload_failures",
            "Times that the configuration was to be read again and could not be; the old one is in force",
            own.reload_failures.clone(),
        );
        registry.register(
            "successors_started",
            "Processes that were started to take over from this one",
            own.successors_started.clone(),
        );
        registry.register(
            "successors_unfit",
            "Processes that were to take over from this one and did not: no answer from Kafka, or none at all",
            own.successors_unfit.clone(),
        );
        own
    }
}
