//! The check of credentials: which kind it is, whether it was checked before, and by whose rules it is checked.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Weak},
};

use parking_lot::{Mutex, RwLock};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{
    api_key,
    error::{CredentialError, InvalidCredential},
    fault::{AuthFault, AuthFaults},
    fetch::Fetcher,
    issuer::Issuer,
    jwt::UncheckedToken,
    key_file::KeyFile,
    key_set::KeySet,
    principal::{CredentialKind, Principal},
    remembered::Remembered,
    settings::{AuthSettings, PlainPolicy},
};
use crate::{metrics::AuthMetrics, position::Timestamp, tls};

/// Tells who a credential stands for. Clones share everything.
#[derive(Clone, Debug)]
pub struct Authenticator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: RwLock<Arc<Rules>>,
    remembered: Remembered,
    fetcher: Fetcher,
    metrics: AuthMetrics,
    /// The tasks that fetch the keys of issuers.
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
}

/// What credentials are checked against.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) settings: AuthSettings,
    pub(super) keys: KeyFile,
    /// The issuers, by their `iss`.
    pub(super) issuers: HashMap<String, Arc<Issuer>>,
}

impl Authenticator {
    /// Reads the files that the settings name. Keys at addresses are fetched from [`start`](Self::start) on, with the system's root
    /// certificates.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(settings: &AuthSettings, metrics: &AuthMetrics) -> Result<Self, AuthFaults> {
        // Its faults are told with each fetch.
        let connector = tls::client::system_roots().and_then(tls::client::connector);
        Self::with_connector(settings, metrics, connector.ok())
    }

    /// As [`load`](Self::load), but fetches with this connector.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn with_connector(
        settings: &AuthSettings,
        metrics: &AuthMetrics,
        connector: Option<TlsConnector>,
    ) -> Result<Self, AuthFaults> {
        let fetcher = Fetcher::new(connector);
        let rules = Rules::load(settings, None, &fetcher, metrics)?;
        Ok(Self(Arc::new(Inner {
            rules: RwLock::new(Arc::new(rules)),
            remembered: Remembered::default(),
            fetcher,
            metrics: metrics.clone(),
            tasks: Mutex::default(),
        })))
    }

    /// Fetches the keys of issuers from now on, until the last clone is dropped. Must be called inside a runtime.
    pub fn start(&self) {
        let issuers = self.rules();
        let tasks = issuers.issuers.values();
        let tasks = tasks.map(|issuer| AbortOnDropHandle::new(tokio::spawn(Arc::clone(issuer).run())));
        *self.0.tasks.lock() = tasks.collect();
    }

    /// Returns whose credentials count on a connection without TLS.
    pub fn plain(&self) -> PlainPolicy {
        self.rules().settings.plain
    }

    /// Returns whom this credential stands for.
    ///
    /// # Errors
    /// When it is bad, or cannot be checked now.
    pub async fn check(&self, credential: &str) -> Result<Arc<Principal>, CredentialError> {
        let now = jiff::Timestamp::now().as_millisecond();
        let rules = self.rules();
        let digest = api_key::digest(credential);
        let is_current =
            |principal: &Principal, keys: Option<&Weak<KeySet>>| rules.is_current(principal, keys);
        let remembered = self.0.remembered.get(&digest, now, is_current);
        let (name, checked) = match remembered {
            Some(principal) => (Some(Arc::clone(&principal.name)), Ok(principal)),
            None => self.check_anew(&rules, credential, now).await,
        };
        let kind = match api_key::is_api_key(credential) {
            true => CredentialKind::ApiKey,
            false => CredentialKind::Token,
        };
        let result = match &checked {
            Ok(_) => "ok",
            Err(CredentialError::Invalid(why)) => why.name(),
            Err(CredentialError::Unavailable { .. }) => "unavailable",
        };
        self.0
            .metrics
            .checked(kind.name(), name.as_deref().unwrap_or_default(), result);
        checked
    }

    /// Checks a credential that was not checked before. Also returns the name of the key or of the issuer, as far as it is known.
    async fn check_anew(
        &self,
        rules: &Rules,
        credential: &str,
        now: Timestamp,
    ) -> (Option<Arc<str>>, Result<Arc<Principal>, CredentialError>) {
        if credential.len() > MAX_CREDENTIAL_BYTES {
            return (None, Err(InvalidCredential::Malformed.into()));
        }
        if api_key::is_api_key(credential) {
            return match rules.keys.check(credential, now) {
                Ok(principal) => {
                    let name = Arc::clone(&principal.name);
                    (Some(name), Ok(self.remember(principal, None, now)))
                }
                Err(invalid) => (None, Err(invalid.into())),
            };
        }
        let token = UncheckedToken::new(credential);
        let issuer = token.issuer().and_then(|named| {
            let known = rules.issuers.get(&named);
            known.ok_or(InvalidCredential::Issuer)
        });
        let issuer = match issuer {
            Ok(issuer) => issuer,
            Err(invalid) => return (None, Err(invalid.into())),
        };
        let checked = issuer.check(token, now).await;
        let checked = checked.map(|(principal, keys)| self.remember(principal, Some(&keys), now));
        (Some(issuer.settings.name.as_str().into()), checked)
    }

    fn remember(&self, principal: Principal, keys: Option<&Arc<KeySet>>, now: Timestamp) -> Arc<Principal> {
        let principal = Arc::new(principal);
        self.0.remembered.insert(&principal, keys, now);
        principal
    }

    /// Reads all files again, and checks by what they hold from then on. With a fault nothing changes. Must be called inside a
    /// runtime.
    ///
    /// # Errors
    /// Every fault of every file.
    pub async fn reload(&self, settings: &AuthSettings) -> Result<(), AuthFaults> {
        let (settings, before, inner) = (settings.clone(), self.rules(), Arc::clone(&self.0));
        let read = move || Rules::load(&settings, Some(&before), &inner.fetcher, &inner.metrics);
        let rules = match spawn_blocking(read).await {
            Ok(rules) => rules.inspect_err(|_| self.0.metrics.reload_failed())?,
            Err(panic) => return Err(vec![AuthFault::new(Path::new("the files"), panic.to_string())].into()),
        };
        *self.0.rules.write() = Arc::new(rules);
        self.0.remembered.clear();
        self.start();
        Ok(())
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.0.rules.read())
    }
}

impl Rules {
    /// Reads all files. Issuers whose keys are fetched keep them if nothing else of them has changed.
    pub(super) fn load(
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
                issuers,
            }),
            false => Err(faults.into()),
        }
    }

    /// Whether what a principal was checked against is still what it would be checked against.
    fn is_current(&self, principal: &Principal, keys: Option<&Weak<KeySet>>) -> bool {
        match principal.kind {
            CredentialKind::ApiKey => self.keys.has(principal),
            CredentialKind::Token => {
                let mut issuers = self.issuers.values();
                let issuer = issuers.find(|issuer| *issuer.settings.name == *principal.name);
                let current = issuer.and_then(|issuer| issuer.keys());
                let same =
                    |current: &Arc<KeySet>| keys.is_some_and(|keys| keys.as_ptr() == Arc::as_ptr(current));
                current.is_some_and(|current| same(&current))
            }
        }
    }
}

/// The longest credential, in bytes. A token with hundreds of groups has 5 KB.
const MAX_CREDENTIAL_BYTES: usize = 8 * 1024;
