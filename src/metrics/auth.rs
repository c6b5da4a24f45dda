//! Metrics of credentials.
//!
//! Not here: their check (`auth`).

use std::time::{Duration, SystemTime};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

use super::{Label, metric_set};

metric_set! {
    /// Checks of credentials, and the keys that they are checked with. Names are those of the configuration and of the file of keys.
    pub struct AuthMetrics {
        checks: Family<CheckLabels, Counter> = "auth_credentials",
            "Credentials of requests, by kind, name of the API key, of the issuer or of the certificate's \
             entry, and result of the check";
        streams: Family<PrincipalLabels, Gauge> = "auth_streams_open",
            "Open streams that came with a credential, by kind and name of the API key, of the issuer or \
             of the certificate's entry";
        revocations: Gauge = "auth_revocations", "Revoked tokens, subjects and API keys";
        keys_read: Family<Label<String>, Gauge> = "auth_issuer_keys_read_timestamp_seconds",
            "When the keys of an issuer were read last";
        fetch_failures: Family<Label<String>, Counter> = "auth_issuer_keys_failures",
            "Failed attempts to read the keys of an issuer; the previous ones are used for up to an hour";
        reload_failures: Counter = "auth_reload_failures",
            "Failed attempts to read the files of authentication again; the previous ones still apply";
    }
}

impl AuthMetrics {
    /// Counts the check of a credential. `name` is empty if it is not known whose it is.
    pub fn checked(&self, kind: &'static str, name: &str, result: &'static str) {
        let name = name.to_owned();
        self.checks
            .get_or_create(&CheckLabels { kind, name, result })
            .inc();
    }

    /// Counts the start of a stream that came with a credential.
    pub fn stream_started(&self, kind: &'static str, name: &str) {
        let name = name.to_owned();
        self.streams.get_or_create(&PrincipalLabels { kind, name }).inc();
    }

    /// Counts the end of a stream that came with a credential.
    pub fn stream_ended(&self, kind: &'static str, name: &str) {
        let name = name.to_owned();
        self.streams.get_or_create(&PrincipalLabels { kind, name }).dec();
    }

    /// Sets how many values are revoked.
    pub fn set_revocations(&self, count: usize) {
        self.revocations.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Shows that there is an issuer: that no attempt to read its keys has failed yet is something to show, too.
    pub fn add_issuer(&self, issuer: &str) {
        drop(
            self.fetch_failures
                .get_or_create(&[("issuer", issuer.to_owned())]),
        );
    }

    /// Removes what is shown of an issuer, which is not there any more. Its keys would seem to be old.
    pub fn remove_issuer(&self, issuer: &str) {
        let label = [("issuer", issuer.to_owned())];
        self.keys_read.remove(&label);
        self.fetch_failures.remove(&label);
    }

    /// Records that the keys of an issuer were read now.
    pub fn keys_read(&self, issuer: &str) {
        self.keys_read_before(issuer, Duration::ZERO);
    }

    /// Records that the keys of an issuer were read so long ago.
    pub fn keys_read_before(&self, issuer: &str, age: Duration) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let now = now.saturating_sub(age);
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        self.keys_read
            .get_or_create(&[("issuer", issuer.to_owned())])
            .set(seconds);
    }

    /// Counts an attempt to read the keys of an issuer that failed.
    pub fn keys_not_read(&self, issuer: &str) {
        self.fetch_failures
            .get_or_create(&[("issuer", issuer.to_owned())])
            .inc();
    }

    /// Counts an attempt to read the files again that failed.
    pub fn reload_failed(&self) {
        self.reload_failures.inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    kind: &'static str,
    name: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PrincipalLabels {
    kind: &'static str,
    name: String,
}
