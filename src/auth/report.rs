//! A report for operators: which credentials are accepted, and which principals read.
//!
//! Nothing in it helps to be taken for one of them: no key, no digest, no claim.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;

use super::{authenticator::Authenticator, issuer::Issuer, key_file::KeyEntry, principal::Principal};
use crate::position::Timestamp;

/// The report, as `/admin/principals` shows it. Each list is bounded.
#[derive(Debug, Serialize)]
pub struct AuthReport {
    /// The principals with open streams, those with most streams first.
    pub principals: Vec<PrincipalReport>,
    /// How many principals are not listed.
    pub principals_left_out: usize,
    /// The API keys, in the order of their file.
    pub keys: Vec<KeyReport>,
    /// How many API keys are not listed.
    pub keys_left_out: usize,
    /// The entries for certificates of clients.
    pub certificates: Vec<CertificateReport>,
    /// The issuers of tokens, by name.
    pub issuers: Vec<IssuerReport>,
    /// How many tokens, subjects and API keys are revoked.
    pub revocations: usize,
    /// How many keys of tickets are configured. With none, the tickets of this process end with it.
    pub ticket_keys: usize,
}

/// A principal with open streams.
#[derive(Debug, Serialize)]
pub struct PrincipalReport {
    /// The principal, as in logs.
    pub principal: String,
    /// The kind of its credential.
    pub kind: &'static str,
    /// How many streams it has open, from all addresses.
    pub streams: usize,
    /// What its credentials grant. Of many scopes the first.
    pub scopes: Vec<String>,
    /// When the first of its credentials expires, in milliseconds since the Unix epoch. `None` if none does.
    pub expires: Option<Timestamp>,
}

/// An API key.
#[derive(Debug, Serialize)]
pub struct KeyReport {
    /// Its name.
    pub name: String,
    /// What it grants. Of many scopes the first.
    pub scopes: Vec<String>,
    /// When it expires, in milliseconds since the Unix epoch.
    pub expires: Option<Timestamp>,
    /// How many streams its holder may have, if it has a limit.
    pub max_streams: Option<u32>,
    /// How many requests its holder may make in a minute, if it has a limit.
    pub requests_per_minute: Option<u32>,
    /// Whether it is among the revocations.
    pub revoked: bool,
}

/// An entry for certificates of clients.
#[derive(Debug, Serialize)]
pub struct CertificateReport {
    /// Its name.
    pub name: String,
    /// What it grants. Of many scopes the first.
    pub scopes: Vec<String>,
}

/// An issuer of tokens.
#[derive(Debug, Serialize)]
pub struct IssuerReport {
    /// Its name.
    pub name: String,
    /// The value of `iss`.
    pub issuer: String,
    /// Where its keys come from: `file` or `url`.
    pub source: &'static str,
    /// Whether it has keys that tokens can be checked with.
    pub has_keys: bool,
    /// How many seconds ago its keys were read.
    pub keys_age_seconds: Option<u64>,
    /// Whether the last attempt to read its keys failed.
    pub is_failing: bool,
}

impl Authenticator {
    /// Returns which credentials are accepted, and which principals have open streams. Looks at every such stream.
    pub fn report(&self) -> AuthReport {
        let (rules, revocations) = (self.rules(), Arc::clone(&self.0.revocations.read()));
        let (principals, principals_left_out) = top(by_principal(self.0.sessions.principals()));
        let keys = rules.keys.keys();
        let is_revoked = |key: &KeyEntry| rules.is_revoked(&key.principal(), &revocations);
        let certificates = rules.settings.certificates.iter();
        let mut issuers: Vec<_> = rules
            .issuers
            .values()
            .map(|issuer| IssuerReport::of(issuer))
            .collect();
        issuers.sort_by(|one, other| one.name.cmp(&other.name));
        issuers.truncate(MAX_ISSUERS);
        AuthReport {
            principals,
            principals_left_out,
            keys: keys
                .iter()
                .take(MAX_KEYS)
                .map(|key| KeyReport::new(key, is_revoked(key)))
                .collect(),
            keys_left_out: keys.len().saturating_sub(MAX_KEYS),
            certificates: certificates
                .take(MAX_KEYS)
                .map(|entry| CertificateReport {
                    name: entry.name.clone(),
                    scopes: shown_scopes(&entry.scopes),
                })
                .collect(),
            issuers,
            revocations: revocations.len(),
            ticket_keys: rules.settings.ticket_keys.len(),
        }
    }
}

