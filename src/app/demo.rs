//! The demo's configuration.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::handover::ListenAddresses;
use crate::{
    catalog::{Catalog, Stream},
    config::{Config, Sections},
    demo::{self, DemoCertificate},
    http::settings::HttpsSettings,
    kafka::settings::{BrokerAddr, ClusterSettings, StateSettings},
    tls::settings::{CertificateFiles, TlsSettings},
};

/// Returns a configuration with the demo's own cluster and one stream. All other settings are those of the environment.
pub(super) fn config(sections: Sections, bootstrap: &[String]) -> Config {
    let brokers = bootstrap
        .iter()
        .filter_map(|address| address.parse::<BrokerAddr>().ok())
        .collect();
    let mut stream = Stream::new(demo::STREAM, demo::TOPICS);
    stream.aliases.push(demo::ALIAS.into());
    stream.filter_fields = demo::FILTER_FIELDS.map(Arc::from).to_vec();
    // The generator writes without pause.
    stream.expect_event_within = Some(EXPECT_WITHIN);
    stream.description = "Invented edits and log entries of every wiki".into();
    let cluster = ClusterSettings::new("demo", brokers);
    stream.clusters.push(Arc::clone(&cluster.name));
    // Every run has another cluster, which the state kept of the last one would refuse.
    let sections = Sections {
        state: StateSettings::default(),
        ..sections
    };
    // One stream cannot contradict itself.
    let catalog = Catalog::new(vec![stream]).unwrap_or_default();
    sections.with(vec![cluster], catalog)
}

/// Returns the settings of a listener with the demo's own certificate.
pub(super) fn tls(listen: SocketAddr, certificate: &DemoCertificate) -> HttpsSettings {
    let files = CertificateFiles {
        certificate: certificate.chain(),
        key: certificate.key(),
    };
    let tls = TlsSettings {
        certificates: vec![files],
        ..TlsSettings::default()
    };
    HttpsSettings { listen, tls }
}

/// Returns commands to try in another terminal.
pub(super) fn lines_to_try(addresses: ListenAddresses, certificate: Option<&DemoCertificate>) -> Vec<String> {
    let mut lines = match addresses.http {
        Some(http) => demo::lines_to_try(http, addresses.admin),
        None => Vec::new(),
    };
    if let (Some(https), Some(certificate)) = (addresses.https, certificate) {
        lines.extend(demo::tls_lines_to_try(https, &certificate.authority()));
    }
    lines
}

/// Longer than any pause at the demo's lowest rate, which is one event a second.
const EXPECT_WITHIN: Duration = Duration::from_secs(60);
