//! What a listener serves TLS with, read again while it serves.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Notify, oneshot::error::RecvError},
    task::spawn_blocking,
    time::sleep,
};
use tokio_rustls::rustls::{ServerConfig, crypto::CryptoProvider};
use zeroize::Zeroizing;

use super::{
    client_rules::ClientRules,
    config,
    fault::{TlsFault, TlsFaults},
    handshakes::Handshakes,
    load::LoadedFiles,
    settings::TlsSettings,
    tickets::TicketKeys,
    turns::HandshakeTurn,
};
use crate::{
    client::ClientKey,
    health::Health,
    metrics::{ListenerTlsMetrics, TlsMetrics},
};

/// The certificates and the rules of one listener. Clones share them.
#[derive(Clone, Debug)]
pub struct TlsServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    listener: &'static str,
    provider: Arc<CryptoProvider>,
    metrics: ListenerTlsMetrics,
    handshakes: Handshakes,
    current: RwLock<Current>,
    /// What is to be served. It differs from what is served while a file is broken.
    wanted: Mutex<TlsSettings>,
    /// The faults of the files that are there now, if they cannot be served.
    refused: Mutex<Option<TlsFaults>>,
    /// Wakes the task that watches.
    asked: Notify,
}

/// What is served.
#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    settings: TlsSettings,
    files: LoadedFiles,
    ticket_keys: Arc<TicketKeys>,
}

impl TlsServer {
    /// Reads the files that the section of `listener` ("http" or "admin") names. A certificate that has expired is served all the
    /// same, and told of: a gateway that does not start helps nobody.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(
        listener: &'static str,
        settings: &TlsSettings,
        metrics: &TlsMetrics,
    ) -> Result<Self, TlsFaults> {
        let (provider, metrics) = (config::provider(), metrics.of(listener));
        let refused = |faults| TlsFaults::new(section(listener), faults);
        let files = LoadedFiles::read(settings, &provider).map_err(refused)?;
        let current = Current::new(settings, files, &provider, None).map_err(refused)?;
        current.show(&metrics);
        current.warn(listener);
        Ok(Self(Arc::new(Inner {
            listener,
            provider,
            metrics,
            handshakes: Handshakes::new(),
            current: RwLock::new(current),
            wanted: Mutex::new(settings.clone()),
            refused: Mutex::default(),
            asked: Notify::new(),
        })))
    }

    /// Returns the configuration for a handshake that begins now.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.read().config)
    }

    /// Returns how many records a stream of such a connection seals under one key.
    pub(crate) fn key_update_after(&self) -> u32 {
        self.0.current.read().settings.key_update_after
    }

    /// Runs a handshake of `client` to its end: a bounded number at once, on threads that give way to those
    /// that write streams.
    ///
    /// # Errors
    /// When the runtime ends.
    ///
    /// # Panics
    /// When the handshake does.
    pub async fn run_handshake<F>(&self, client: ClientKey, handshake: F) -> Result<F::Output, RecvError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.handshakes.run(client, handshake).await
    }

    /// Waits for the turn of a handshake of `client`, as [`run_handshake`](Self::run_handshake) does. It lasts until it is dropped.
    pub async fn turn(&self, client: ClientKey) -> Option<HandshakeTurn> {
        self.0.handshakes.turn(client).await
    }

    /// Returns the random keys of session tickets, for a successor. Returns `None` if the keys are those of a file.
    pub fn pass_on_ticket_keys(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.0.current.read().ticket_keys.pass_on(Instant::now())
    }

    /// Takes the keys that a predecessor [passes on](Self::pass_on_ticket_keys), so that sessions are resumed over a hot restart. The
    /// keys of a file stay.
    pub fn take_ticket_keys(&self, passed_on: &[u8]) {
        let mut current = self.0.current.write();
        if current.ticket_keys.are_shared() {
            return;
        }
        match TicketKeys::passed_on(passed_on, Instant::now()) {
            Some(keys) => current.set_ticket_keys(Arc::new(keys)),
            None => tracing::warn!(
                listener = self.0.listener,
                "the predecessor passed on keys of session tickets in another format; clients do full handshakes"
            ),
        }
    }

    /// Returns the metrics of this listener.
    pub fn metrics(&self) -> &ListenerTlsMetrics {
        &self.0.metrics
    }

    /// Serves by these settings as soon as the files that they name were read, which [`watch`](Self::watch) does at once.
    pub fn reload(&self, settings: &TlsSettings) {
        self.0.wanted.lock().clone_from(settings);
        self.0.asked.notify_one();
    }

    /// Looks at the files `every` so often, and when [asked](Self::reload), and serves what they hold by then. Files that cannot be
    /// served change nothing: they are logged, counted and told to `health`.
    pub async fn watch(self, health: Health, every: Duration) {
        let (mut pause, mut told) = (Duration::ZERO, None);
        loop {
            let is_asked = tokio::select! {
                () = sleep(pause) => false,
                () = self.0.asked.notified() => true,
            };
            let server = self.clone();
            if let Err(error) = spawn_blocking(move || server.look(is_asked)).await {
                tracing::error!(%error, "reading the certificates again failed; the previous ones are still served");
            }
            let is_refused = self.0.refused.lock().is_some();
            let complaint = self.complaint(SystemTime::now());
            health.set_tls(self.0.listener, complaint.clone());
            if let Some(expired) = complaint.as_ref().filter(|_| !is_refused)
                && told != complaint
            {
                tracing::error!(
                    listener = self.0.listener,
                    "a certificate that is served has expired, and clients refuse it: {expired}"
                );
            }
            told = complaint;
            pause = if is_refused {
                every.min(RETRY_INTERVAL)
            } else {
                every
            };
        }
    }

    /// Reads the files, and serves them if they have changed. Blocks.
    fn look(&self, is_asked: bool) {
        let inner = &*self.0;
        inner.current.read().ticket_keys.rotate(Instant::now());
        let wanted = inner.wanted.lock().clone();
        let next = inner.current.read().next(&wanted, &inner.provider);
        match next {
            Ok(None) => self.accept(),
            Ok(Some(next)) => {
                inner.current.read().hide(&inner.metrics);
                next.show(&inner.metrics);
                next.warn(inner.listener);
                *inner.current.write() = next;
                self.accept();
                tracing::info!(
                    listener = inner.listener,
                    "new certificates were read and are served"
                );
            }
            Err(faults) => self.refuse(TlsFaults::new(section(inner.listener), faults), is_asked),
        }
    }

    /// Records that what is there is what is served.
    fn accept(&self) {
        *self.0.refused.lock() = None;
        self.0.metrics.set_files_refused(false);
    }

    /// Records that what is there cannot be served. Logs and counts it once, and again when somebody asks.
    fn refuse(&self, faults: TlsFaults, is_asked: bool) {
        let mut refused = self.0.refused.lock();
        if is_asked || refused.as_ref() != Some(&faults) {
            tracing::error!(
                "the certificates in the files cannot be used; the previous ones are still served:\n{faults}"
            );
            self.0.metrics.reload_failure();
        }
        *refused = Some(faults);
        self.0.metrics.set_files_refused(true);
    }

    /// Returns what an operator should know, if anything.
    fn complaint(&self, now: SystemTime) -> Option<String> {
        let refused = self.0.refused.lock().as_ref().map(|faults| {
            let faults = faults.to_string().replace('\n', "; ");
            format!("the previous certificates are still served, because those in the files cannot be used: {faults}")
        });
        refused.or_else(|| {
            let current = self.0.current.read();
            let expired = current.files.expired(now);
            expired.first().map(ToString::to_string)
        })
    }
}

