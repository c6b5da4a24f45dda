//! An issuer with its keys: read at the start, renewed every few minutes, and asked for when a token names a key that is not there.
//!
//! Not here: what is checked of a token (`jwt`).

use std::{path::Path, sync::Arc, time::Duration};

use http::Uri;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    error::{CredentialError, InvalidCredential},
    fault::AuthFault,
    fetch::{self, Fetcher},
    files,
    jwt::UncheckedToken,
    key_set::KeySet,
    principal::Principal,
    settings::{IssuerSettings, KeySource},
};
use crate::{metrics::AuthMetrics, position::Timestamp};

/// An issuer, and the keys that are known of it.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) settings: IssuerSettings,
    fetcher: Fetcher,
    metrics: AuthMetrics,
    keys: Mutex<KnownKeys>,
    /// Wakes the task that fetches.
    asked: Notify,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
    waiting: Semaphore,
}

#[derive(Debug, Default)]
struct KnownKeys {
    set: Option<Arc<KeySet>>,
    /// When the set was read last.
    good_at: Option<Instant>,
    /// When the last fetch began.
    begun_at: Option<Instant>,
    is_fetching: bool,
    /// Whether the last fetch failed.
    has_failed: bool,
}

impl KnownKeys {
    /// Returns the keys that the process before this one fetched from the address of this issuer, if they may still be used. They are
    /// fetched again at once.
    fn of_before(settings: &IssuerSettings, fetcher: &Fetcher, metrics: &AuthMetrics) -> Option<Self> {
        let KeySource::Url(url) = &settings.jwks else {
            return None;
        };
        let kept = fetcher.kept.read(url, jiff::Timestamp::now().as_millisecond())?;
        let set = KeySet::parse(kept.text.as_bytes()).ok()?;
        let good_at = Instant::now().checked_sub(kept.age)?;
        (kept.age < KEEP_TIME).then(|| {
            metrics.keys_read_before(&settings.name, kept.age);
            Self {
                set: Some(Arc::new(set)),
                good_at: Some(good_at),
                ..Self::default()
            }
        })
    }

    /// Returns the keys for another issuer with the same address, which does not fetch them at once if they are known.
    fn kept(&self) -> Self {
        Self {
            set: self.set.clone(),
            good_at: self.good_at,
            begun_at: self.begun_at.filter(|_| self.set.is_some() && !self.is_fetching),
            is_fetching: false,
            has_failed: self.has_failed,
        }
    }
}

impl Issuer {
    /// Creates an issuer. Keys in a file are read at once. Those at an address are fetched by [`run`](Self::run). Until then those
    /// count that `known` has, which fetches from the same address, or that were kept when this process started.
    ///
    /// # Errors
    /// When the file has no keys that can be used.
    pub(super) fn load(
        settings: IssuerSettings,
        fetcher: Fetcher,
        metrics: &AuthMetrics,
        known: Option<&Self>,
    ) -> Result<Self, AuthFault> {
        metrics.add_issuer(&settings.name);
        let keys = known.map(|known| known.keys.lock().kept());
        let keys = keys.or_else(|| KnownKeys::of_before(&settings, &fetcher, metrics));
        let mut keys = keys.unwrap_or_default();
        if let KeySource::File(path) = &settings.jwks {
            let set = read(path).map_err(|problem| AuthFault::new(path, problem))?;
            let now = Instant::now();
            metrics.keys_read(&settings.name);
            keys = KnownKeys {
                set: Some(Arc::new(set)),
                good_at: Some(now),
                begun_at: Some(now),
                ..keys
            };
        }
        Ok(Self {
            settings,
            fetcher,
            metrics: metrics.clone(),
            keys: Mutex::new(keys),
            asked: Notify::new(),
            ended: watch::Sender::new(0),
            waiting: Semaphore::new(MAX_WAITING),
        })
    }

    /// Returns the keys, unless the last good ones are too old.
    pub(super) fn keys(&self) -> Option<Arc<KeySet>> {
        let keys = self.keys.lock();
        let is_fresh = keys.good_at.is_some_and(|at| at.elapsed() < KEEP_TIME);
        keys.set.clone().filter(|_| is_fresh)
    }

