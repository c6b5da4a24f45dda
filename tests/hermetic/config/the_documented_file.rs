//! The documented configuration file is valid, and agrees with the tables of the code.

use std::collections::BTreeSet;

use riverhead::{
    auth::settings::{AuthSettings, IssuerSettings, KeySource},
    config::Config,
    http::settings::HttpsSettings,
    kafka::settings::DEFAULT_HISTORY_RATE,
    tls::settings::{CertificateFiles, TlsSettings},
};

use super::{LEAST, loaded, warnings};

const TEXT: &str = include_str!("../../../config/riverhead.toml");

#[test]
fn has_no_faults_and_surprises_nobody() {
    assert_eq!(warnings(TEXT, &[]), [""; 0]);
}

#[test]
fn explains_every_key_in_the_order_of_the_tables() {
    let text = with_optional_sections();
    let document = toml_span::parse(&text).expect("TOML");
    for (section, keys) in Config::keys() {
        let pointer = section.replace('.', "/");
        let at = [format!("/{pointer}/0"), format!("/{pointer}")];
        let table = at.iter().find_map(|at| document.pointer(at)?.as_table());
        let mut shown: Vec<_> = table.expect("the section is there").iter().collect();
        shown.sort_by_key(|(key, _)| key.span.start);
        let shown = shown.into_iter().map(|(key, _)| &*key.name);
        // A section inside another has a row of its own.
        let shown: Vec<_> = shown.filter(|key| !["tls", "cors"].contains(key)).collect();
        assert_eq!(shown, keys, "{section}");
    }
}

