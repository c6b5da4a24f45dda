//! What of a configuration applies at a reload, and what needs a restart.
//!
//! Not here: applying it (`reload`).

use crate::{config::Config, kafka::settings::ClusterSettings};

/// Whether a change of this setting applies at a reload. It tells of keys what [`restart_only_changes`] tells of sections.
pub(super) fn applies_at_reload(key: &str, started: &Config, fresh: &Config) -> bool {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let has_tls = |config: &Config| config.http.tls.is_some();
    let has_admin_tls = |config: &Config| config.admin.tls.is_some();
    let has_auth = |config: &Config| config.auth.is_some();
    let in_both = |has: fn(&Config) -> bool| has(started) && has(fresh);
    // Whether the key is of a cluster that runs. Names have no brackets.
    let runs = || {
        let own = key
            .strip_prefix("clusters[")
            .and_then(|rest| rest.split(']').next());
        started.clusters.iter().any(|cluster| Some(&*cluster.name) == own)
    };
    match key.split(['.', '[']).next().unwrap_or_default() {
        "limits" => true,
        "auth" => in_both(has_auth),
        "http" if section == "http" => name == "trusted_proxies",
        "http" if section.starts_with("http.tls") => name != "listen" && in_both(has_tls),
        "admin" if section == "admin" => name == "hosts",
        "admin" => in_both(has_admin_tls),
        // One that comes is connected with its settings.
        "clusters" => {
            let is_own = section.ends_with(']');
            (is_own && ["bootstrap", "allow_single_bootstrap"].contains(&name)) || !runs()
        }
        "streams" | "stream_config" => has_auth(started) == has_auth(fresh),
        _ => false,
    }
}

/// Records the clusters that have come and gone. Those that are there run with the settings that they came with.
pub(super) fn follow_clusters(running: &mut Vec<ClusterSettings>, fresh: Vec<ClusterSettings>) {
    running.retain(|own| fresh.iter().any(|cluster| cluster.name == own.name));
    for cluster in fresh {
        if !running.iter().any(|own| own.name == cluster.name) {
            running.push(cluster);
        }
    }
}

/// Returns the sections that differ in a setting that no subscriber applies at run time.
pub(super) fn restart_only_changes(started: &Config, fresh: &Config) -> Vec<&'static str> {
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
    // Clusters come and go with the streams that are read from them.
    let is_other = |cluster: &ClusterSettings| {
        let before = started.clusters.iter().find(|before| before.name == cluster.name);
        before.is_some_and(|before| {
            let mut cluster = cluster.clone();
            cluster.bootstrap.clone_from(&before.bootstrap);
            cluster.allow_single_bootstrap = before.allow_single_bootstrap;
            cluster != *before
        })
    };
    let auth = fresh.auth.is_some() != started.auth.is_some();
    let differs = [
        ("http", http != started.http),
        ("admin", admin != started.admin),
        ("auth", auth),
        ("memory", fresh.memory != started.memory),
        ("log", fresh.log != started.log),
        ("metrics", fresh.metrics != started.metrics),
        ("state", fresh.state != started.state),
        ("clusters", fresh.clusters.iter().any(is_other)),
        (
            "streams",
            auth && !fresh.catalog.streams().eq(started.catalog.streams()),
        ),
    ];
    let differing = differs.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(section, _)| section).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LEAST: &str = "[[clusters]]\nname = 'main'\nbootstrap = ['b1:9092', 'b2:9092', 'b3:9092']\n\
        [[streams]]\nname = 'edits'\ntopics = ['edits']\n";

    fn loaded(more: &str) -> Config {
        Config::load(&format!("{more}\n{LEAST}"), "riverhead.toml", [])
            .unwrap()
            .0
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
        other.clusters[0].renew_after = Duration::from_secs(7);
        assert_eq!(restart_only_changes(&loaded(""), &other), ["clusters"]);
        other.clusters[0].name = "other".into();
        assert_eq!(restart_only_changes(&loaded(""), &other), [""; 0]);
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
    fn clusters_take_what_applies_to_them_and_streams_take_everything() {
        let started = loaded("");
        for (key, applies) in [
            ("clusters[main].bootstrap", true),
            ("clusters[main].allow_single_bootstrap", true),
            ("clusters[main].renew_after", false),
            ("clusters[main].librdkafka.sasl.password", false),
            ("clusters[new].bootstrap", true),
            ("streams[edits].max_clients", true),
            ("streams[edits].topics", true),
            ("streams[new].redact", true),
        ] {
            assert_eq!(applies_at_reload(key, &started, &started), applies, "{key}");
        }
    }
}