impl Current {
    /// Makes what is served of these files. Sessions can be resumed over the change from `before` if clients are judged by the same
    /// rules: a resumed handshake trusts the certificate in its ticket.
    fn new(
        settings: &TlsSettings,
        files: LoadedFiles,
        provider: &Arc<CryptoProvider>,
        before: Option<&Self>,
    ) -> Result<Self, Vec<TlsFault>> {
        let unfit = |problem: String| vec![TlsFault::new(&main_file(settings), problem)];
        let rules = ClientRules::of(settings, &files);
        let kept = before.filter(|before| !before.ticket_keys.are_shared() && before.client_rules() == rules);
        let ticket_keys = match (&files.ticket_keys, kept) {
            (Some(shared), _) => Arc::clone(shared),
            (None, Some(before)) => Arc::clone(&before.ticket_keys),
            (None, None) => TicketKeys::random_now().map_err(unfit)?,
        };
        let config = config::build(settings, &files, Arc::clone(provider), &ticket_keys).map_err(unfit)?;
        Ok(Self {
            config: Arc::new(config),
            settings: settings.clone(),
            files,
            ticket_keys,
        })
    }

    fn set_ticket_keys(&mut self, keys: Arc<TicketKeys>) {
        let mut config = ServerConfig::clone(&self.config);
        config.ticketer = config::ticketer(&self.settings, &self.files, &keys);
        (self.config, self.ticket_keys) = (Arc::new(config), keys);
    }

    /// Reads the files again. Returns `None` if nothing has changed.
    fn next(
        &self,
        wanted: &TlsSettings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Self>, Vec<TlsFault>> {
        let files = LoadedFiles::read(wanted, provider)?;
        if *wanted == self.settings && files.digest == self.files.digest {
            return Ok(None);
        }
        let expired = files.newly_expired(&self.files, SystemTime::now());
        if !expired.is_empty() {
            return Err(expired);
        }
        Self::new(wanted, files, provider, Some(self)).map(Some)
    }

    fn client_rules(&self) -> ClientRules {
        ClientRules::of(&self.settings, &self.files)
    }

    /// Shows in the metrics when each chain expires.
    fn show(&self, metrics: &ListenerTlsMetrics) {
        let now = SystemTime::now();
        for certificate in &self.files.certificates {
            metrics.set_expiry(
                &certificate.path.to_string_lossy(),
                certificate.chain_expires(now),
            );
        }
    }

    /// Logs what works, and should not be so.
    fn warn(&self, listener: &'static str) {
        for warning in self.files.warnings(SystemTime::now()) {
            tracing::warn!(listener, "{warning}");
        }
    }

    fn hide(&self, metrics: &ListenerTlsMetrics) {
        for certificate in &self.files.certificates {
            metrics.remove_expiry(&certificate.path.to_string_lossy());
        }
    }
}

/// Returns the file that a fault of no single file is told of.
fn main_file(settings: &TlsSettings) -> PathBuf {
    let first = settings.certificates.first();
    first.map_or_else(PathBuf::new, |files| files.certificate.clone())
}

/// Returns the section of the configuration that has the settings of a listener.
fn section(listener: &str) -> &'static str {
    match listener {
        "admin" => "admin.tls",
        _ => "http.tls",
    }
}

/// How often the files are looked at. Certificates are renewed weeks before they expire, and the kubelet itself takes a minute to
/// bring a new one.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// How soon refused files are looked at again. Mostly a certificate was there before its key.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
