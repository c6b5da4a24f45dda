//! Configuration reload on SIGHUP: the configuration is read again, and its subscribers apply it.
//!
//! All or nothing: a configuration with faults is logged and changes nothing. Differences that need a restart are logged too, so
//! that an operator does not take them for applied.

use std::sync::Arc;

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use super::{
    ConfigLoader, StartError,
    config_history::ConfigHistory,
    descriptors,
    reload_scope::{applies_at_reload, follow_clusters, restart_only_changes},
    streams::{PreparedStreams, StreamReloader},
};
use crate::{
    config::{Config, ConfigErrors, Warning},
    metrics::LifecycleMetrics,
};

/// The subscribers to a new configuration, and the configuration that the process runs with, apart from what they apply.
pub(super) struct ConfigReloader {
    load_config: ConfigLoader,
    started: Config,
    history: ConfigHistory,
    counts: LifecycleMetrics,
    streams: Option<StreamReloader>,
    subscribers: Vec<Subscriber>,
}

/// A configuration that was read, with all that may fail.
struct Fresh {
    config: Config,
    warnings: Vec<Warning>,
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
            subscribers: Vec::new(),
        }
    }

    /// Changes the streams with every new configuration, after all subscribers have applied theirs.
    pub(super) fn change_streams(&mut self, streams: StreamReloader) {
        self.streams = Some(streams);
    }

    /// Calls `apply` with every new configuration that has no faults. The settings that it applies must be left out in
    /// [`restart_only_changes`].
    pub(super) fn subscribe(&mut self, mut apply: impl FnMut(&Config) + Send + 'static) {
        self.subscribe_async(move |config| {
            apply(config);
            ready(())
        });
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

    /// Handles SIGHUP from now on, which would end the process otherwise. Must be called inside a runtime.
    ///
    /// # Errors
    /// If the operating system refuses it.
    pub(super) fn listen(mut self) -> std::io::Result<ReloadTrigger> {
        let mut hangup = signal(SignalKind::hangup())?;
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
                    else => break,
                }
            }
        });
        Ok(ReloadTrigger(trigger))
    }

    async fn reload(&mut self) {
        let load_config = Arc::clone(&self.load_config);
        let (streams, had_auth) = (self.streams.clone(), self.started.auth.is_some());
        let read = move || -> Result<Fresh, Refused> {
            let (mut config, warnings) = load_config()?;
            descriptors::fit(&mut config)?;
            // Who may read a stream is checked by what needs a restart.
            let streams = streams.filter(|_| config.auth.is_some() == had_auth);
            let streams = streams.map(|streams| streams.prepare(&config)).transpose()?;
            Ok(Fresh {
                config,
                warnings,
                streams,
            })
        };
        let why = match spawn_blocking(read).await {
            Ok(Ok(fresh)) => return self.apply(fresh).await,
            Ok(Err(refused)) => {
                tracing::error!("{refused}");
                match refused {
                    Refused::Config(faults) => faults.to_string(),
                    Refused::Start(error) => error.to_string(),
                }
            }
            Err(panic) => {
                tracing::error!(%panic, "reading the configuration failed; nothing changes");
                "reading the configuration failed".to_owned()
            }
        };
        self.counts.reload_failures.inc();
        self.history.refused(&why);
    }

    async fn apply(&mut self, fresh: Fresh) {
        let Fresh {
            config,
            warnings,
            streams,
        } = fresh;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        for apply in &mut self.subscribers {
            apply(&config).await;
        }
        if let (Some(reloader), Some(streams)) = (&self.streams, streams) {
            reloader.apply(streams).await;
        }
        self.report(&config, &warnings);
        if config.auth.is_some() == self.started.auth.is_some() {
            self.started.catalog = config.catalog;
        }
        follow_clusters(&mut self.started.clusters, config.clusters);
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

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;
    use crate::{config::ConfigErrors, http::ConfigReport};

    const LEAST: &str = "[[clusters]]\nname = 'main'\nbootstrap = ['b1:9092', 'b2:9092', 'b3:9092']\n\
        [[streams]]\nname = 'edits'\ntopics = ['edits']\n";

    fn load(more: &str) -> Result<(Config, Vec<Warning>), ConfigErrors> {
        Config::load(&format!("{more}\n{LEAST}"), "riverhead.toml", [])
    }

    fn loaded(more: &str) -> Config {
        load(more).unwrap().0
    }

    /// Returns a reloader for a file that a test writes, and the limit that its subscriber got last.
    fn reload(file: &Arc<Mutex<&'static str>>) -> (ConfigReloader, Arc<AtomicU32>) {
        let file = Arc::clone(file);
        let load_config: ConfigLoader = Arc::new(move || load(*file.lock().unwrap()));
        let started = loaded("");
        let history = ConfigHistory::new(&started.shown, ConfigReport::default());
        let mut reload = ConfigReloader::new(load_config, &started, history, LifecycleMetrics::default());
        let told = Arc::new(AtomicU32::new(0));
        let limit = Arc::clone(&told);
        reload.subscribe(move |config| limit.store(config.limits.streams_per_client.get(), Ordering::SeqCst));
        (reload, told)
    }

    #[tokio::test]
    async fn a_file_with_faults_changes_nothing_and_the_next_one_without_does() {
        let file = Arc::new(Mutex::new("[limits]\nstreams_per_client = 3"));
        let (mut reload, told) = reload(&file);
        for (text, expected) in [
            ("[limits]\nstreams_per_client = 3", 3),
            ("[limits]\nstreams_per_client = 4\nrequest_burst = 0", 3),
            ("[limits", 3),
            ("[limits]\nstreams_per_client = 5", 5),
        ] {
            *file.lock().unwrap() = text;
            reload.reload().await;
            assert_eq!(told.load(Ordering::SeqCst), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn of_two_reloads_the_later_one_has_the_last_word() {
        let file = Arc::new(Mutex::new("[limits]\nstreams_per_client = 3"));
        let (mut reload, _) = reload(&file);
        let applied: Arc<Mutex<Vec<u32>>> = Arc::default();
        let told = Arc::clone(&applied);
        reload.subscribe_async(move |config| {
            let (told, limit) = (Arc::clone(&told), config.limits.streams_per_client.get());
            async move {
                // The first takes longer.
                for _ in limit..10 {
                    tokio::task::yield_now().await;
                }
                told.lock().unwrap().push(limit);
            }
        });
        let trigger = reload.listen().unwrap();
        trigger.reload().await;
        *file.lock().unwrap() = "[limits]\nstreams_per_client = 9";
        trigger.reload().await;
        assert_eq!(*applied.lock().unwrap(), [3, 9]);
    }
}
