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

use super::{ConfigLoader, config_history::ConfigHistory, descriptors};
use crate::{
    config::{Config, Warning},
    metrics::LifecycleMetrics,
};

/// The subscribers to a new configuration, and the configuration that the process was started with.
pub(super) struct ConfigReloader {
    load_config: ConfigLoader,
    started: Config,
    history: ConfigHistory,
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
        let why = match spawn_blocking(move || load_config()).await {
            Ok(Ok((mut config, warnings))) => match descriptors::fit(&mut config) {
                Ok(()) => return self.apply(&config, &warnings).await,
                Err(error) => {
                    tracing::error!(
                        %error,
                        "the file descriptors do not suffice for the configuration; nothing changes"
                    );
                    error.to_string()
                }
            },
            Ok(Err(faults)) => {
                tracing::error!("the configuration has errors; nothing changes:\n{faults}");
                faults.to_string()
            }
            Err(panic) => {
                tracing::error!(%panic, "reading the configuration failed; nothing changes");
                "reading the configuration failed".to_owned()
            }
        };
        self.counts.reload_failures.inc();
        self.history.refused(&why);
    }

    async fn apply(&mut self, config: &Config, warnings: &[Warning]) {
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        for apply in &mut self.subscribers {
            apply(config).await;
        }
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

/// Whether a change of this setting applies at a reload. It tells of keys what [`restart_only_changes`] tells of sections.
fn applies_at_reload(key: &str, started: &Config, fresh: &Config) -> bool {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let has_tls = |config: &Config| config.http.tls.is_some();
    let has_admin_tls = |config: &Config| config.admin.tls.is_some();
    let has_auth = |config: &Config| config.auth.is_some();
    let in_both = |has: fn(&Config) -> bool| has(started) && has(fresh);
    // Whether the key is in the section of a table of the array that was there at the start.
    let is_of = |array: &str, named: &dyn Fn(&str) -> bool| {
        let element = section
            .strip_prefix(array)
            .and_then(|rest| rest.strip_suffix(']'));
        element.is_some_and(named)
    };
    let is_cluster = |own: &str| started.clusters.iter().any(|cluster| *cluster.name == *own);
    let is_stream = |own: &str| started.catalog.streams().any(|stream| *stream.name == *own);
    match key.split(['.', '[']).next().unwrap_or_default() {
        "limits" => true,
        "auth" => in_both(has_auth),
        "http" if section == "http" => name == "trusted_proxies",
        "http" if section.starts_with("http.tls") => name != "listen" && in_both(has_tls),
        "admin" if section == "admin" => name == "hosts",
        "admin" => in_both(has_admin_tls),
        "clusters" => {
            ["bootstrap", "allow_single_bootstrap"].contains(&name) && is_of("clusters[", &is_cluster)
        }
        "streams" => name == "max_clients" && is_of("streams[", &is_stream),
        _ => false,
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

    /// What is told of keys, and what of sections, must be the same.
    #[test]
    fn each_changed_key_is_told_to_apply_if_its_section_does() {
        let tls = |minimum: &str| {
            format!(
                "http.tls.certificates = [{{ certificate = 'c', key = 'k' }}]\nhttp.tls.minimum_version = '{minimum}'"
            )
        };
        let cases = [
            ("", "limits.request_burst = 7", true),
            ("", "http.trusted_proxies = ['10.0.0.0/8']", true),
            ("", "admin.hosts = ['*.a']", true),
            ("", "admin.token = '0123456789abcdef'", false),
            ("", "http.drain = '1s'", false),
            ("", "http.cors.origins = ['https://a.example']", false),
            ("", "log.level = 'debug'", false),
            ("", "memory.tail = '1MiB'", false),
            ("", "metrics.eventstreams = true", false),
            ("", &tls("1.2"), false),
            (&tls("1.2"), &tls("1.3"), true),
            ("", "auth.keys_file = 'keys.toml'", false),
            (
                "auth.keys_file = 'keys.toml'",
                "auth.keys_file = 'other.toml'",
                true,
            ),
        ];
        for (before, after, applies) in cases {
            let (started, fresh) = (loaded(before), loaded(after));
            let changes = started.shown.changes_to(&fresh.shown);
            assert!(!changes.is_empty(), "{after}");
            let told: Vec<_> = changes
                .iter()
                .map(|change| applies_at_reload(&change.key, &started, &fresh))
                .collect();
            assert!(told.iter().all(|told| *told == applies), "{after}: {changes:?}");
            let sections = restart_only_changes(&started, &fresh);
            assert_eq!(sections.is_empty(), applies, "{after}: {sections:?}");
        }
    }

    #[test]
    fn clusters_and_streams_that_are_there_take_what_applies_to_them() {
        let started = loaded("");
        for (key, applies) in [
            ("clusters[main].bootstrap", true),
            ("clusters[main].allow_single_bootstrap", true),
            ("clusters[main].renew_after", false),
            ("clusters[main].librdkafka.sasl.password", false),
            ("clusters[new].bootstrap", false),
            ("streams[edits].max_clients", true),
            ("streams[edits].topics", false),
            ("streams[new].max_clients", false),
        ] {
            assert_eq!(applies_at_reload(key, &started, &started), applies, "{key}");
        }
    }
}
