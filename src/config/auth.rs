//! The section `auth`, and the certificates and the issuers in it.

use std::{num::NonZeroU32, time::Duration};

use super::{
    diagnostic::{Diagnostic, ParseResult, fail_if_any, repeated},
    node::{Node, NodeKind},
    table::{KeySpec, fill, key, optional},
    tls::optional_path,
};
use crate::{
    auth::{
        TicketKey,
        settings::{
            AuthSettings, CertificateSettings, IssuerSettings, KeySource, MAX_LEEWAY, PlainPolicy, algorithm,
        },
    },
    limits::settings::PrincipalLimits,
    tls::CertificateName,
};

/// The keys of the section.
pub(super) const KEYS: &[KeySpec<AuthSettings>] = &[
    key!(keys_file: optional_path),
    key!(revocations_file: optional_path),
    key!(ticket_keys: ticket_keys),
    key!(ticket_lifetime: Node::duration),
    key!(ticket_resume: Node::duration_or_zero),
    key!(cookie: cookie),
    key!(plain: |node: &Node| node.choice(PlainPolicy::ALL, PlainPolicy::name)),
    optional("limits", |auth, node| fill(LIMITS, node, &mut auth.limits)),
    key!(certificates: certificates),
    key!(issuers: issuers),
];

/// The keys of `limits`. Zero means none of its own.
const LIMITS: &[KeySpec<PrincipalLimits>] = &[
    key!(streams: count_or_zero),
    key!(requests_per_minute: count_or_zero),
];

/// An entry for certificates, while it is read.
#[derive(Default)]
struct CertificateDraft {
    name: String,
    san: Option<CertificateName>,
    subject: Option<CertificateName>,
    scopes: Vec<String>,
}

/// The keys of one entry for certificates.
const CERTIFICATE: &[KeySpec<CertificateDraft>] = &[
    key!(name: name, "set the name of the certificate's holder in logs and metrics"),
    key!(san: san),
    key!(subject: subject),
    key!(scopes: |node: &Node| some(node, "an array of scopes", text), "list the scopes that it grants"),
];

fn san(node: &Node) -> ParseResult<CertificateName> {
    CertificateName::alternative(node.string()?).map_err(|why| node.refused(A_SAN, why))
}

fn subject(node: &Node) -> ParseResult<CertificateName> {
    CertificateName::subject(node.string()?).map_err(|why| node.refused(A_SUBJECT, why))
}

/// Parses the entries for certificates. Each has a name and a certificate of its own.
fn certificates(node: &Node) -> ParseResult<Vec<CertificateSettings>> {
    let entries = node.list("an array of tables, [[auth.certificates]]", certificate)?;
    let keys = entries.iter().zip(node.items()).flat_map(|(entry, item)| {
        let certificate = entry.certificate.to_string();
        let key = match entry.certificate {
            CertificateName::Subject(_) => "subject",
            _ => "san",
        };
        [("name", entry.name.clone(), item), (key, certificate, item)]
    });
    fail_if_any(repeated_keys("entries for certificates", keys))?;
    Ok(entries)
}

fn certificate(item: &Node) -> ParseResult<CertificateSettings> {
    let mut draft = CertificateDraft::default();
    fill(CERTIFICATE, item, &mut draft)?;
    let (wrong, title) = match (draft.san, draft.subject) {
        (Some(certificate), None) | (None, Some(certificate)) => {
            return Ok(CertificateSettings {
                name: draft.name,
                certificate,
                scopes: draft.scopes,
            });
        }
        (Some(_), Some(_)) => (
            "subject",
            "an entry for certificates has both `san` and `subject`",
        ),
        (None, None) => (
            "name",
            "an entry for certificates has neither `san` nor `subject`",
        ),
    };
    let fault = Diagnostic::new(item.location_of(wrong), title.to_owned());
    Err(vec![
        fault.help("set the one that tells its certificate from others"),
    ])
}

/// The keys of one issuer.
const ISSUER: &[KeySpec<IssuerSettings>] = &[
    key!(name: name, "set the name of the issuer in logs and metrics"),
    key!(issuer: text, "set the value of `iss` in its tokens"),
    key!(audience: audience, "list the values of `aud` that tokens for this gateway have"),
    key!(jwks: key_source, "name the file or the https URL with its public keys"),
    key!(algorithms: algorithms),
    key!(leeway: leeway),
    key!(typ: Node::string),
    key!(scopes: text),
];