/// The text with the sections that are off by default: their lines begin with a `#` and no space.
fn with_optional_sections() -> String {
    let lines = TEXT.lines().map(|line| match line.strip_prefix('#') {
        Some(line) if line.starts_with(|first: char| first.is_ascii_lowercase() || first == '[') => line,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn shows_the_defaults_of_sections_that_are_off() {
    let config = loaded(&with_optional_sections(), &[]);
    let https = config.http.tls.expect("a section");
    let certificates = vec![CertificateFiles {
        certificate: "cert.pem".into(),
        key: "key.pem".into(),
    }];
    let shown = TlsSettings {
        certificates,
        ..TlsSettings::default()
    };
    assert_eq!(https.listen, HttpsSettings::default().listen);
    assert_eq!(https.tls, shown);
    assert_eq!(config.admin.tls, Some(shown));
    let auth = config.auth.expect("a section");
    let issuer = IssuerSettings {
        name: "idp".into(),
        issuer: "https://idp.example".into(),
        audience: vec!["https://stream.example".into()],
        jwks: KeySource::File("jwks.json".into()),
        ..IssuerSettings::default()
    };
    let shown = AuthSettings {
        issuers: vec![issuer],
        ..AuthSettings::default()
    };
    assert_eq!(auth, shown);
    let stream_config = config.stream_config.expect("a section");
    let default = loaded(
        &format!("{LEAST}[stream_config]\nurl = 'https://config.example/streams.json'\n"),
        &[],
    );
    let default = default.stream_config.expect("a section");
    // The path of the object is a part of the origin.
    assert_eq!(stream_config.origin(), default.origin());
    assert_eq!(stream_config.refresh, default.refresh);
}

#[test]
fn shows_the_defaults() {
    let config = loaded(TEXT, &[]);
    let defaults = Config::default();
    assert_eq!(config.http, defaults.http);
    assert_eq!(config.admin, defaults.admin);
    assert_eq!(config.auth, defaults.auth);
    assert_eq!(config.limits, defaults.limits);
    assert_eq!(config.memory, defaults.memory);
    assert_eq!(config.state, defaults.state);
    assert_eq!(config.log, defaults.log);
    assert_eq!(config.metrics, defaults.metrics);

    let least = loaded(LEAST, &[]);
    assert_eq!(config.clusters, least.clusters);
    assert_eq!(config.clusters[0].history_rate, DEFAULT_HISTORY_RATE);
    let shown = config.catalog.streams().next().expect("a stream");
    let default = least.catalog.streams().next().expect("a stream");
    assert_eq!(shown.encoding, default.encoding);
    assert_eq!(shown.former_topics, default.former_topics);
    assert_eq!(shown.filter_fields, default.filter_fields);
    assert_eq!(shown.clusters, default.clusters);
    assert_eq!(shown.access, default.access);
    assert_eq!(shown.only, default.only);
    assert_eq!(shown.rules, default.rules);
    assert_eq!(shown.schema, default.schema);
    assert_eq!(shown.expect_event_within, default.expect_event_within);
}

#[test]
fn the_file_of_the_compose_stack_has_no_faults() {
    let text = include_str!("../../../docker/riverhead.toml");
    let (config, _) = Config::load(text, "docker/riverhead.toml", []).unwrap();
    let compose = include_str!("../../../docker/compose.yaml");
    for broker in &config.clusters[0].bootstrap {
        assert!(
            compose.contains(&format!("hostname: {}", broker.host())),
            "{broker}"
        );
    }
}

/// Returns the blocks of this section of a Compose file: their names and lines.
fn blocks<'a>(compose: &'a str, section: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let lines = compose.lines().skip_while(|line| *line != section).skip(1);
    let mut blocks: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines.take_while(|line| line.is_empty() || line.starts_with("  ")) {
        let own = line.strip_prefix("  ").unwrap_or_default();
        match own.strip_suffix(':') {
            Some(name) if !own.starts_with([' ', '#']) => blocks.push((name, Vec::new())),
            _ => blocks
                .iter_mut()
                .last()
                .map_or((), |(_, lines)| lines.push(own.trim())),
        }
    }
    blocks
}

/// Returns whether these lines set this key.
fn sets(lines: &[&str], key: &str) -> bool {
    lines.iter().any(|line| line.starts_with(key))
}

#[test]
fn everything_in_the_compose_stack_has_a_limit_of_memory_and_of_processes() {
    let compose = include_str!("../../../docker/compose.yaml");
    let (_, common) = compose
        .split_once("x-kafka: &kafka\n")
        .expect("what brokers share");
    let (common, _) = common.split_once("\n\n").expect("its end");
    let common: Vec<_> = common.lines().map(str::trim).collect();
    let services = blocks(compose, "services:");
    let names: Vec<_> = services.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["kafka-1", "kafka-2", "kafka-3", "topics", "riverhead"]);
    for (name, own) in &services {
        let is_broker = own.contains(&"<<: *kafka");
        for key in ["mem_limit: ", "pids_limit: "] {
            assert!(
                sets(own, key) || is_broker && sets(&common, key),
                "{name} has no {key}"
            );
        }
    }
}

#[test]
fn images_are_pinned_by_digest_alike_in_both_files() {
    let compose = include_str!("../../../docker/compose.yaml");
    let dockerfile = include_str!("../../../docker/Dockerfile");
    let images = |text: &'static str, before: &str| -> BTreeSet<&'static str> {
        let values = text.lines().filter_map(|line| line.split_once(before));
        values.map(|(_, image)| image.trim_end_matches('}')).collect()
    };
    let built_on = images(dockerfile, "_IMAGE=rust")
        .into_iter()
        .chain(images(dockerfile, "_IMAGE=debian"));
    let built_on: Vec<_> = built_on.filter(|image| !image.contains("...")).collect();
    let of_compose = images(compose, "_IMAGE:-");
    assert_eq!(
        (built_on.len(), of_compose.len()),
        (2, 3),
        "{built_on:?} {of_compose:?}"
    );
    for image in of_compose.iter().chain(&built_on) {
        let digest = image.split_once("@sha256:").map_or("", |(_, digest)| digest);
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_digest, "{image}");
    }
    for image in built_on {
        assert!(of_compose.iter().any(|other| other.ends_with(image)), "{image}");
    }
}
