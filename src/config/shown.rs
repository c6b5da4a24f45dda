//! Reading the settings for operators to see: defaults are added, and secrets left out.
//!
//! A value is shown only if its key is known to be harmless, by the rule for reports (`redact`).

use std::{collections::BTreeMap, sync::LazyLock};

use super::{
    diagnostic::Location,
    node::{Node, NodeKind},
    redact, section_names,
    setting::{SettingChange, ShownSetting, ShownSettings, shortened},
    source,
};

impl ShownSettings {
    /// Returns the settings of this configuration.
    pub(super) fn of(root: &Node) -> Self {
        let mut settings = Vec::new();
        for entry in root.entries().unwrap_or_default() {
            add(&entry.node, &entry.name, "", &entry.name, &mut settings);
        }
        Self(settings)
    }

    /// Returns these settings among the defaults of all sections that occur once: first the keys that have a default, in the order
    /// in which they are explained, then the others.
    pub fn with_defaults(&self) -> Self {
        let mut own: BTreeMap<&str, &ShownSetting> = BTreeMap::new();
        for setting in &self.0 {
            own.insert(&setting.key, setting);
        }
        let mut all: Vec<_> = DEFAULTS
            .0
            .iter()
            .map(|default| own.remove(&*default.key).unwrap_or(default).clone())
            .collect();
        let others = self.0.iter().filter(|setting| own.contains_key(&*setting.key));
        all.extend(others.cloned());
        Self(all)
    }

    /// Returns what differs in `fresh`, defaults included. The origin makes no difference.
    pub fn changes_to(&self, fresh: &Self) -> Vec<SettingChange> {
        let (before, after) = (self.with_defaults(), fresh.with_defaults());
        let (old, new) = (before.by_key(), after.by_key());
        let is_same = |key: &str| match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) => old.has_value_of(new),
            (old, new) => old.is_none() && new.is_none(),
        };
        let gone = before.0.iter().filter(|setting| !new.contains_key(&*setting.key));
        let keys = after.0.iter().chain(gone).map(|setting| &*setting.key);
        keys.filter(|key| !is_same(key))
            .map(|key| SettingChange {
                key: key.to_owned(),
                before: old.get(key).map(|setting| (*setting).clone()),
                after: new.get(key).map(|setting| (*setting).clone()),
            })
            .collect()
    }
}

/// Adds the settings at and below a node. `key` is its whole key, and `name` what decides whether it is shown: the key inside the
/// nearest table that riverhead knows, because properties of librdkafka have dots.
fn add(node: &Node, key: &str, outer: &str, name: &str, settings: &mut Vec<ShownSetting>) {
    let full = match outer {
        "" => name.to_owned(),
        _ => format!("{outer}.{name}"),
    };
    let inner = if redact::is_table(&full) { "" } else { &full };
    match &node.kind {
        NodeKind::Table(entries) => {
            for entry in entries {
                let key = format!("{key}.{}", entry.name);
                add(&entry.node, &key, inner, &entry.name, settings);
            }
        }
        NodeKind::List(items) if items.iter().any(is_table) => {
            for (index, item) in items.iter().enumerate() {
                let key = format!("{key}[{}]", element_name(item, index));
                add(item, &key, outer, name, settings);
            }
        }
        kind => {
            let value = text_of(kind);
            let shown = is_shown(kind, &full).then_some(&*value);
            settings.push(ShownSetting::new(key, shown, &value, origin(&node.location)));
        }
    }
}

fn is_table(node: &Node) -> bool {
    matches!(node.kind, NodeKind::Table(_))
}

/// Returns what tells an element from the others, also if they change places.
fn element_name(item: &Node, index: usize) -> String {
    let named = ["name", "cidr", "certificate"].into_iter().find_map(|key| {
        let named = item.get(key)?.string().ok()?;
        redact::is_harmless_text(named).then(|| shortened(named))
    });
    named.unwrap_or_else(|| index.to_string())
}

/// Whether a value may be seen: its key is harmless, and so is the value itself.
fn is_shown(kind: &NodeKind, name: &str) -> bool {
    let is_harmless_item = |node: &Node| redact::is_harmless_text(&text_of(&node.kind));
    match kind {
        NodeKind::Text(text) if text.is_empty() => true,
        // A number under the name of a section is a count: `limits = { streams = 10 }`.
        NodeKind::Integer(_) if redact::is_table(name) => true,
        _ if !redact::is_harmless(name) => false,
        NodeKind::Text(text) => redact::is_harmless_text(text),
        NodeKind::List(items) => items.iter().all(is_harmless_item),
        _ => true,
    }
}

