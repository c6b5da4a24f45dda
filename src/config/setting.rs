//! The settings as operators see them: keys, values and origins.
//!
//! Not here: reading them, and leaving secrets out (`shown`).

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use serde::Serialize;

/// Every setting that is set, in the order of the file and then of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownSettings(pub(super) Vec<ShownSetting>);

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownSetting {
    /// Its key, such as `http.listen` or `streams[recentchange].topics`.
    pub key: String,
    /// Its value, shortened. `None` if it is, or may be, a secret.
    pub value: Option<String>,
    /// Where it is set: `file`, the name of a variable, `default`, or what brought it.
    pub origin: String,
    /// Tells two values apart that are not shown, or shortened. It is made with a random key of this process, so it tells nothing
    /// else of them.
    #[serde(skip)]
    digest: u64,
}

/// A setting that differs between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// The key.
    pub key: String,
    /// The setting before. `None` if there was none.
    pub before: Option<ShownSetting>,
    /// The setting after. `None` if there is none.
    pub after: Option<ShownSetting>,
}

impl ShownSettings {
    /// Adds a setting that neither file nor environment has set.
    pub fn push(&mut self, key: &str, value: &str, origin: &str) {
        self.0
            .push(ShownSetting::new(key, Some(value), value, origin.to_owned()));
    }

    /// Returns these settings with those of `fresh` in place of those for which `is_replaced` holds.
    pub fn replaced(&self, fresh: &Self, is_replaced: impl Fn(&str) -> bool) -> Self {
        let kept = self.0.iter().filter(|setting| !is_replaced(&setting.key));
        let new = fresh.0.iter().filter(|setting| is_replaced(&setting.key));
        Self(kept.chain(new).cloned().collect())
    }

    /// Returns the settings.
    pub fn settings(&self) -> &[ShownSetting] {
        &self.0
    }

    /// Returns the settings by their keys.
    pub(super) fn by_key(&self) -> BTreeMap<&str, &ShownSetting> {
        self.0.iter().map(|setting| (&*setting.key, setting)).collect()
    }
}

impl ShownSetting {
    /// Creates a setting. `shown` is its value, unless that must not be seen.
    pub(super) fn new(key: &str, shown: Option<&str>, value: &str, origin: String) -> Self {
        Self {
            key: key.to_owned(),
            value: shown.map(shortened),
            origin,
            digest: digest(value),
        }
    }

    /// Whether the values are the same, also if they are not shown.
    pub(super) fn has_value_of(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// Returns as much of a text as is shown.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn digest(text: &str) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one(text)
}

/// How much of a value is shown, in characters: every address of a bootstrap list, and of a list of hundreds of networks enough to
/// recognize it.
pub(super) const MAX_SHOWN_CHARS: usize = 400;
