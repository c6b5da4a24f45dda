//! The sections `http.tls` and `admin.tls`: the keys that they share.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    diagnostic::ParseResult,
    node::Node,
    table::{KeySpec, fill, key},
};
use crate::{
    http::settings::HttpsSettings,
    tls::settings::{
        CertificateFiles, ClientCertificates, MAX_KEY_UPDATE_AFTER, MinimumVersion, TlsSettings,
    },
};

/// The keys of `http.tls`.
pub(super) const HTTP_KEYS: &[KeySpec<HttpsSettings>] = &[
    key!(listen: |node: &Node| node.parsed::<SocketAddr>("an address and a port such as \"0.0.0.0:8443\"")),
    key!([tls] certificates: certificates, CERTIFICATES_HELP),
    key!([tls] client_ca: optional_path),
    key!([tls] client_certificates: client_certificates),
    key!([tls] minimum_version: minimum_version),
    key!([tls] key_update_after: key_update_after),
    key!([tls] ticket_keys_file: optional_path),
];

/// The keys of `admin.tls`.
pub(super) const ADMIN_KEYS: &[KeySpec<TlsSettings>] = &[
    key!(certificates: certificates, CERTIFICATES_HELP),
    key!(client_ca: optional_path),
    key!(client_certificates: client_certificates),
    key!(minimum_version: minimum_version),
];

const CERTIFICATE: &[KeySpec<CertificateFiles>] = &[
    key!(certificate: path, "name the file with the certificate and its chain"),
    key!(key: path, "name the file with the private key"),
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

/// Parses a number of records, from which a KeyUpdate leaves at least one for events.
fn key_update_after(node: &Node) -> ParseResult<u32> {
    let records = node.count()?.get();
    match (2..=MAX_KEY_UPDATE_AFTER).contains(&records) {
        true => Ok(records),
        false => Err(node.refused(
            &format!("a whole number from 2 to {MAX_KEY_UPDATE_AFTER}"),
            "found a number out of range",
        )),
    }
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
