//! The names of the sections, as they are written in the file and, in capitals and with `__` for a dot, in the environment.

pub(super) const HTTP_NAME: &str = "http";
pub(super) const HTTP_CORS_NAME: &str = "http.cors";
pub(super) const HTTP_TLS_NAME: &str = "http.tls";
pub(super) const ADMIN_NAME: &str = "admin";
pub(super) const ADMIN_TLS_NAME: &str = "admin.tls";
pub(super) const AUTH_NAME: &str = "auth";
pub(super) const LIMITS_NAME: &str = "limits";
pub(super) const MEMORY_NAME: &str = "memory";
pub(super) const STATE_NAME: &str = "state";
pub(super) const LOG_NAME: &str = "log";
pub(super) const METRICS_NAME: &str = "metrics";
pub(super) const CLUSTERS_NAME: &str = "clusters";
pub(super) const STREAMS_NAME: &str = "streams";
pub(super) const STREAM_CONFIG_NAME: &str = "stream_config";
