//! The demo's configuration.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::handover::ListenAddresses;
use crate::{
    catalog::{Access, Catalog, Stream},
    config::Config,
    demo::{self, DemoCertificate, DemoCredentials},
    http::settings::HttpsSettings,
    kafka::settings::{BrokerAddr, ClusterSettings, StateSettings},
    tls::settings::{CertificateFiles, TlsSettings},
};

/// Returns a configuration with the demo's own cluster and one stream, or two if there are credentials for the second. All other
/// settings are those of the environment.
pub(super) fn config(
    mut config: Config,
    bootstrap: &[String],
    credentials: Option<&DemoCredentials>,
) -> Config {
    let brokers = bootstrap
        .iter()
        .filter_map(|address| address.parse::<BrokerAddr>().ok())
        .collect();
    let cluster = ClusterSettings::new("demo", brokers);
    if let Some(credentials) = credentials {
        credentials.apply(config.auth.get_or_insert_default());
    }
    // Every run has another cluster, which the state kept of the last one would refuse.
    config.state = StateSettings::default();
    let mut streams = vec![recentchange()];
    streams.extend(credentials.map(|_| private()));
    for stream in &mut streams {
        stream.filter_fields = demo::FILTER_FIELDS.map(Arc::from).to_vec();
        // The generator writes without pause.
        stream.expect_event_within = Some(EXPECT_WITHIN);
        stream.clusters.push(Arc::clone(&cluster.name));
    }
    // The streams have nothing in common that could contradict itself.
    config.catalog = Catalog::new(streams).unwrap_or_default();
    config.clusters = vec![cluster];
    let shown = &mut config.shown;
    shown.push("clusters[demo].bootstrap", &bootstrap.join(", "), ORIGIN);
    for stream in config.catalog.streams() {
        let key = |key: &str| format!("streams[{}].{key}", stream.name);
        shown.push(&key("topics"), &stream.topics.join(", "), ORIGIN);
        shown.push(&key("filter_fields"), &stream.filter_fields.join(", "), ORIGIN);
    }
    config
}

fn recentchange() -> Stream {
    let mut stream = Stream::new(demo::STREAM, demo::TOPICS);
    stream.aliases.push(demo::ALIAS.into());
    stream.description = "Invented edits and log entries of every wiki".into();
    stream
}

fn private() -> Stream {
    let mut stream = Stream::new(demo::PRIVATE_STREAM, [demo::PRIVATE_TOPIC]);
    stream.access = Access::Scopes(vec![demo::PRIVATE_SCOPE.into()]);
    stream.description = "Invented edits and log entries that are not for everybody".into();
    stream
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
pub(super) fn lines_to_try(
    addresses: ListenAddresses,
    certificate: Option<&DemoCertificate>,
    credentials: Option<&DemoCredentials>,
) -> Vec<String> {
    let mut lines = match addresses.http {
        Some(http) => demo::lines_to_try(http, addresses.admin),
        None => Vec::new(),
    };
    let https = addresses.https.zip(certificate);
    if let Some((https, certificate)) = https {
        lines.extend(demo::tls_lines_to_try(https, &certificate.authority()));
    }
    if let Some(credentials) = credentials {
        let (curl, base) = match (addresses.http, https) {
            (Some(http), _) => ("curl".to_owned(), demo::base("http", http)),
            (None, Some((https, certificate))) => (
                format!("curl --cacert {}", certificate.authority().display()),
                demo::base("https", https),
            ),
            (None, None) => return lines,
        };
        lines.extend(demo::auth_lines_to_try(&curl, &base, credentials));
    }
    lines
}

/// What operators are told of the settings that the demo brings.
const ORIGIN: &str = "demo";

/// Longer than any pause at the demo's lowest rate, which is one event a second.
const EXPECT_WITHIN: Duration = Duration::from_secs(60);