impl KeyReport {
    fn new(key: &KeyEntry, revoked: bool) -> Self {
        Self {
            name: key.name.to_string(),
            scopes: shown_scopes(&key.scopes),
            expires: key.expires,
            max_streams: key.limits.streams.map(Into::into),
            requests_per_minute: key.limits.requests_per_minute.map(Into::into),
            revoked,
        }
    }
}

impl IssuerReport {
    fn of(issuer: &Issuer) -> Self {
        let (age, is_failing) = issuer.last_read();
        Self {
            name: issuer.settings.name.clone(),
            issuer: issuer.settings.issuer.clone(),
            source: match issuer.is_fetched() {
                true => "url",
                false => "file",
            },
            has_keys: issuer.count() > 0,
            keys_age_seconds: age.map(|age| age.as_secs()),
            is_failing,
        }
    }
}

/// The open streams of one principal.
struct Held {
    principal: Arc<Principal>,
    streams: usize,
    expires: Option<Timestamp>,
}

fn by_principal(principals: Vec<Arc<Principal>>) -> Vec<Held> {
    let mut held: HashMap<[u8; 16], Held> = HashMap::new();
    for principal in principals {
        let entry = held.entry(principal.id()).or_insert_with(|| Held {
            principal: Arc::clone(&principal),
            streams: 0,
            expires: None,
        });
        entry.streams += 1;
        entry.expires = entry.expires.into_iter().chain(principal.expires).min();
    }
    held.into_values().collect()
}

/// Returns those with most streams, and how many others there are.
fn top(mut held: Vec<Held>) -> (Vec<PrincipalReport>, usize) {
    held.sort_by_key(|held| std::cmp::Reverse(held.streams));
    let left_out = held.len().saturating_sub(MAX_PRINCIPALS);
    let shown = held.iter().take(MAX_PRINCIPALS).map(|held| PrincipalReport {
        principal: held.principal.to_string(),
        kind: held.principal.kind.name(),
        streams: held.streams,
        scopes: shown_scopes(&held.principal.scopes),
        expires: held.expires,
    });
    (shown.collect(), left_out)
}

fn shown_scopes(scopes: &[String]) -> Vec<String> {
    let shown = scopes.iter().take(MAX_SCOPES);
    shown
        .map(|scope| scope.chars().take(MAX_SCOPE_CHARS).collect())
        .collect()
}

/// How many principals are listed, as of clients in `/admin/clients`.
const MAX_PRINCIPALS: usize = 50;

/// How many API keys and entries for certificates are listed. The file has all of them.
const MAX_KEYS: usize = 200;

/// How many issuers are listed.
const MAX_ISSUERS: usize = 50;

/// How many scopes of one credential are listed. Tokens may name the hundreds of groups of their holder.
const MAX_SCOPES: usize = 10;

/// How much of a scope is shown, in characters.
const MAX_SCOPE_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use super::{super::principal::tests::principal, *};

    fn held(name: &str, subject: Option<&str>, expires: Option<Timestamp>) -> Arc<Principal> {
        Arc::new(Principal {
            expires,
            ..principal(name, subject)
        })
    }

    #[test]
    fn the_streams_of_a_principal_are_one_line_whatever_credentials_they_came_with() {
        let (shown, left_out) = top(by_principal(vec![
            held("partner", None, None),
            held("idp", Some("somebody"), Some(5_000)),
            held("idp", Some("somebody"), Some(3_000)),
            held("idp", Some("somebody"), None),
        ]));
        assert_eq!(left_out, 0);
        let lines: Vec<_> = shown
            .iter()
            .map(|it| (&*it.principal, it.kind, it.streams, it.expires))
            .collect();
        assert_eq!(
            lines,
            [
                ("token idp: somebody", "token", 3, Some(3_000)),
                ("key partner", "key", 1, None),
            ]
        );
    }

    #[test]
    fn a_crowd_of_principals_and_scopes_does_not_make_the_report_long() {
        let mut crowd: Vec<_> = (0..1_000)
            .map(|number| held("idp", Some(&format!("reader {number}")), None))
            .collect();
        let many = Principal {
            scopes: vec!["x".repeat(10_000); 500],
            ..principal("partner", None)
        };
        crowd.extend([Arc::new(many.clone()), Arc::new(many)]);
        let (shown, left_out) = top(by_principal(crowd));
        assert_eq!((shown.len(), left_out), (MAX_PRINCIPALS, 951));
        assert_eq!(shown[0].principal, "key partner");
        assert_eq!(shown[0].scopes.len(), MAX_SCOPES);
        assert!(serde_json::to_string(&shown).unwrap().len() < 20_000);
    }
}
