//! Configuration reload on SIGHUP: the configuration is read again, and its subscribers apply it.
//!
//! All or nothing: a configuration with faults is logged and changes nothing. Differences that need a restart are logged too, so
//! that an operator does not take them for applied.
//!
//! Streams that are configured elsewhere are read with each reload, and from time to time without one. Then nothing else changes.

use std::sync::Arc;

use futures_util::{
    FutureExt,
    future::{BoxFuture, pending, ready},
};
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, oneshot},
    task::{JoinError, spawn_blocking},
};

use super::{
    ConfigLoader, StartError,
    config_history::ConfigHistory,
    descriptors,
    reload_scope::{applies_at_reload, follow_clusters, restart_only_changes},
    stream_config::{ReadError, Reading, StreamConfig, WithStreams},
    streams::{PreparedStreams, StreamReloader},
};
use crate::{
    config::{Config, ConfigErrors, StreamEntries, Warning},
    metrics::LifecycleMetrics,
};

/// The subscribers to a new configuration, and the configuration that the process runs with, apart from what they apply.
pub(super) struct ConfigReloader {
    load_config: ConfigLoader,
    /// As the file has it, without the streams of `stream_config`.
    started: Config,
    history: ConfigHistory,
    counts: LifecycleMetrics,
    streams: Option<StreamReloader>,
    stream_config: Option<StreamConfig>,
    subscribers: Vec<Subscriber>,
    /// Those that also follow streams which come, change and go without a reload.
    stream_subscribers: Vec<Subscriber>,
}

