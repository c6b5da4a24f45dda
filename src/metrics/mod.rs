//! Prometheus metrics and their OpenMetrics text.
//!
//! Each module registers its metrics with the one [`Registry`] that `app` builds. A label never holds what a client sent: the
//! values of all labels are names of the configuration and fixed words, so that no client can grow the registry.
//!
//! Not here: the metrics of Kafka clients (`kafka::metrics`).

mod auth;
mod eventstreams;
mod http;
mod label_value;
mod limits;
mod metric_set;
mod process;
mod scrape;
mod stream;
mod stream_config;
mod tls;

pub use auth::AuthMetrics;
pub use eventstreams::{ConnectedClientGuard, EventStreamsMetrics, MetricsSettings};
pub use http::{AdminRefusal, ConnectionRefusal, HttpMetrics};
pub use limits::LimitMetrics;
pub(crate) use metric_set::metric_set;
pub use process::{LifecycleMetrics, register as register_process};
pub use prometheus_client::registry::Registry;
pub use scrape::{Scrape, register_scrape};
pub use stream::{COMPOSITE, EndReason, StartPoint, StreamMetrics};
pub use stream_config::StreamConfigMetrics;
pub use tls::{HandshakeFailure, ListenerTlsMetrics, TlsMetrics};

use prometheus_client::encoding::text::{encode_eof, encode_registry};

/// A label set of one label: its name and its value.
type Label<V> = [(&'static str, V); 1];

/// Content type of the text that [`render`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Creates an empty registry. All its names start with `riverhead_`.
pub fn registry() -> Registry {
    Registry::with_prefix("riverhead")
}

/// Returns all registered metrics as OpenMetrics text.
///
/// # Errors
/// If a metric cannot write itself. None of ours is known to fail.
pub fn render(registry: &Registry) -> Result<String, std::fmt::Error> {
    render_with(registry, None)
}

/// Returns the same text with the metrics of EventStreams behind them, if there are any.
///
/// # Errors
/// As [`render`].
pub fn render_with(
    registry: &Registry,
    eventstreams: Option<&EventStreamsMetrics>,
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode_registry(&mut text, registry)?;
    if let Some(eventstreams) = eventstreams {
        encode_registry(&mut text, eventstreams.registry())?;
    }
    encode_eof(&mut text)?;
    Ok(text)
}
