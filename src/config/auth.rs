//! The section `auth`, and the issuers in it.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, time::Duration};

use super::{
    diagnostic::{Diagnostic, Location, ParseResult},
    node::{Node, NodeKind},
    table::{KeySpec, fill, optional, required},
    tls::optional_path,
};
use crate::{
    auth::settings::{AuthSettings, IssuerSettings, KeySource, PlainPolicy, algorithm},
    limits::settings::PrincipalLimits,
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
        node.list("an array of keys", |item| {
            item.parsed("32 bytes in base64, such as `openssl rand -base64 32` prints")
        })
        .map(|v| auth.ticket_keys = v)
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
    let mut seen: BTreeMap<(&str, &str), Location> = BTreeMap::new();
    let mut faults = Vec::new();
    for (issuer, item) in issuers.iter().zip(node.items()) {
        for (key, value) in [("name", issuer.name.as_str()), ("issuer", issuer.issuer.as_str())] {
            let location = item.location_of(key);
            if let Some(first) = seen.insert((key, value), location.clone()) {
                let title = format!("two issuers have the same `{key}`");
                faults.push(Diagnostic::new(location, title).related(first, "first here"));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(issuers),
        false => Err(faults),
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

/// The key of the array of issuers.
pub(super) const ISSUERS_KEY: &str = "issuers";

/// The longest name of an issuer, in bytes. It is a label of metrics.
const MAX_NAME_LEN: usize = 64;

/// The longest leeway. Tokens often live for five minutes; with more, expiry would mean little.
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);
