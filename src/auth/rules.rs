//! What credentials are checked against, as the files and the settings have it.
//!
//! Not here: the check itself (`authenticator`).

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use super::{
    fault::AuthFaults,
    fetch::Fetcher,
    issuer::Issuer,
    key_file::KeyFile,
    key_set::KeySet,
    principal::{CredentialKind, Principal},
    revocations::Revocations,
    settings::AuthSettings,
    ticket::TicketKeys,
};
use crate::metrics::AuthMetrics;

/// What credentials are checked against.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) settings: AuthSettings,
    pub(super) keys: KeyFile,
    pub(super) tickets: TicketKeys,
    /// The issuers, by their `iss`.
    pub(super) issuers: HashMap<String, Arc<Issuer>>,
}

/// Reads all files, or returns every fault of every file.
pub(super) fn load(
    settings: &AuthSettings,
    before: Option<&Rules>,
    fetcher: &Fetcher,
    metrics: &AuthMetrics,
) -> Result<(Rules, Revocations), AuthFaults> {
    let revocations = settings.revocations_file.as_deref().map(Revocations::read);
    let revocations = revocations.transpose().map(Option::unwrap_or_default);
    match (Rules::load(settings, before, fetcher, metrics), revocations) {
        (Ok(rules), Ok(revocations)) => Ok((rules, revocations)),
        (rules, revocations) => Err(AuthFaults::all(rules.err(), revocations.err())),
    }
}

impl Rules {
    /// Reads all files but that of revocations. Issuers whose keys are fetched keep them if nothing else of them has changed.
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
                None => Issuer::load(own.clone(), fetcher.clone(), metrics).map(Arc::new),
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
                tickets: TicketKeys::new(&settings.ticket_keys),
                issuers,
            }),
            false => Err(faults.into()),
        }
    }

    /// Whether the credential of this principal still counts, apart from revocations and its end: its key is in the file, or its
    /// issuer is one of ours.
    pub(super) fn allows(&self, principal: &Principal) -> bool {
        match principal.kind {
            CredentialKind::ApiKey => self.keys.has(principal),
            CredentialKind::Token => self.issuer_called(&principal.name).is_some(),
        }
    }

    fn issuer_called(&self, name: &str) -> Option<&Arc<Issuer>> {
        let mut issuers = self.issuers.values();
        issuers.find(|issuer| issuer.settings.name == name)
    }

    /// Whether what a principal was checked against is still what it would be checked against.
    pub(super) fn is_current(&self, principal: &Principal, keys: Option<&Weak<KeySet>>) -> bool {
        match principal.kind {
            CredentialKind::ApiKey => self.keys.has(principal),
            CredentialKind::Token => {
                let current = self
                    .issuer_called(&principal.name)
                    .and_then(|issuer| issuer.keys());
                let same =
                    |current: &Arc<KeySet>| keys.is_some_and(|keys| keys.as_ptr() == Arc::as_ptr(current));
                current.is_some_and(|current| same(&current))
            }
        }
    }
}
