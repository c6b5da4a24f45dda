//! The section `auth`, and the certificates and the issuers in it.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, time::Duration};

use super::{
    diagnostic::{Diagnostic, Location, ParseResult},
    node::{Node, NodeKind},
    table::{KeySpec, fill, optional, required},
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
    optional("keys_file", |auth, node| {
        optional_path(node).map(|v| auth.keys_file = v)
    }),
    optional("revocations_file", |auth, node| {
        optional_path(node).map(|v| auth.revocations_file = v)
    }),
    optional("ticket_keys", |auth, node| {
        ticket_keys(node).map(|v| auth.ticket_keys = v)
    }),
    optional("ticket_lifetime", |auth, node| {
        node.duration().map(|v| auth.ticket_lifetime = v)
    }),
    optional("ticket_resume", |auth, node| {
        node.duration_or_zero().map(|v| auth.ticket_resume = v)
    }),
    optional("cookie", |auth, node| cookie(node).map(|v| auth.cookie = v)),
    optional("plain", |auth, node| {
        node.choice(PlainPolicy::ALL, PlainPolicy::name)
            .map(|v| auth.plain = v)
    }),
    optional("limits", |auth, node| fill(LIMITS, node, &mut auth.limits)),
    optional(CERTIFICATES_KEY, |auth, node| {
        certificates(node).map(|v| auth.certificates = v)
    }),
    optional(ISSUERS_KEY, |auth, node| issuers(node).map(|v| auth.issuers = v)),
];

/// The keys of `limits`. Zero means none of its own.
const LIMITS: &[KeySpec<PrincipalLimits>] = &[
    optional("streams", |limits, node| {
        count_or_zero(node).map(|v| limits.streams = v)
    }),
    optional("requests_per_minute", |limits, node| {
        count_or_zero(node).map(|v| limits.requests_per_minute = v)
    }),
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
    required(
        "name",
        "set the name of the certificate's holder in logs and metrics",
        |own, node| name(node).map(|v| own.name = v),
    ),
    optional("san", |own, node| {
        let san = CertificateName::alternative(node.string()?);
        own.san = Some(san.map_err(|why| node.refused(A_SAN, why))?);
        Ok(())
    }),
    optional("subject", |own, node| {
        let subject = CertificateName::subject(node.string()?);
        own.subject = Some(subject.map_err(|why| node.refused(A_SUBJECT, why))?);
        Ok(())
    }),
    required("scopes", "list the scopes that it grants", |own, node| {
        some(node, "an array of scopes", text).map(|v| own.scopes = v)
    }),
];

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
    match repeated("entries for certificates", keys) {
        faults if faults.is_empty() => Ok(entries),
        faults => Err(faults),
    }
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
    required(
        "name",
        "set the name of the issuer in logs and metrics",
        |issuer, node| name(node).map(|v| issuer.name = v),
    ),
    required(
        "issuer",
        "set the value of `iss` in its tokens",
        |issuer, node| text(node).map(|v| issuer.issuer = v),
    ),
    required(
        "audience",
        "list the values of `aud` that tokens for this gateway have",
        |issuer, node| some(node, "an array of audiences", text).map(|v| issuer.audience = v),
    ),
    required(
        "jwks",
        "name the file or the https URL with its public keys",
        |issuer, node| key_source(node).map(|v| issuer.jwks = v),
    ),
    optional("algorithms", |issuer, node| {
        some(node, "an array of algorithms", |item| {
            algorithm(item.string()?).map_err(|wanted| item.refused("an algorithm", wanted))
        })
        .map(|v| issuer.algorithms = v)
    }),
    optional("leeway", |issuer, node| leeway(node).map(|v| issuer.leeway = v)),
    optional("typ", |issuer, node| {
        node.string().map(|v| issuer.typ = v.to_owned())
    }),
    optional("scopes", |issuer, node| text(node).map(|v| issuer.scopes = v)),
];

/// Parses the issuers. Each has a name and an `iss` of its own: one token must not have the choice between two.
fn issuers(node: &Node) -> ParseResult<Vec<IssuerSettings>> {
    let issuers = node.list("an array of tables, [[auth.issuers]]", |item| {
        let mut issuer = IssuerSettings {
            jwks: KeySource::File(PathBuf::new()),
            ..IssuerSettings::default()
        };
        fill(ISSUER, item, &mut issuer).map(|()| issuer)
    })?;
    let keys = issuers.iter().zip(node.items()).flat_map(|(issuer, item)| {
        [
            ("name", issuer.name.clone(), item),
            ("issuer", issuer.issuer.clone(), item),
        ]
    });
    match repeated("issuers", keys) {
        faults if faults.is_empty() => Ok(issuers),
        faults => Err(faults),
    }
}

/// Returns a fault for each key that has the value of the same key of another entry.
fn repeated<'a>(
    entries: &str,
    keys: impl Iterator<Item = (&'static str, String, &'a Node)>,
) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<(&str, String), Location> = BTreeMap::new();
    let mut faults = Vec::new();
    for (key, value, item) in keys {
        let location = item.location_of(key);
        if let Some(first) = seen.insert((key, value), location.clone()) {
            let title = format!("two {entries} have the same `{key}`");
            faults.push(Diagnostic::new(location, title).related(first, "first here"));
        }
    }
    faults
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

/// The key of the array of entries for certificates.
pub(super) const CERTIFICATES_KEY: &str = "certificates";

/// The key of the array of issuers.
pub(super) const ISSUERS_KEY: &str = "issuers";

const A_SAN: &str =
    "a host name, an address, a URI or an e-mail address, as in the subjectAltName of the certificate";
const A_SUBJECT: &str =
    "a subject such as \"CN=reader,O=Partner\", as `openssl x509 -noout -subject -nameopt RFC2253` prints it";

/// The longest name of an issuer or of a certificate's holder, in bytes. It is a label of metrics.
const MAX_NAME_LEN: usize = 64;