/// Returns a value as text: strings as they are, and lists in brackets.
fn text_of(kind: &NodeKind) -> String {
    match kind {
        NodeKind::Text(text) => text.clone(),
        NodeKind::Integer(number) => number.to_string(),
        NodeKind::Float(number) => number.to_string(),
        NodeKind::Flag(flag) => flag.to_string(),
        NodeKind::List(items) => {
            let items: Vec<_> = items.iter().map(|item| text_of(&item.kind)).collect();
            format!("[{}]", items.join(", "))
        }
        NodeKind::Table(_) => String::new(),
    }
}

fn origin(location: &Location) -> String {
    match location {
        Location::File(..) | Location::Document => "file".to_owned(),
        Location::EnvVar(name, _) => name.to_string(),
    }
}

/// The defaults of the sections that occur once, from the documented file, which a test compares with the code.
static DEFAULTS: LazyLock<ShownSettings> = LazyLock::new(|| {
    let root = source::read(DOCUMENTED).0;
    let mut all = root.as_ref().map(ShownSettings::of).unwrap_or_default();
    let arrays = [section_names::CLUSTERS_NAME, section_names::STREAMS_NAME];
    all.0
        .retain(|setting| !arrays.iter().any(|array| setting.key.starts_with(array)));
    for setting in &mut all.0 {
        setting.origin = "default".to_owned();
    }
    all
});

const DOCUMENTED: &str = include_str!("../../config/riverhead.toml");

#[cfg(test)]
mod tests {
    use super::{
        super::{Config, environment, setting::MAX_SHOWN_CHARS},
        *,
    };

    const TEXT: &str = r#"
        [http]
        heartbeat = "10s"
        trusted_proxies = ["10.0.0.0/8", "192.0.2.0/24"]
        [admin]
        token = "do-not-show-this-token"
        [auth]
        ticket_keys = ["do-not-show-this-key-of-tickets"]
        limits = { streams = 7 }
        [[auth.issuers]]
        name = "idp"
        jwks = "https://user:do-not-show@idp.example/keys"
        [[clusters]]
        name = "main"
        bootstrap = ["b1:9092", "b2:9092"]
        [clusters.librdkafka]
        security.protocol = "sasl_ssl"
        "sasl.password" = "do-not-show-this-password"
        sasl.username = "riverhead"
        ssl.key.pem = "do-not-show-this-pem"
        [[streams]]
        name = "edits"
        topics = ["edits"]
        [stream_config]
        url = "https://config.example/streams?token=do-not-show-this-token"
        allowed = ["wiki.*"]
        defaults = { access = ["staff"], redact = [{ remove = ["user"] }] }
    "#;

    fn shown(text: &str, variables: &[(&str, &str)]) -> ShownSettings {
        let mut root = source::read(text).0.expect("TOML");
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let (overrides, faults) = environment::read(variables);
        assert!(faults.is_empty());
        overrides
            .into_iter()
            .for_each(|variable| variable.apply(&mut root));
        ShownSettings::of(&root)
    }

