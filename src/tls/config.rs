//! The configuration of rustls for a listener.

use std::sync::Arc;

use tokio_rustls::rustls::{
    ALL_VERSIONS, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::TLS13,
};

use super::{
    client_rules::ClientRules,
    load::LoadedFiles,
    records::SecretLog,
    resolver::CertificateResolver,
    settings::{ClientCertificates, MinimumVersion, TlsSettings},
    tickets::{TicketKeys, Ticketer},
};

/// Returns the cryptography of every listener. It is named explicitly, because a feature that a dependency turns on must not
/// choose it.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Builds the configuration.
///
/// # Errors
/// When rustls refuses it, with the reason.
pub(super) fn build(
    settings: &TlsSettings,
    files: &LoadedFiles,
    provider: Arc<CryptoProvider>,
    ticket_keys: &Arc<TicketKeys>,
) -> Result<ServerConfig, String> {
    let verifier = verifier(settings, files, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(settings.minimum_version))
        .map_err(|error| error.to_string())?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let resolver = CertificateResolver(files.certificates.clone());
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    // The ticket holds the session, so that nothing of it is kept here.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ticketer(settings, files, ticket_keys);
    // A stream leaves rustls with its keys: see `records`.
    config.enable_secret_extraction = true;
    config.key_log = Arc::new(SecretLog);
    Ok(config)
}

/// Returns what seals sessions of clients that were judged by these settings, and opens no others.
pub(super) fn ticketer(
    settings: &TlsSettings,
    files: &LoadedFiles,
    keys: &Arc<TicketKeys>,
) -> Arc<dyn ProducesTickets> {
    let rules = ClientRules::of(settings, files).digest();
    Arc::new(Ticketer::new(Arc::clone(keys), rules))
}

fn verifier(
    settings: &TlsSettings,
    files: &LoadedFiles,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let asked = settings.client_certificates;
    if asked == ClientCertificates::Off {
        return Ok(None);
    }
    let Some((roots, _)) = &files.client_ca else {
        return Err("client certificates are requested, but there is no client_ca".into());
    };
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
    let verifier = match asked {
        ClientCertificates::Required => verifier,
        _ => verifier.allow_unauthenticated(),
    };
    verifier.build().map(Some).map_err(|error| error.to_string())
}

fn versions(minimum: MinimumVersion) -> &'static [&'static SupportedProtocolVersion] {
    match minimum {
        MinimumVersion::Tls12 => ALL_VERSIONS,
        MinimumVersion::Tls13 => ONLY_TLS13,
    }
}

const ONLY_TLS13: &[&SupportedProtocolVersion] = &[&TLS13];

/// The protocols that are spoken over TLS, the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