fn audience(node: &Node) -> ParseResult<Vec<String>> {
    some(node, "an array of audiences", text)
}

fn algorithms(node: &Node) -> ParseResult<Vec<jsonwebtoken::Algorithm>> {
    some(node, "an array of algorithms", |item| {
        algorithm(item.string()?).map_err(|wanted| item.refused("an algorithm", wanted))
    })
}

/// Parses the issuers. Each has a name and an `iss` of its own: one token must not have the choice between two.
fn issuers(node: &Node) -> ParseResult<Vec<IssuerSettings>> {
    let issuers = node.list("an array of tables, [[auth.issuers]]", |item| {
        let mut issuer = IssuerSettings::default();
        fill(ISSUER, item, &mut issuer).map(|()| issuer)
    })?;
    let keys = issuers.iter().zip(node.items()).flat_map(|(issuer, item)| {
        [
            ("name", issuer.name.clone(), item),
            ("issuer", issuer.issuer.clone(), item),
        ]
    });
    fail_if_any(repeated_keys("issuers", keys))?;
    Ok(issuers)
}

/// Returns a fault for each key that has the value of the same key of another entry.
fn repeated_keys<'a>(
    entries: &str,
    keys: impl Iterator<Item = (&'static str, String, &'a Node)>,
) -> Vec<Diagnostic> {
    let keys = keys.map(|(key, value, item)| ((key, value), item.location_of(key)));
    repeated(keys, |(key, _)| format!("two {entries} have the same `{key}`"))
}

/// Parses the keys of tickets. One that is there twice was not replaced, as somebody meant to do.
fn ticket_keys(node: &Node) -> ParseResult<Vec<TicketKey>> {
    let keys = node.list("an array of keys", |item| {
        item.parsed("32 bytes in base64, as `openssl rand -base64 32` prints them")
    })?;
    let again = (1..keys.len()).find(|&later| keys[..later].contains(&keys[later]));
    match again {
        Some(later) => Err(node.items()[later].refused("each key once", "found a duplicate")),
        None => Ok(keys),
    }
}

/// Parses the name of a cookie (RFC 6265). An empty string means none.
fn cookie(node: &Node) -> ParseResult<String> {
    let name = node.string()?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match name.bytes().all(is_token) {
        true => Ok(name.to_owned()),
        false => Err(node.refused("the name of a cookie", "found a character that it cannot have")),
    }
}

/// Parses a whole number. Zero means none.
fn count_or_zero(node: &Node) -> ParseResult<Option<NonZeroU32>> {
    match node.kind {
        NodeKind::Integer(0) => Ok(None),
        _ => node.count().map(Some),
    }
}

fn name(node: &Node) -> ParseResult<String> {
    let name = text(node)?;
    match name.len() <= MAX_NAME_LEN && !name.contains(char::is_control) {
        true => Ok(name),
        false => Err(node.refused(
            "at most 64 characters, none of them a control character",
            "found others",
        )),
    }
}

/// Parses a text that is not empty.
fn text(node: &Node) -> ParseResult<String> {
    match node.string()? {
        "" => Err(node.refused("a text", "found an empty string")),
        text => Ok(text.to_owned()),
    }
}

/// Parses a list that is not empty.
fn some<T>(node: &Node, wanted: &str, read: impl Fn(&Node) -> ParseResult<T>) -> ParseResult<Vec<T>> {
    let items = node.list(wanted, read)?;
    match items.is_empty() {
        true => Err(node.refused("at least one", "found none")),
        false => Ok(items),
    }
}

fn key_source(node: &Node) -> ParseResult<KeySource> {
    KeySource::parse(node.string()?).map_err(|why| node.refused("the path of a file, or an https URL", why))
}

fn leeway(node: &Node) -> ParseResult<Duration> {
    let leeway = node.duration_or_zero()?;
    match leeway <= MAX_LEEWAY {
        true => Ok(leeway),
        false => Err(node.refused("at most 5m", "found more")),
    }
}

const A_SAN: &str =
    "a host name, an address, a URI or an e-mail address, as in the subjectAltName of the certificate";
const A_SUBJECT: &str =
    "a subject such as \"CN=reader,O=Partner\", as `openssl x509 -noout -subject -nameopt RFC2253` prints it";

/// The longest name of an issuer or of a certificate's holder, in bytes. It is a label of metrics.
const MAX_NAME_LEN: usize = 64;