    fn value<'a>(settings: &'a ShownSettings, key: &str) -> Option<&'a str> {
        let found = settings.0.iter().find(|setting| setting.key == key);
        found
            .unwrap_or_else(|| panic!("{key} is missing in {settings:#?}"))
            .value
            .as_deref()
    }

    #[test]
    fn what_is_harmless_is_shown_and_secrets_are_not() {
        let settings = shown(TEXT, &[("RIVERHEAD_ADMIN__TOKEN", "do-not-show-this-variable")]);
        let text = format!("{settings:?}") + &serde_json::to_string(settings.settings()).unwrap();
        assert!(!text.contains("do-not-show"), "{text}");
        for (key, shown) in [
            ("http.heartbeat", Some("10s")),
            ("http.trusted_proxies", Some("[10.0.0.0/8, 192.0.2.0/24]")),
            ("admin.token", None),
            ("auth.ticket_keys", None),
            ("auth.limits.streams", Some("7")),
            ("auth.issuers[idp].name", Some("idp")),
            ("auth.issuers[idp].jwks", None),
            ("clusters[main].bootstrap", Some("[b1:9092, b2:9092]")),
            ("clusters[main].librdkafka.security.protocol", Some("sasl_ssl")),
            ("clusters[main].librdkafka.sasl.username", Some("riverhead")),
            ("clusters[main].librdkafka.sasl.password", None),
            ("clusters[main].librdkafka.ssl.key.pem", None),
            ("streams[edits].topics", Some("[edits]")),
            ("stream_config.url", None),
            ("stream_config.allowed", Some("[wiki.*]")),
            ("stream_config.defaults.access", Some("[staff]")),
            ("stream_config.defaults.redact[0].remove", Some("[user]")),
        ] {
            assert_eq!(value(&settings, key), shown, "{key}");
        }
    }

    #[test]
    fn a_value_says_where_it_is_set_and_defaults_fill_what_is_not() {
        let settings = shown(TEXT, &[("RIVERHEAD_HTTP__DRAIN", "1s")]).with_defaults();
        let origin = |key: &str| {
            let found = settings.0.iter().find(|setting| setting.key == key);
            found.map(|setting| &*setting.origin)
        };
        assert_eq!(origin("http.heartbeat"), Some("file"));
        assert_eq!(origin("http.drain"), Some("RIVERHEAD_HTTP__DRAIN"));
        assert_eq!(origin("http.hold_limit"), Some("default"));
        assert_eq!(value(&settings, "http.hold_limit"), Some("10m"));
        assert_eq!(value(&settings, "log.level"), Some("info"));
        let mut keys: Vec<_> = settings.0.iter().map(|setting| &setting.key).collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all, "each key once");
    }

    #[test]
    fn every_key_with_a_default_has_it_here() {
        let settings = ShownSettings::default().with_defaults();
        for (section, keys) in Config::keys() {
            let occurs_once = [
                "http",
                "http.cors",
                "admin",
                "limits",
                "memory",
                "state",
                "log",
                "metrics",
            ];
            for key in keys.iter().filter(|_| occurs_once.contains(&section)) {
                value(&settings, &format!("{section}.{key}"));
            }
        }
    }

    #[test]
    fn changes_are_found_also_of_what_is_not_shown_and_of_what_goes_back_to_its_default() {
        let before = shown(TEXT, &[]);
        assert_eq!(before.changes_to(&before.clone()), []);
        let text = TEXT
            .replace("heartbeat = \"10s\"", "hold_limit = \"10m\"")
            .replace("this-password", "another-password")
            .replace("\"b1:9092\", ", "\"b1:9092\", \"b3:9092\", ");
        let changes = before.changes_to(&shown(&text, &[]));
        let keys: Vec<_> = changes.iter().map(|change| &*change.key).collect();
        assert_eq!(
            keys,
            [
                "http.heartbeat",
                "clusters[main].bootstrap",
                "clusters[main].librdkafka.sasl.password",
            ]
        );
        let heartbeat = &changes[0];
        let values = [&heartbeat.before, &heartbeat.after].map(|it| it.as_ref()?.value.as_deref());
        assert_eq!(values, [Some("10s"), Some("15s")]);
        assert!(!format!("{changes:?}").contains("do-not-show"));
    }

    #[test]
    fn what_applies_at_once_replaces_what_was_there() {
        let before = shown(TEXT, &[]);
        let fresh = shown(&TEXT.replace("10s", "11s").replace("b1:9092", "b9:9092"), &[]);
        let running = before.replaced(&fresh, |key| key.ends_with(".bootstrap"));
        assert_eq!(value(&running, "http.heartbeat"), Some("10s"));
        assert_eq!(
            value(&running, "clusters[main].bootstrap"),
            Some("[b9:9092, b2:9092]")
        );
    }

    #[test]
    fn a_long_value_is_shortened_and_a_change_at_its_end_is_found() {
        let text = |last: char| format!("[http]\nclient_header = \"{}{last}\"", "ä".repeat(5_000));
        let (one, other) = (shown(&text('a'), &[]), shown(&text('b'), &[]));
        assert_eq!(
            value(&one, "http.client_header").map(|it| it.chars().count()),
            Some(MAX_SHOWN_CHARS + 3)
        );
        assert_eq!(one.changes_to(&other).len(), 1);
    }
}
