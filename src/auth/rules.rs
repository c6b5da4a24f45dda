//! What credentials are checked against, as the files and the settings have it.
//!
//! Not here: the check itself (`authenticator`).

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use serde_json::Value;

use super::{
    certificates::Certificates,
    error::InvalidCredential,
    fault::AuthFaults,
    fetch::Fetcher,
    issuer::Issuer,
    jwt,
    key_file::KeyFile,
    key_set::KeySet,
    principal::{CredentialKind, Principal, have_one_of},
    revocations::Revocations,
    sessions::Needs,
    settings::{AuthSettings, IssuerSettings},
    stream_principal::with_all_claims,
    tickets::TicketCredential,
};
use crate::{metrics::AuthMetrics, position::Timestamp};

/// What credentials are checked against.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) settings: AuthSettings,
    pub(super) keys: KeyFile,
    pub(super) certificates: Certificates,
    /// The issuers, by their `iss`.
    pub(super) issuers: HashMap<String, Arc<Issuer>>,
}

/// Reads all files, or returns every fault of every file.
pub(super) fn load(
    settings: &AuthSettings,
    before: Option<(&Rules, &Revocations)>,
    fetcher: &Fetcher,
    metrics: &AuthMetrics,
) -> Result<(Rules, Revocations), AuthFaults> {
    let (before, revoked) = before.unzip();
    let revocations = settings.revocations_file.as_deref();
    let revocations = revocations.map(|path| match revoked {
        Some(revoked) => Revocations::read_again(path, revoked),
        None => Revocations::read(path),
    });
    let revocations = revocations.transpose().map(Option::unwrap_or_default);
    match (Rules::load(settings, before, fetcher, metrics), revocations) {
        (Ok(rules), Ok(revocations)) => Ok((rules, revocations)),
        (rules, revocations) => Err(AuthFaults::all(rules.err(), revocations.err())),
    }
}

impl Rules {
    /// Reads all files but that of revocations. Issuers whose keys are fetched from the same address as before keep them.
    fn load(
        settings: &AuthSettings,
        before: Option<&Self>,
        fetcher: &Fetcher,
        metrics: &AuthMetrics,
    ) -> Result<Self, AuthFaults> {
        let (mut faults, mut issuers) = (Vec::new(), HashMap::new());
        let keys = settings.keys_file.as_deref().map(KeyFile::read).transpose();
        let keys = keys.unwrap_or_else(|more| {
            faults.extend(more);
            None
        });
        for own in &settings.issuers {
            let same = before.and_then(|before| before.issuers.get(&own.issuer));
            let same = same.filter(|same| same.settings == *own && same.is_fetched());
            let issuer = match same {
                Some(same) => Ok(Arc::clone(same)),
                None => {
                    let known = before.and_then(|before| before.issuer_with_keys_of(own));
                    Issuer::load(own.clone(), fetcher.clone(), metrics, known).map(Arc::new)
                }
            };
            match issuer {
                Ok(issuer) => _ = issuers.insert(own.issuer.clone(), issuer),
                Err(fault) => faults.push(fault),
            }
        }
        match faults.is_empty() {
            true => Ok(Self {
                settings: settings.clone(),
                keys: keys.unwrap_or_default(),
                certificates: Certificates::of(&settings.certificates),
                issuers,
            }),
            false => Err(faults.into()),
        }
    }

    /// Returns until when the credential of this principal gives what a stream needs, apart from revocations, in milliseconds since
    /// the Unix epoch. Returns `None` if it does not: its key is not in the file any more, or has other claims, its issuer would not
    /// accept it any more, or it lacks a scope.
    pub(super) fn allowed_until(&self, principal: &Principal, needs: &Needs) -> Option<Timestamp> {
        match principal.kind {
            CredentialKind::ApiKey => {
                let entry = self.keys.entry_of(principal)?;
                let has_scopes = needs.iter().all(|wanted| have_one_of(&entry.scopes, wanted));
                // What the stream passes may have been made of the claims.
                let is_same = entry.claims == principal.claims;
                (has_scopes && is_same).then_some(entry.expires.unwrap_or(Timestamp::MAX))
            }
            CredentialKind::Certificate => {
                let entry = self.certificates.entry_of(principal)?;
                let has_scopes = needs.iter().all(|wanted| have_one_of(&entry.scopes, wanted));
                principal.accepted_until.filter(|_| has_scopes)
            }
            CredentialKind::Token => {
                let issuer = self.issuer_of(principal)?;
                let until = token_allowed_until(principal, issuer, needs);
                until.or_else(|| token_allowed_until(&with_all_claims(principal)?, issuer, needs))
            }
        }
    }

