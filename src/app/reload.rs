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

use super::{ConfigLoader, descriptors};
use crate::{
    config::{Config, Warning},
    metrics::LifecycleMetrics,
};

/// The subscribers to a new configuration, and the configuration that the process was started with.
pub(super) struct ConfigReloader {
    load_config: ConfigLoader,
    started: Config,
    counts: LifecycleMetrics,
    subscribers: Vec<Subscriber>,
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
    /// Creates a reloader without subscribers. `started` is the configuration that the process runs with.
    pub(super) fn new(load_config: ConfigLoader, started: &Config, counts: LifecycleMetrics) -> Self {
        Self {
            load_config,
            started: started.clone(),
            counts,
            subscribers: Vec::new(),
        }
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
        match spawn_blocking(move || load_config()).await {
            Ok(Ok((mut config, warnings))) => match descriptors::fit(&mut config) {
                Ok(()) => return self.apply(&config, &warnings).await,
                Err(error) => tracing::error!(
                    %error,
                    "the file descriptors do not suffice for the configuration; nothing changes"
                ),
            },
            Ok(Err(faults)) => tracing::error!("the configuration has errors; nothing changes:\n{faults}"),
            Err(panic) => tracing::error!(%panic, "reading the configuration failed; nothing changes"),
        }
        self.counts.reload_failures.inc();
    }

    async fn apply(&mut self, config: &Config, warnings: &[Warning]) {
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        for apply in &mut self.subscribers {
            apply(config).await;
        }
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

/// Returns the sections that differ in a setting that no subscriber applies at run time.
fn restart_only_changes(started: &Config, fresh: &Config) -> Vec<&'static str> {
    let mut http = fresh.http.clone();
    http.trusted_proxies.clone_from(&started.http.trusted_proxies);
    if let (Some(fresh), Some(before)) = (&mut http.tls, &started.http.tls) {
        fresh.tls.clone_from(&before.tls);
    }
    let mut admin = fresh.admin.clone();
    admin.hosts.clone_from(&started.admin.hosts);
    if let (Some(fresh), Some(before)) = (&mut admin.tls, &started.admin.tls) {
        fresh.clone_from(before);
    }
    let mut clusters = fresh.clusters.clone();
    for (cluster, before) in clusters.iter_mut().zip(&started.clusters) {
        cluster.bootstrap.clone_from(&before.bootstrap);
        cluster.allow_single_bootstrap = before.allow_single_bootstrap;
    }
    let differs = [
        ("http", http != started.http),
        ("admin", admin != started.admin),
        ("auth", fresh.auth.is_some() != started.auth.is_some()),
        ("memory", fresh.memory != started.memory),
        ("log", fresh.log != started.log),
        ("metrics", fresh.metrics != started.metrics),
        ("state", fresh.state != started.state),
        ("clusters", clusters != started.clusters),
        ("streams", !fresh.catalog.streams().eq(started.catalog.streams())),
    ];
    let differing = differs.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(section, _)| section).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;
    use crate::config::ConfigErrors;

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
        let mut reload = ConfigReloader::new(load_config, &loaded(""), LifecycleMetrics::default());
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

    #[test]
    fn what_needs_a_restart_is_told_and_what_applies_is_not() {
        let differing = |more: &str| restart_only_changes(&loaded(""), &loaded(more));
        assert_eq!(differing(""), [""; 0]);
        assert_eq!(
            differing(
                "limits.request_burst = 7\nhttp.trusted_proxies = ['10.0.0.0/8']\nadmin.hosts = ['*.a']"
            ),
            [""; 0]
        );
        assert_eq!(
            differing(
                "http.drain = '1s'\nadmin.listen = '127.0.0.1:1'\nlog.level = 'debug'\nmetrics.eventstreams = true"
            ),
            ["http", "admin", "log", "metrics"]
        );
        let mut other = loaded("");
        other.clusters[0].bootstrap.pop();
        assert_eq!(restart_only_changes(&loaded(""), &other), [""; 0]);
        other.clusters[0].name = "other".into();
        assert_eq!(restart_only_changes(&loaded(""), &other), ["clusters"]);
    }
}
