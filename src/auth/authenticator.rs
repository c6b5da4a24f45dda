//! The check of credentials: which kind it is, whether it was checked before, and by whose rules it is checked.

use std::{
    convert::Infallible,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{
    api_key,
    error::{CredentialError, InvalidCredential},
    fault::{AuthFault, AuthFaults},
    fetch::Fetcher,
    issuer::{self, Issuer},
    jwt::UncheckedToken,
    kept_keys::KeptKeys,
    key_set::KeySet,
    principal::{CredentialKind, Principal},
    remembered::Remembered,
    revocations::Revocations,
    rules::{self, Rules},
    sessions::{Needs, SessionGuard, Sessions},
    settings::{AuthSettings, PlainPolicy},
    stream_principal::for_stream,
    tickets::TicketKey,
};
use crate::{
    limits::Evictable,
    metrics::AuthMetrics,
    position::Timestamp,
    tls::{self, ClientCertificate},
};

/// Tells who a credential stands for. Clones share everything.
#[derive(Clone, Debug)]
pub struct Authenticator(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    rules: RwLock<Arc<Rules>>,
    /// The random key of tickets, which is that of the predecessor after a hot restart. It opens tickets also where others are
    /// configured: a reload must not end what was made before it.
    pub(super) random_ticket_key: RwLock<TicketKey>,
    pub(super) revocations: RwLock<Arc<Revocations>>,
    /// Held while files are read or written, so that a reload does not undo a revocation.
    pub(super) changing: tokio::sync::Mutex<()>,
    remembered: Remembered,
    pub(super) sessions: Arc<Sessions>,
    fetcher: Fetcher,
    pub(super) metrics: AuthMetrics,
    /// The tasks that fetch the keys of issuers.
    tasks: Mutex<Vec<(Arc<Issuer>, AbortOnDropHandle<()>)>>,
    /// The task that ends streams whose credentials expire sooner than the streams know.
    ending: Mutex<Option<AbortOnDropHandle<()>>>,
    /// The task that ends streams whose credentials expire while their clients take nothing.
    expiring: Mutex<Option<AbortOnDropHandle<Infallible>>>,
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
        let fetcher = Fetcher::new(connector, KeptKeys::new(settings.state_directory.clone()));
        let (rules, revocations) = rules::load(settings, None, &fetcher, metrics)?;
        metrics.set_revocations(revocations.len());
        let key = TicketKey::random().map_err(|_| {
            vec![AuthFault::new(
                Path::new("tickets"),
                "there are no random numbers for a key",
            )]
        });
        Ok(Self(Arc::new(Inner {
            rules: RwLock::new(Arc::new(rules)),
            random_ticket_key: RwLock::new(key?),
            revocations: RwLock::new(Arc::new(revocations)),
            changing: tokio::sync::Mutex::default(),
            remembered: Remembered::default(),
            sessions: Sessions::new(metrics.clone()),
            fetcher,
            metrics: metrics.clone(),
            tasks: Mutex::default(),
            ending: Mutex::default(),
            expiring: Mutex::default(),
        })))
    }

    /// Fetches the keys of issuers and ends expired streams from now on, until the last clone is dropped. Must be called inside a
    /// runtime.
    pub fn start(&self) {
        self.0.expiring.lock().get_or_insert_with(|| {
            let sessions = Arc::clone(&self.0.sessions);
            AbortOnDropHandle::new(tokio::spawn(async move { sessions.end_expired().await }))
        });
        self.start_issuers();
    }

    /// Starts the tasks of new issuers, and ends those of issuers that are gone.
    fn start_issuers(&self) {
        let rules = self.rules();
        let mut tasks = self.0.tasks.lock();
        let mut before = std::mem::take(&mut *tasks);
        for issuer in rules.issuers.values() {
            // A fetch that is in progress goes on.
            let running = before.iter().position(|(own, _)| Arc::ptr_eq(own, issuer));
            tasks.push(match running {
                Some(running) => before.swap_remove(running),
                None => {
                    let inner = Arc::downgrade(&self.0);
                    let changed = move || {
                        if let Some(inner) = inner.upgrade() {
                            Self(inner).end_revoked();
                        }
                    };
                    let task = tokio::spawn(Arc::clone(issuer).run(changed));
                    (Arc::clone(issuer), AbortOnDropHandle::new(task))
                }
            });
        }
        for (gone, task) in before {
            drop(task);
            if rules.issuer_called(&gone.settings.name).is_none() {
                self.0.metrics.remove_issuer(&gone.settings.name);
            }
        }
    }

    /// Waits until the keys of all issuers were fetched once since [`start`](Self::start), or could not be, for two seconds at most.
    /// Whoever serves before that refuses the tokens of clients that come back together with 503, which ends an EventSource.
    pub async fn first_keys(&self) {
        let rules = self.rules();
        let fetches = rules.issuers.values().map(|issuer| issuer.first_fetch());
        // Those that take longer have requests waiting for them.
        _ = timeout(issuer::WAIT, join_all(fetches)).await;
    }

    /// Returns whose credentials count on a connection without TLS.
    pub fn plain(&self) -> PlainPolicy {
        self.rules().settings.plain
    }

    /// Returns the name of the cookie that carries a credential. Empty if no cookie does.
    pub fn cookie(&self) -> String {
        self.rules().settings.cookie.clone()
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
        let checked = match checked {
            Ok(principal) if self.is_revoked(&principal) => Err(InvalidCredential::Revoked.into()),
            checked => checked,
        };
        let kind = match api_key::is_api_key(credential) {
            true => CredentialKind::ApiKey,
            false => CredentialKind::Token,
        };
        self.count(kind, name.as_deref().unwrap_or_default(), &checked);
        checked
    }

    /// Returns whom this certificate, which the handshake has checked, stands for. Returns `None` if it stands for nobody.
    ///
    /// # Errors
    /// When it has expired since.
    pub fn check_certificate(
        &self,
        certificate: &ClientCertificate,
    ) -> Option<Result<Arc<Principal>, CredentialError>> {
        let (rules, now) = (self.rules(), jiff::Timestamp::now().as_millisecond());
        let principal = rules.with_limits(rules.certificates.principal(certificate)?);
        let name = Arc::clone(&principal.name);
        let checked = principal.accepted(now);
        let checked = checked.map(Arc::new).map_err(CredentialError::from);
        self.count(CredentialKind::Certificate, &name, &checked);
        Some(checked)
    }

    /// Counts the check of a credential. `name` is empty if it is not known whose it is.
    fn count(&self, kind: CredentialKind, name: &str, checked: &Result<Arc<Principal>, CredentialError>) {
        let result = match checked {
            Ok(_) => "ok",
            Err(CredentialError::Invalid(why)) => why.name(),
            Err(CredentialError::Unavailable { .. }) => "unavailable",
        };
        self.0.metrics.checked(kind.name(), name, result);
    }

    /// Checks a credential that was not checked before. Also returns the name of the key or of the issuer, as far as it is known.
    async fn check_anew(
        &self,
        rules: &Arc<Rules>,
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
                    (Some(name), Ok(self.remember(rules, principal, None)))
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
        let checked = checked.map(|(principal, keys)| self.remember(rules, principal, Some(&keys)));
        (Some(issuer.settings.name.as_str().into()), checked)
    }

    fn remember(
        &self,
        rules: &Arc<Rules>,
        principal: Principal,
        keys: Option<&Arc<KeySet>>,
    ) -> Arc<Principal> {
        let principal = Arc::new(rules.with_limits(principal));
        // A check that a reload has overtaken is good for this request, and for no other.
        let is_current = || Arc::ptr_eq(rules, &self.rules());
        self.0.remembered.insert(&principal, keys, is_current);
        principal
    }

    /// Adds a stream to the open ones of its principal. It is told to end if the credential is revoked, or does not give any more what
    /// the stream needs.
    ///
    /// # Errors
    /// When the credential was revoked after its check.
    pub fn open_session(
        &self,
        principal: &Arc<Principal>,
        needs: Needs,
        stream: Weak<dyn Evictable>,
    ) -> Result<SessionGuard, CredentialError> {
        let kept = {
            let rules = self.rules();
            let issuer = rules.issuer_of(principal).map(|issuer| &issuer.settings);
            for_stream(principal, issuer, &needs)
        };
        let is_allowed = || {
            let is_allowed = self.rules().allowed_until(&kept, &needs).is_some();
            is_allowed && !self.is_revoked(&kept)
        };
        let guard = self.0.sessions.open(&kept, needs.clone(), stream);
        // Behind the entry, so that a revocation meanwhile finds one or the other.
        match is_allowed() {
            true => Ok(guard),
            false => Err(InvalidCredential::Revoked.into()),
        }
    }

    /// Reads all files again, and checks by what they hold from then on. Streams of credentials that are gone end. With a fault
    /// nothing changes. Must be called inside a runtime.
    ///
    /// # Errors
    /// Every fault of every file.
    pub async fn reload(&self, settings: &AuthSettings) -> Result<(), AuthFaults> {
        let _changing = self.0.changing.lock().await;
        let (settings, before, inner) = (settings.clone(), self.rules(), Arc::clone(&self.0));
        let revoked = Arc::clone(&self.0.revocations.read());
        let read = move || {
            let before = Some((&*before, &*revoked));
            rules::load(&settings, before, &inner.fetcher, &inner.metrics)
        };
        let (rules, revocations) = match spawn_blocking(read).await {
            Ok(read) => read.inspect_err(|_| self.0.metrics.reload_failed())?,
            Err(panic) => return Err(vec![AuthFault::new(Path::new("the files"), panic.to_string())].into()),
        };
        *self.0.rules.write() = Arc::new(rules);
        self.set_revocations(revocations);
        self.0.remembered.clear();
        self.start_issuers();
        self.end_revoked();
        Ok(())
    }

    pub(super) fn set_revocations(&self, revocations: Revocations) {
        self.0.metrics.set_revocations(revocations.len());
        *self.0.revocations.write() = Arc::new(revocations);
    }

    /// Ends the streams of credentials that are not allowed any more. Returns how many there are.
    pub(super) fn end_revoked(&self) -> usize {
        // Held throughout, so that of two calls the one with newer rules has the last word.
        let mut ending = self.0.ending.lock();
        let (rules, revocations) = (self.rules(), Arc::clone(&self.0.revocations.read()));
        let now = jiff::Timestamp::now().as_millisecond();
        let mut next = None;
        let count = self.0.sessions.end(|principal, needs| {
            let until = rules.allowed_until(principal, needs);
            let until = until.filter(|until| *until > now && !rules.is_revoked(principal, &revocations));
            if let Some(until) = until
                && principal.accepted_until.is_none_or(|known| until < known)
                && next.is_none_or(|next| until < next)
            {
                next = Some(until).filter(|until| *until < Timestamp::MAX);
            }
            until.is_some()
        });
        if count > 0 {
            tracing::info!(
                count,
                "streams end because their credentials do not count any more"
            );
        }
        *ending = next.map(|next| self.end_at(next - now));
        count
    }

    /// Ends streams again after this time, in milliseconds: a credential expires then, and its streams do not know.
    fn end_at(&self, left: Timestamp) -> AbortOnDropHandle<()> {
        let inner = Arc::downgrade(&self.0);
        let left = Duration::from_millis(left.unsigned_abs()).min(MAX_WAIT);
        AbortOnDropHandle::new(tokio::spawn(async move {
            sleep(left).await;
            if let Some(inner) = inner.upgrade() {
                Self(inner).end_revoked();
            }
        }))
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.0.rules.read())
    }

    pub(super) fn is_revoked(&self, principal: &Principal) -> bool {
        self.rules().is_revoked(principal, &self.0.revocations.read())
    }
}

/// The longest wait until streams are looked at again. A timer takes no more than some years.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The longest credential, in bytes. A token with hundreds of groups has 5 KB.
const MAX_CREDENTIAL_BYTES: usize = 8 * 1024;
