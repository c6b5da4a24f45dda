//! The configurations of the documentation are accepted, and the keys, variables and metrics that it names exist.

use std::{fs, path::Path};

use riverhead::config::Config;

use crate::docs::markdown::{Page, page, pages, root};

/// What an incomplete configuration lacks: each array with its key.
const REST: [(&str, &str); 2] = [
    (
        "[[clusters]]",
        "\n[[clusters]]\nname = 'main'\nbootstrap = ['b1.example:9092', 'b2.example:9092', 'b3.example:9092']\n",
    ),
    (
        "[[streams]]",
        "\n[[streams]]\nname = 'edits'\ntopics = ['edits']\n",
    ),
];

#[test]
fn every_configuration_is_accepted() {
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages() {
        let blocks = page.blocks().into_iter();
        for block in blocks.filter(|block| block.language == "toml") {
            count += 1;
            faults.extend(refusal(&block.text).map(|why| format!("{}:\n{}{why}", page.path, block.text)));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert!(count >= 3, "{count} configurations");
}

#[test]
fn every_key_and_variable_that_the_pages_name_is_one_that_there_is() {
    let (mut count, mut faults) = (0, Vec::new());
    // The changelog is about the past.
    for page in pages().iter().filter(|page| page.path != "CHANGELOG.md") {
        for (name, section, key) in keys_of(page) {
            count += 1;
            if !is_key(&section, key.as_deref()) {
                faults.push(format!("{}: {name}", page.path));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "there are no such keys:\n{}\n",
        faults.join("\n")
    );
    assert!(count > 50, "{count} keys");
}

#[test]
fn every_metric_that_the_pages_name_is_one_that_there_is() {
    let sources = sources();
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages() {
        let spans = page.spans();
        for name in spans.iter().flat_map(|span| metrics_of(span)) {
            count += 1;
            if !is_metric(name, &sources) {
                faults.push(format!("{}: {name}", page.path));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "there are no such metrics:\n{}\n",
        faults.join("\n")
    );
    assert!(count > 40, "{count} metrics");
}

/// Returns why a configuration, or a part of one, is refused.
fn refusal(text: &str) -> Option<String> {
    let missing = REST.iter().filter(|(key, _)| !text.contains(key));
    let whole = missing.fold(text.to_owned(), |whole, (_, more)| whole + more);
    let faults = Config::load(&whole, "the block", []).err()?;
    Some(faults.to_string())
}

/// Returns the keys that a page names: `section.key`, `[section] key`, and variables of the environment.
fn keys_of(page: &Page) -> Vec<(String, String, Option<String>)> {
    let mut keys = Vec::new();
    for span in page.spans() {
        let bracketed = span.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let named = match bracketed {
            Some((section, rest)) => {
                let section = section.trim_start_matches('[');
                // An array inside a section, such as `[[limits.networks]]`, is a key of that section.
                let section = match section.split_once('.') {
                    Some((outer, _)) if !SECTIONS.contains(&section) => outer,
                    _ => section,
                };
                let key = rest.trim_start_matches(']').trim();
                Some((section, Some(key).filter(|key| !key.is_empty())))
            }
            None => match span.rsplit_once('.') {
                Some((section, key)) if SECTIONS.contains(&section) => Some((section, Some(key))),
                _ => span.split_once('.').map(|(section, key)| (section, Some(key))),
            },
        };
        let Some((section, key)) = named else { continue };
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if SECTIONS.contains(&section) && key.is_none_or(is_name) {
            keys.push((span.clone(), section.to_owned(), key.map(str::to_owned)));
        }
    }
    for variable in words(&page.text).filter_map(|word| word.strip_prefix("RIVERHEAD")) {
        let lower = variable.to_ascii_lowercase();
        // `RIVERHEAD__STREAMS` is a whole section.
        match lower
            .rsplit_once("__")
            .map(|(section, key)| (section.trim_start_matches('_').replace("__", "."), key))
        {
            Some((outer, section)) if outer.is_empty() => {
                keys.push((variable.to_owned(), section.to_owned(), None))
            }
            Some((section, key)) => keys.push((variable.to_owned(), section, Some(key.to_owned()))),
            None => {}
        }
    }
    keys
}

/// The sections whose names have no other meaning in the pages.
const SECTIONS: [&str; 13] = [
    "http",
    "http.cors",
    "http.tls",
    "admin",
    "admin.tls",
    "auth",
    "limits",
    "memory",
    "stream_config",
    "state",
    "log",
    "clusters",
    "streams",
];

fn is_key(section: &str, key: Option<&str>) -> bool {
    let known = Config::keys();
    let own = known.iter().find(|(name, _)| *name == section);
    own.is_some_and(|(_, keys)| key.is_none_or(|key| keys.contains(&key)))
}

fn metrics_of(text: &str) -> impl Iterator<Item = &str> {
    // The beginning of names, such as `riverhead_`, is not a metric.
    words(text).filter(|word| word.starts_with("riverhead_") && !word.ends_with('_'))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
}

/// Returns whether a source registers a metric with this full name.
fn is_metric(name: &str, sources: &str) -> bool {
    let name = name.trim_start_matches("riverhead_");
    let names = PREFIXES.iter().filter_map(|prefix| name.strip_prefix(prefix));
    let names = names.chain([name]).flat_map(|name| {
        let bare = SUFFIXES
            .iter()
            .filter_map(move |suffix| name.strip_suffix(suffix));
        bare.chain([name])
    });
    names
        .map(|name| format!("\"{name}\""))
        .any(|literal| sources.contains(&literal))
}

/// The prefixes that modules add to the names of their metrics.
const PREFIXES: [&str; 2] = ["kafka_", "probe_"];

/// The suffixes that a kind or a unit adds.
const SUFFIXES: [&str; 3] = ["_total", "_info", "_seconds"];

/// Returns the text of all sources.
fn sources() -> String {
    let mut sources = String::new();
    collect(&root().join("src"), &mut sources);
    sources
}

fn collect(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, sources),
            false => *sources += &fs::read_to_string(&path).unwrap(),
        }
    }
}

#[test]
fn a_key_a_configuration_or_a_metric_that_there_is_not_is_found() {
    assert_eq!(refusal("[http]\nlisten = '127.0.0.1:1'\n"), None);
    assert!(refusal("[http]\nlisen = '127.0.0.1:1'\n").is_some());
    assert!(refusal("[[streams]]\nname = 'a'\ntopics = []\n").is_some());

    let text = "`http.listen` `[limits]` `[state] directory` `RIVERHEAD_HTTP__LISTEN=1` `RIVERHEAD__STREAMS` \
                `http.tls.client_ca` `[admin.tls] certificates` `RIVERHEAD_HTTP__TLS__LISTEN`";
    let named = keys_of(&page("a.md", text));
    assert_eq!(named.len(), 8, "{named:?}");
    assert!(
        named
            .iter()
            .all(|(_, section, key)| is_key(section, key.as_deref())),
        "{named:?}"
    );
    for bad in [
        "`http.lisen`",
        "`[state] directories`",
        "`http.tls.client_cert`",
        "RIVERHEAD_ADMIN__TLS__LISTEN",
        "RIVERHEAD_HTTP__LISEN",
        "RIVERHEAD__STREAM",
    ] {
        let named = keys_of(&page("a.md", bad));
        assert!(
            named
                .iter()
                .all(|(_, section, key)| !is_key(section, key.as_deref())),
            "{bad}"
        );
        assert_eq!(named.len(), 1, "{bad}");
    }

    let sources = sources();
    assert!(is_metric("riverhead_streams_open", &sources));
    assert!(is_metric("riverhead_kafka_failovers_total", &sources));
    assert!(!is_metric("riverhead_streams_opened", &sources));
}
