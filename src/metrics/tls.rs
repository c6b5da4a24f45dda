//! Metrics of TLS on the listeners.
//!
//! Not here: the handshakes (`http`), and reading certificates (`tls`).

use std::time::SystemTime;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

use super::{Label, metric_set};

metric_set! {
    /// Handshakes, and the certificates that are served.
    pub struct TlsMetrics {
        handshakes: Family<HandshakeLabels, Counter> = "tls_handshakes",
            "TLS handshakes, by listener, TLS version, whether a session was resumed, and outcome";
        expiry: Family<CertificateLabels, Gauge> = "tls_certificate_expiry_timestamp_seconds",
            "When the first certificate of a served chain expires";
        reload_failures: Family<Label<&'static str>, Counter> = "tls_reload_failures",
            "Failed attempts to read certificates again; the previous ones are still served";
        refused_files: Family<Label<&'static str>, Gauge> = "tls_files_refused",
            "Whether the certificates in the files cannot be used, so that previous ones are still served";
    }
}

impl TlsMetrics {
    /// Returns the metrics of one listener. They show from now on, at zero.
    pub fn of(&self, listener: &'static str) -> ListenerTlsMetrics {
        let label = [("listener", listener)];
        _ = self.reload_failures.get_or_create(&label);
        _ = self.refused_files.get_or_create(&label);
        ListenerTlsMetrics {
            metrics: self.clone(),
            listener,
        }
    }
}

/// The metrics of one listener.
#[derive(Clone, Debug)]
pub struct ListenerTlsMetrics {
    metrics: TlsMetrics,
    listener: &'static str,
}

impl ListenerTlsMetrics {
    /// Counts a handshake that succeeded. `version` is "1.2" or "1.3".
    pub fn completed(&self, version: &'static str, resumed: bool) {
        let resumption = if resumed { "resumed" } else { "full" };
        self.count(version, resumption, "completed");
    }

    /// Counts a handshake that failed before its version was known.
    pub fn failed(&self, failure: HandshakeFailure) {
        self.count(NONE, NONE, failure.name());
    }

    fn count(&self, version: &'static str, resumption: &'static str, outcome: &'static str) {
        let labels = HandshakeLabels {
            listener: self.listener,
            version,
            resumption,
            outcome,
        };
        self.metrics.handshakes.get_or_create(&labels).inc();
    }

    /// Sets when this certificate expires, from now on.
    pub fn set_expiry(&self, certificate: &str, expires: SystemTime) {
        let seconds = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(seconds.as_secs()).unwrap_or(i64::MAX);
        let labels = self.certificate(certificate);
        self.metrics.expiry.get_or_create(&labels).set(seconds);
    }

    /// Removes a certificate that is no longer served.
    pub fn remove_expiry(&self, certificate: &str) {
        self.metrics.expiry.remove(&self.certificate(certificate));
    }

    /// Counts an attempt to read certificates again that failed.
    pub fn reload_failure(&self) {
        self.metrics.reload_failures.get_or_create(&self.label()).inc();
    }

    /// Sets whether the files that are there now cannot be served.
    pub fn set_files_refused(&self, refused: bool) {
        let gauge = self.metrics.refused_files.get_or_create(&self.label());
        gauge.set(i64::from(refused));
    }

    fn label(&self) -> Label<&'static str> {
        [("listener", self.listener)]
    }

    fn certificate(&self, certificate: &str) -> CertificateLabels {
        CertificateLabels {
            listener: self.listener,
            certificate: certificate.into(),
        }
    }
}

named! {
    /// Why a handshake failed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum HandshakeFailure {
        /// The client sent something that is no TLS, or that we do not speak, or has no certificate that is accepted.
        Refused = "refused",
        /// The client closed or reset its connection, perhaps because it does not trust our certificate.
        Closed = "closed",
        /// The client did not complete it in time.
        TimedOut = "timed_out",
        /// Its connection was closed for a new one, because too many were without a stream.
        Evicted = "evicted",
    }
}

/// The label of what is not known.
const NONE: &str = "none";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    listener: &'static str,
    version: &'static str,
    resumption: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    listener: &'static str,
    certificate: String,
}