/// A configuration that was read, with all that may fail.
struct Fresh {
    /// As the file has it.
    of_file: Config,
    warnings: Vec<Warning>,
    /// With all streams.
    all: WithStreams,
    /// `None` if the streams need a restart.
    streams: Option<PreparedStreams>,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the configuration has errors; nothing changes:\n{0}")]
    Config(#[from] ConfigErrors),
    #[error("the configuration cannot be applied; nothing changes: {0}")]
    Start(#[from] StartError),
    #[error("reading the configuration failed; nothing changes: {0}")]
    Panic(#[from] JoinError),
}

impl Refused {
    /// Returns what the history keeps.
    fn why(&self) -> String {
        match self {
            Self::Config(faults) => faults.to_string(),
            Self::Start(error) => error.to_string(),
            Self::Panic(_) => "reading the configuration failed".to_owned(),
        }
    }
}

/// Applies its part of a new configuration, by the end of the future. Must not block, because it runs in the runtime.
type Subscriber = Box<dyn FnMut(&Config) -> BoxFuture<'static, ()> + Send>;

/// Asks for a reload without a signal.
pub(super) struct ReloadTrigger(mpsc::Sender<oneshot::Sender<()>>);

impl ReloadTrigger {
    /// Reads the configuration again, and waits until its subscribers have applied it.
    pub(super) async fn reload(&self) {
        let (done, is_done) = oneshot::channel();
        // Both fail only if the runtime ends.
        if self.0.send(done).await.is_ok() {
            _ = is_done.await;
        }
    }
}

impl ConfigReloader {
    /// Creates a reloader without subscribers. `started` is the configuration that the process runs with, and `history` is told of
    /// every reload.
    pub(super) fn new(
        load_config: ConfigLoader,
        started: &Config,
        history: ConfigHistory,
        counts: LifecycleMetrics,
    ) -> Self {
        Self {
            load_config,
            started: started.clone(),
            history,
            counts,
            streams: None,
            stream_config: None,
            subscribers: Vec::new(),
            stream_subscribers: Vec::new(),
        }
    }

    /// Changes the streams with every new configuration, after all subscribers have applied theirs.
    pub(super) fn change_streams(&mut self, streams: StreamReloader) {
        self.streams = Some(streams);
    }

    /// Reads the streams that are configured elsewhere, with every new configuration and from time to time.
    pub(super) fn read_streams(&mut self, stream_config: StreamConfig) {
        self.stream_config = Some(stream_config);
    }

    /// Calls `apply` with every new configuration that has no faults. The settings that it applies must be left out in
    /// [`restart_only_changes`].
    pub(super) fn subscribe(&mut self, mut apply: impl FnMut(&Config) + Send + 'static) {
        self.subscribe_async(move |config| {
            apply(config);
            ready(())
        });
    }

    /// Does the same, and also calls `apply` when there are other streams without a reload.
    pub(super) fn subscribe_to_streams(&mut self, mut apply: impl FnMut(&Config) + Send + 'static) {
        self.stream_subscribers.push(Box::new(move |config| {
            apply(config);
            ready(()).boxed()
        }));
    }

    /// Does the same for a subscriber that takes its time. The next reload begins when it has applied this one, so that of two the later
    /// one has the last word.
    pub(super) fn subscribe_async<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        mut apply: impl FnMut(&Config) -> F + Send + 'static,
    ) {
        self.subscribers
            .push(Box::new(move |config| apply(config).boxed()));
    }

    /// Reloads with every `hangup` from now on. Must be called inside a runtime.
    pub(super) fn listen(mut self, mut hangup: Signal) -> ReloadTrigger {
        let (trigger, mut triggered) = mpsc::channel::<oneshot::Sender<()>>(1);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(()) = hangup.recv() => self.reload().await,
                    Some(done) = triggered.recv() => {
                        self.reload().await;
                        // Whoever asked may not wait.
                        _ = done.send(());
                    }
                    reading = read_when_due(&mut self.stream_config) => self.refresh(reading).await,
                }
            }
        });
        ReloadTrigger(trigger)
    }

    async fn reload(&mut self) {
        match self.read().await {
            Ok(fresh) => self.apply(fresh).await,
            Err(refused) => {
                tracing::error!("{refused}");
                self.counts.reload_failures.inc();
                self.history.refused(&refused.why());
            }
        }
    }

    /// Reads the configuration and the streams that it names elsewhere, and prepares for them.
    async fn read(&mut self) -> Result<Fresh, Refused> {
        let load_config = Arc::clone(&self.load_config);
        let load = move || -> Result<_, Refused> {
            let (mut config, warnings) = load_config()?;
            descriptors::fit(&mut config)?;
            Ok((config, warnings))
        };
        let (config, warnings) = spawn_blocking(load).await??;
        let (mut reading, mut served) = (None, StreamEntries::default());
        if let Some(stream_config) = &self.stream_config {
            served = stream_config.served();
            reading = match &config.stream_config {
                Some(settings) => Some(stream_config.read_soon(settings).await),
                None => None,
            };
        }
        // Who may read a stream is checked by what needs a restart.
        let has_same_auth = config.auth.is_some() == self.started.auth.is_some();
        let streams = self.streams.clone().filter(|_| has_same_auth);
        let prepare = move || -> Result<Fresh, Refused> {
            let all = WithStreams::new(config.clone(), reading, &served);
            let streams = streams.map(|streams| streams.prepare(&all.config)).transpose()?;
            Ok(Fresh {
                of_file: config,
                warnings,
                all,
                streams,
            })
        };
        spawn_blocking(prepare).await?
    }

    async fn apply(&mut self, fresh: Fresh) {
        let Fresh {
            of_file,
            warnings,
            all,
            streams,
        } = fresh;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        for apply in self.stream_subscribers.iter_mut().chain(&mut self.subscribers) {
            apply(&all.config).await;
        }
        if let (Some(reloader), Some(streams)) = (&self.streams, streams) {
            reloader.apply(streams).await;
            if let Some(stream_config) = &mut self.stream_config {
                stream_config.applied(all).await;
            }
        }
        self.report(&of_file, &warnings);
        if of_file.auth.is_some() == self.started.auth.is_some() {
            self.started.catalog = of_file.catalog;
            self.started.stream_config = of_file.stream_config;
        }
        self.started.limits = of_file.limits;
        follow_clusters(&mut self.started.clusters, of_file.clusters);
    }

    /// Puts other streams of a document in force, if it has some.
    async fn refresh(&mut self, reading: Reading) {
        let Some(stream_config) = &mut self.stream_config else {
            return;
        };
        let document = match reading {
            Ok(document) if stream_config.is_changed_by(&document) => document,
            Ok(document) => return stream_config.unchanged(document),
            Err(error) => return stream_config.failed(&error),
        };
        let (config, served) = (self.started.clone(), stream_config.served());
        let Some(streams) = self.streams.clone() else {
            return;
        };
        let prepare = move || {
            let all = WithStreams::new(config, Some(Ok(document)), &served);
            let prepared = streams.prepare(&all.config);
            prepared.map(|prepared| (streams, prepared, all))
        };
        let why = match spawn_blocking(prepare).await {
            Ok(Ok((streams, prepared, all))) => {
                for apply in &mut self.stream_subscribers {
                    apply(&all.config).await;
                }
                streams.apply(prepared).await;
                return stream_config.applied(all).await;
            }
            Ok(Err(error)) => format!("its streams cannot be read: {error}"),
            Err(panic) => panic.to_string(),
        };
        stream_config.failed(&ReadError::Failed(why));
    }

    /// Records what applies, and logs what needs a restart.
    fn report(&mut self, config: &Config, warnings: &[Warning]) {
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let applies_now = |key: &str| applies_at_reload(key, &self.started, config);
        self.history
            .applied(&config.shown, applies_now, &warnings.join("\n"));
        let waiting = restart_only_changes(&self.started, config);
        if waiting.is_empty() {
            tracing::info!("the configuration was read again and applies");
        } else {
            let waiting = waiting.join(", ");
            tracing::warn!(
                %waiting,
                "the configuration was read again; changes in these sections need a restart"
            );
        }
    }
}

/// Waits until the streams that are configured elsewhere were read. Does not return without them.
async fn read_when_due(stream_config: &mut Option<StreamConfig>) -> Reading {
    match stream_config {
        Some(stream_config) => stream_config.read_when_due().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