    /// Returns the keys that were read last, however old they are.
    pub(super) fn last_keys(&self) -> Option<Arc<KeySet>> {
        self.keys.lock().set.clone()
    }

    /// Whether its keys are at an address.
    pub(super) fn is_fetched(&self) -> bool {
        matches!(self.settings.jwks, KeySource::Url(_))
    }

    /// Returns how long ago the keys were read last, and whether the last attempt to read them failed.
    pub(super) fn last_read(&self) -> (Option<Duration>, bool) {
        let keys = self.keys.lock();
        (keys.good_at.map(|at| at.elapsed()), keys.has_failed)
    }

    /// Returns how many keys are known.
    pub(super) fn count(&self) -> usize {
        self.keys().map_or(0, |keys| keys.len())
    }

    /// Checks a token that names this issuer. If its key is unknown, or its signature wrong, the keys may have changed: then it waits
    /// for a fetch, if one is due.
    pub(super) async fn check(
        &self,
        token: UncheckedToken<'_>,
        now: Timestamp,
    ) -> Result<(Principal, Arc<KeySet>), CredentialError> {
        let header = token.header(&self.settings)?;
        let check = |keys: Arc<KeySet>| {
            let checked = token.check(&header, &self.settings, &keys, now);
            checked.map(|principal| (principal, keys))
        };
        let before = self.keys();
        let has_keys = before.is_some();
        let failure = match before.map(check) {
            Some(Err(InvalidCredential::UnknownKey)) | None => InvalidCredential::UnknownKey,
            Some(Err(InvalidCredential::Signature)) => InvalidCredential::Signature,
            Some(checked) => return Ok(checked?),
        };
        let fetched = self.fetched().await;
        match (fetched, self.keys()) {
            (Fetched::Done, Some(keys)) => Ok(check(keys)?),
            (Fetched::Recently, Some(_)) if has_keys => Err(failure.into()),
            (Fetched::Recently, Some(keys)) => Ok(check(keys)?),
            // The issuer may have another key, also under the same id.
            _ => Err(CredentialError::Unavailable {
                retry_after: FETCH_INTERVAL,
            }),
        }
    }

    /// Waits for the first fetch to end, if no keys are known yet.
    pub(super) async fn first_fetch(&self) {
        let mut ended = self.ended.subscribe();
        if self.last_keys().is_none() {
            // The sender lives as long as this issuer.
            _ = ended.wait_for(|count| *count > 0).await;
        }
    }

    /// Waits for a fetch that is in progress, or due by then, for at most [`WAIT`].
    async fn fetched(&self) -> Fetched {
        let mut ended = self.ended.subscribe();
        let (deadline, due) = {
            let (keys, now) = (self.keys.lock(), Instant::now());
            let due = keys.begun_at.map_or(now, |at| at + FETCH_INTERVAL);
            match (keys.is_fetching || due < now + WAIT, keys.has_failed) {
                (false, true) => return Fetched::Not,
                (false, false) => return Fetched::Recently,
                (true, _) => {}
            }
            // Under the lock, with which a fetch ends: it cannot end unnoticed.
            ended.mark_unchanged();
            (now + WAIT, if keys.is_fetching { now } else { due })
        };
        let Ok(_permit) = self.waiting.try_acquire() else {
            return Fetched::Not;
        };
        let next_end = async {
            // Before that none begins that is asked for, but the one of the renewal may.
            if let Ok(ended) = timeout_at(due, ended.changed()).await {
                return ended;
            }
            self.asked.notify_one();
            ended.changed().await
        };
        let is_over = timeout_at(deadline, next_end).await;
        match is_over {
            Ok(Ok(())) if !self.keys.lock().has_failed => Fetched::Done,
            _ => Fetched::Not,
        }
    }

