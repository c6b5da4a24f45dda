//! Metrics of the streams that are configured elsewhere.
//!
//! Not here: reading them (`app`).

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::metric_set;

metric_set! {
    /// The streams of `[stream_config]`, and the attempts to read them.
    pub struct StreamConfigMetrics {
        served: Gauge = "stream_config_streams", "Streams of [stream_config] that are served";
        faulty: Gauge = "stream_config_faulty_streams",
            "Streams of [stream_config] that cannot be served as it says; they are served as before, or left out";
        failing: Gauge = "stream_config_failing",
            "Whether the last attempt to read [stream_config] failed; the streams that were read last are served";
        failures: Counter = "stream_config_failures", "Failed attempts to read the streams of [stream_config]";
    }
}

impl StreamConfigMetrics {
    /// Sets how many streams are served, and how many of the document cannot be.
    pub fn set_streams(&self, served: usize, faulty: usize) {
        self.served.set(i64::try_from(served).unwrap_or(i64::MAX));
        self.faulty.set(i64::try_from(faulty).unwrap_or(i64::MAX));
    }

    /// Counts an attempt to read the document that failed.
    pub fn read_failed(&self) {
        self.failures.inc();
        self.failing.set(1);
    }

    /// Records that the document was read, or that there is none to read any more.
    pub fn recovered(&self) {
        self.failing.set(0);
    }
}
