//! What is counted, and its text form.
//!
//! Every module registers what it counts with the one [`Registry`] that `app` builds. A label never holds what a stranger
//! sent: every label's values are known when the process starts, so that nobody can grow the registry.

mod http;
mod lifecycle;
mod limits;
mod process;

pub use http::{
    AdminRefusal, COMPOSITE, ConnectionRefusal, EndReason, HttpMetrics, StartPoint, StreamMetrics,
};
pub use lifecycle::LifecycleMetrics;
pub use limits::LimitMetrics;
pub use process::register as register_process;
pub use prometheus_client::registry::Registry;

/// What [`render`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An empty registry, whose names begin with `riverhead_`.
pub fn registry() -> Registry {
    Registry::with_prefix("riverhead")
}

/// All that is registered, as OpenMetrics text.
///
/// # Errors
/// When a metric cannot write itself; none of ours is known to.
pub fn render(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(text)
}