    /// Fetches the keys when they are due, and when somebody asks. Calls `changed` when they are others than before. Never returns.
    pub(super) async fn run(self: Arc<Self>, changed: impl Fn() + Send) {
        loop {
            let (next, earliest) = {
                let keys = self.keys.lock();
                let pause = if keys.has_failed {
                    FETCH_INTERVAL
                } else {
                    RENEW_INTERVAL
                };
                let after = |pause| keys.begun_at.map_or_else(Instant::now, |at| at + pause);
                (after(pause), after(FETCH_INTERVAL))
            };
            tokio::select! {
                () = sleep_until(next) => {}
                // Whoever asks does so when a fetch is due. A permit that is left over from the last fetch is not to begin another.
                () = self.asked.notified() => if Instant::now() < earliest { continue },
            }
            if self.fetch().await {
                changed();
            }
        }
    }

    /// Returns whether the keys are others than before.
    async fn fetch(&self) -> bool {
        {
            let mut keys = self.keys.lock();
            keys.begun_at = Some(Instant::now());
            keys.is_fetching = true;
        }
        let fetched = match &self.settings.jwks {
            KeySource::Url(url) => self.fetch_from(url).await,
            KeySource::File(path) => {
                let path = path.clone();
                let read = spawn_blocking(move || read(&path)).await;
                read.unwrap_or_else(|panic| Err(panic.to_string()))
            }
        };
        let mut keys = self.keys.lock();
        keys.is_fetching = false;
        keys.has_failed = fetched.is_err();
        let mut has_changed = false;
        match fetched {
            Ok(set) => {
                keys.good_at = Some(Instant::now());
                self.metrics.keys_read(&self.settings.name);
                // The same keys stay the same, so that what was checked with them needs no other check.
                has_changed = keys.set.as_ref().is_none_or(|before| !before.is_same(&set));
                if has_changed {
                    keys.set = Some(Arc::new(set));
                }
            }
            Err(problem) => {
                self.metrics.keys_not_read(&self.settings.name);
                tracing::warn!(
                    issuer = self.settings.name,
                    problem,
                    "the keys of an issuer could not be read; the previous ones are used for up to an hour"
                );
            }
        }
        self.ended.send_modify(|count| *count += 1);
        has_changed
    }

    /// Fetches the keys from an address, and keeps them for the next process.
    async fn fetch_from(&self, url: &Uri) -> Result<KeySet, String> {
        let text = self.fetcher.get(url).await?;
        let set = parse(&text)?;
        let (kept, url) = (self.fetcher.kept.clone(), url.clone());
        let text = String::from_utf8_lossy(&text).into_owned();
        // Nobody waits for it.
        spawn_blocking(move || {
            if let Err(error) = kept.write(&url, text, jiff::Timestamp::now().as_millisecond()) {
                tracing::warn!(%error, "the keys of an issuer cannot be kept for the next start");
            }
        });
        Ok(set)
    }
}

/// The outcome of [`Issuer::fetched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetched {
    /// The keys were read meanwhile.
    Done,
    /// They were read so recently that they are not read again.
    Recently,
    /// They could not be read.
    Not,
}

fn read(path: &Path) -> Result<KeySet, String> {
    let text = files::read(path).map_err(|fault| fault.to_string())?;
    parse(&text)
}

fn parse(text: &[u8]) -> Result<KeySet, String> {
    match text.len() > fetch::MAX_BYTES {
        true => Err(format!("longer than {} bytes", fetch::MAX_BYTES)),
        false => KeySet::parse(text).map_err(str::to_owned),
    }
}

/// How often keys are read again. An issuer publishes a new key long before it signs with it.
const RENEW_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// How long after the beginning of a fetch the next one may begin. Tokens with invented keys come at any rate.
const FETCH_INTERVAL: Duration = Duration::from_secs(30);

/// How long the last good keys are used. Longer than a restart of an issuer, and short for a key that was withdrawn.
const KEEP_TIME: Duration = Duration::from_secs(60 * 60);

/// How long a request waits for a fetch.
pub(super) const WAIT: Duration = Duration::from_secs(2);

/// How many requests wait for a fetch at a time. Each keeps a connection open.
const MAX_WAITING: usize = 100;