    /// Whether the credential of this principal is among these revocations. An API key is, if its entry has a revoked name now.
    pub(super) fn is_revoked(&self, principal: &Principal, revocations: &Revocations) -> bool {
        let entry = match principal.kind {
            CredentialKind::ApiKey => self.keys.entry_of(principal),
            CredentialKind::Token | CredentialKind::Certificate => None,
        };
        revocations.covers(principal, entry.map_or(&principal.name, |entry| &entry.name))
    }

    /// Returns whom the credential behind a ticket stands for now, apart from revocations.
    ///
    /// # Errors
    /// When it has expired, is not known any more, or would not be accepted any more.
    pub(super) fn restored(
        &self,
        credential: TicketCredential,
        now: Timestamp,
    ) -> Result<Principal, InvalidCredential> {
        let principal = match credential {
            TicketCredential::ApiKey(digest) => {
                let holder = self.keys.holder_of(&digest);
                holder.ok_or(InvalidCredential::Revoked)?
            }
            TicketCredential::Certificate { digest, expires } => {
                let holder = self.certificates.holder_of(&digest, expires);
                holder.ok_or(InvalidCredential::Revoked)?
            }
            TicketCredential::Token {
                claims,
                signature,
                digest,
            } => {
                let named = claims.get("iss").and_then(Value::as_str);
                let issuer = named.and_then(|named| self.issuers.get(named));
                let issuer = issuer.ok_or(InvalidCredential::Issuer)?;
                let keys = issuer.last_keys();
                jwt::restored(claims, signature, digest, &issuer.settings, keys.as_deref(), now)?
            }
        };
        principal
            .accepted(now)
            .map(|principal| self.with_limits(principal))
    }

    /// Returns a principal with the limits of the section, where it has none of its own.
    pub(super) fn with_limits(&self, principal: Principal) -> Principal {
        Principal {
            limits: principal.limits.or(self.settings.limits),
            ..principal
        }
    }

    /// Returns the issuer whose keys are fetched from the address of this one.
    fn issuer_with_keys_of(&self, own: &IssuerSettings) -> Option<&Issuer> {
        let mut issuers = self.issuers.values();
        let same = issuers.find(|issuer| issuer.is_fetched() && issuer.settings.jwks == own.jwks);
        same.map(|issuer| &**issuer)
    }

    /// Returns the issuer of the token of this principal, whatever it is called by now.
    pub(super) fn issuer_of(&self, principal: &Principal) -> Option<&Arc<Issuer>> {
        self.issuers.get(principal.claims.get("iss")?.as_str()?)
    }

    pub(super) fn issuer_called(&self, name: &str) -> Option<&Arc<Issuer>> {
        let mut issuers = self.issuers.values();
        issuers.find(|issuer| issuer.settings.name == name)
    }

    /// Whether what a principal was checked against is still what it would be checked against.
    pub(super) fn is_current(&self, principal: &Principal, keys: Option<&Weak<KeySet>>) -> bool {
        match principal.kind {
            CredentialKind::ApiKey => self.keys.entry_of(principal).is_some(),
            CredentialKind::Certificate => self.certificates.entry_of(principal).is_some(),
            CredentialKind::Token => {
                let current = self.issuer_of(principal).and_then(|issuer| issuer.keys());
                let same =
                    |current: &Arc<KeySet>| keys.is_some_and(|keys| keys.as_ptr() == Arc::as_ptr(current));
                current.is_some_and(|current| same(&current))
            }
        }
    }
}

/// Returns until when the token of this principal gives what a stream needs, by the claims that are known of it.
fn token_allowed_until(principal: &Principal, issuer: &Issuer, needs: &Needs) -> Option<Timestamp> {
    let settings = &issuer.settings;
    let grants = |wanted: &Vec<Arc<str>>| jwt::grants_one_of(principal, settings, wanted);
    let until = jwt::accepted_until(principal, settings, issuer.last_keys().as_deref());
    until.filter(|_| needs.iter().all(grants))
}
