//! Rules between the keys of TLS and of the listeners.

use super::{
    Config,
    diagnostic::{Diagnostic, Location},
    locate::{between, location},
    node::Node,
    section_names::{ADMIN_TLS_NAME, AUTH_NAME, HTTP_NAME, HTTP_TLS_NAME},
};
use crate::tls::settings::{ClientCertificates, TlsSettings};

pub(super) fn no_public_listener(root: &Node, Config { http, .. }: &Config) -> Option<Diagnostic> {
    (http.listen.is_none() && http.tls.is_none()).then(|| {
        let title = "`http.listen` is empty, and there is no [http.tls]: no client could connect";
        between(
            root,
            title.into(),
            [(HTTP_NAME, "listen"), (HTTP_TLS_NAME, "listen")],
        )
    })
}

pub(super) fn redirect_to_nowhere(root: &Node, Config { http, .. }: &Config) -> Option<Diagnostic> {
    let (key, title) = match (http.listen, &http.tls) {
        _ if !http.redirect => return None,
        (_, None) => (
            "redirect",
            "`http.redirect` is true, but there is no [http.tls] to redirect to",
        ),
        (None, _) => (
            "listen",
            "`http.redirect` is true, but `http.listen` is empty: there are no requests to redirect",
        ),
        (Some(_), Some(_)) => return None,
    };
    Some(between(
        root,
        title.into(),
        [(HTTP_NAME, "redirect"), (HTTP_NAME, key)],
    ))
}

pub(super) fn http_clients_without_authority(
    root: &Node,
    Config { http, .. }: &Config,
) -> Option<Diagnostic> {
    clients_without_authority(root, HTTP_TLS_NAME, &http.tls.as_ref()?.tls)
}

pub(super) fn admin_clients_without_authority(
    root: &Node,
    Config { admin, .. }: &Config,
) -> Option<Diagnostic> {
    clients_without_authority(root, ADMIN_TLS_NAME, admin.tls.as_ref()?)
}

fn clients_without_authority(root: &Node, section: &str, tls: &TlsSettings) -> Option<Diagnostic> {
    let asked = tls.client_certificates;
    (asked != ClientCertificates::Off && tls.client_ca.is_none()).then(|| {
        let title = format!(
            "`{section}.client_certificates` is \"{}\", but `{section}.client_ca` is empty: every certificate would be refused",
            asked.name()
        );
        between(root, title, [(section, "client_certificates"), (section, CLIENT_CA)])
    })
}

pub(super) fn certificates_without_authority(
    root: &Node,
    Config { auth, http, .. }: &Config,
) -> Option<Diagnostic> {
    let is_used = auth.as_ref().is_some_and(|auth| !auth.certificates.is_empty());
    let tls = http.tls.as_ref().map(|https| &https.tls);
    let (key, why) = match tls {
        _ if !is_used => return None,
        None => (CLIENT_CA, "there is no [http.tls]"),
        Some(tls) if tls.client_ca.is_none() => (CLIENT_CA, "`http.tls.client_ca` is empty"),
        Some(tls) if tls.client_certificates == ClientCertificates::Off => {
            ("client_certificates", "`http.tls.client_certificates` is \"off\"")
        }
        Some(_) => return None,
    };
    let title = format!("`auth.certificates` has entries, but {why}: no client could show a certificate");
    Some(between(
        root,
        title,
        [(AUTH_NAME, "certificates"), (HTTP_TLS_NAME, key)],
    ))
}

/// Warns of authorities for client certificates that nobody is asked for.
pub(super) fn authority_without_clients(
    root: &Node,
    section: &str,
    tls: Option<&TlsSettings>,
) -> Option<(Location, String)> {
    let tls = tls.filter(|tls| tls.client_ca.is_some())?;
    let text = format!("`{section}.client_ca` is ignored, because `client_certificates` is \"off\"");
    (tls.client_certificates == ClientCertificates::Off).then(|| (location(root, section, CLIENT_CA), text))
}

const CLIENT_CA: &str = "client_ca";
