//! The sections `http.tls` and `admin.tls`: the keys that they share.

use std::path::PathBuf;

use super::{
    diagnostic::ParseResult,
    node::Node,
    table::{KeySpec, fill, optional, required},
};
use crate::{
    http::settings::HttpsSettings,
    tls::settings::{CertificateFiles, ClientCertificates, MinimumVersion, TlsSettings},
};

/// The keys of `http.tls`.
pub(super) const HTTP_KEYS: &[KeySpec<HttpsSettings>] = &[
    optional("listen", |https, node| {
        node.parsed("an address and a port such as \"0.0.0.0:8443\"")
            .map(|v| https.listen = v)
    }),
    required("certificates", CERTIFICATES_HELP, |https, node| {
        certificates(node).map(|v| https.tls.certificates = v)
    }),
    optional("client_ca", |https, node| {
        optional_path(node).map(|v| https.tls.client_ca = v)
    }),
    optional("client_certificates", |https, node| {
        client_certificates(node).map(|v| https.tls.client_certificates = v)
    }),
    optional("minimum_version", |https, node| {
        minimum_version(node).map(|v| https.tls.minimum_version = v)
    }),
];

/// The keys of `admin.tls`.
pub(super) const ADMIN_KEYS: &[KeySpec<TlsSettings>] = &[
    required("certificates", CERTIFICATES_HELP, |tls, node| {
        certificates(node).map(|v| tls.certificates = v)
    }),
    optional("client_ca", |tls, node| {
        optional_path(node).map(|v| tls.client_ca = v)
    }),
    optional("client_certificates", |tls, node| {
        client_certificates(node).map(|v| tls.client_certificates = v)
    }),
    optional("minimum_version", |tls, node| {
        minimum_version(node).map(|v| tls.minimum_version = v)
    }),
];

const CERTIFICATE: &[KeySpec<CertificateFiles>] = &[
    required(
        "certificate",
        "name the file with the certificate and its chain",
        |files, node| path(node).map(|v| files.certificate = v),
    ),
    required("key", "name the file with the private key", |files, node| {
        path(node).map(|v| files.key = v)
    }),
];

/// Parses the certificates, of which there must be one.
fn certificates(node: &Node) -> ParseResult<Vec<CertificateFiles>> {
    let certificates = node.list("an array of tables with `certificate` and `key`", |item| {
        let mut files = CertificateFiles::default();
        fill(CERTIFICATE, item, &mut files).map(|()| files)
    })?;
    match certificates.is_empty() {
        true => Err(node.refused("at least one certificate", "found none")),
        false => Ok(certificates),
    }
}

fn client_certificates(node: &Node) -> ParseResult<ClientCertificates> {
    node.choice(ClientCertificates::ALL, ClientCertificates::name)
}

fn minimum_version(node: &Node) -> ParseResult<MinimumVersion> {
    node.choice(MinimumVersion::ALL, MinimumVersion::name)
}

/// Parses the path of a file.
fn path(node: &Node) -> ParseResult<PathBuf> {
    optional_path(node)?.ok_or_else(|| node.refused("the path of a file", "found an empty string"))
}

/// Parses the path of a file. An empty string means none.
pub(super) fn optional_path(node: &Node) -> ParseResult<Option<PathBuf>> {
    let text = node.string()?;
    if text.contains('\0') || text.contains('\n') {
        return Err(node.refused("the path of a file", "found a line break or a NUL character"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()).map(Into::into))
}

const CERTIFICATES_HELP: &str = "name the files: [{ certificate = \"cert.pem\", key = \"key.pem\" }]";
