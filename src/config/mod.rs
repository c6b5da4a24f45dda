//! The configuration: a TOML file, and environment variables over it. All faults are reported at once.
//!
//! Not here: the settings themselves, which live in the modules that they configure. This module has the mapping from keys to
//! their fields (`sections`) and the parsing of values. It reads nothing from the process: the text and the environment are
//! arguments.
//!
//! ```
//! use riverhead::config::Config;
//!
//! let text = r#"
//!     [[clusters]]
//!     name = "main"
//!     bootstrap = ["b1.example:9092", "b2.example:9092", "b3.example:9092"]
//!
//!     [[streams]]
//!     name = "edits"
//!     topics = ["wiki.edits"]
//! "#;
//! let environment = [("RIVERHEAD_HTTP__HEARTBEAT".into(), "10s".into())];
//! let (config, warnings) = Config::load(text, "riverhead.toml", environment)?;
//! assert_eq!(config.http.heartbeat.as_secs(), 10);
//! assert!(warnings.is_empty());
//! # Ok::<(), riverhead::config::ConfigErrors>(())
//! ```

mod auth;
mod clusters;
mod cors;
mod diagnostic;
mod environment;
mod limits;
mod locate;
mod network;
mod node;
mod record_rules;
mod redact;
mod report;
mod rules;
mod section_names;
mod sections;
mod setting;
mod shown;
mod source;
mod stream_catalog;
mod stream_config;
mod streams;
mod table;
mod tls;
mod tls_rules;
mod units;

use std::{ffi::OsString, path::Path};

pub use report::{ConfigErrors, Warning};
pub use setting::{SettingChange, ShownSetting, ShownSettings};
pub use stream_config::{
    LeftOut, MAX_DOCUMENT_BYTES, MergedStreams, StreamConfigSettings, StreamConfigSource, StreamDocument,
    StreamEntries, StreamFault,
};
pub use units::duration;

use crate::{
    auth::settings::AuthSettings,
    catalog::Catalog,
    http::settings::{AdminSettings, HttpSettings},
    kafka::settings::{ClusterSettings, StateSettings},
    limits::settings::LimitSettings,
    log::LogSettings,
    metrics::MetricsSettings,
    partition::MemorySettings,
};
use diagnostic::{Diagnostic, Location};
use node::Node;
use section_names::{AUTH_NAME, LIMITS_NAME};
use sections::{ConfigDraft, TOP};

/// The whole configuration. What `load` returns is checked for contradictions.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The public listener and its streams.
    pub http: HttpSettings,
    /// The listener for operators.
    pub admin: AdminSettings,
    /// Which credentials are accepted. `None` if none is looked at.
    pub auth: Option<AuthSettings>,
    /// Limits for clients.
    pub limits: LimitSettings,
    /// Whether `limits.streams_total` is set: if so, a host that cannot hold that many streams is a fault; if not, the host gets
    /// a lower limit.
    pub streams_total_chosen: bool,
    /// Memory budgets of the partition logs.
    pub memory: MemorySettings,
    /// The state that is kept over a restart.
    pub state: StateSettings,
    /// What is logged, and in which format.
    pub log: LogSettings,
    /// Which metrics there are.
    pub metrics: MetricsSettings,
    /// The Kafka clusters, at least one, each with a name of its own.
    pub clusters: Vec<ClusterSettings>,
    /// The public streams of the file, at least one unless there are others. Every cluster that they name is among `clusters`.
    pub catalog: Catalog,
    /// Where more streams come from. `None` if there are no others.
    pub stream_config: Option<StreamConfigSettings>,
    /// What is set, for operators to see.
    pub shown: ShownSettings,
}

impl Config {
    /// Parses the file's `text`, called `path` in messages, and applies the `environment` over it. Relative paths of certificates
    /// and of the files of authentication become relative to the directory of `path`.
    ///
    /// # Errors
    /// Returns all faults of both.
    ///
    /// # Examples
    /// ```
    /// use riverhead::config::Config;
    ///
    /// let faults = Config::load("[http]\nheartbeet = \"15s\"\n", "riverhead.toml", []).unwrap_err();
    /// assert_eq!(faults.count(), 3, "no clusters, no streams, and an unknown key");
    /// assert!(faults.to_string().contains("did you mean `heartbeat`?"));
    /// ```
    pub fn load(
        text: &str,
        path: &str,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let (root, mut faults) = source::read(text);
        let (overrides, unfit) = environment::read(environment);
        let whole_text = faults.is_empty();
        faults.extend(unfit);
        let Some(mut root) = root else {
            return Err(ConfigErrors::new(path, text, faults));
        };
        overrides
            .into_iter()
            .for_each(|variable| variable.apply(&mut root));
        let config = assemble(&root, &mut faults);
        faults.retain(|fault| whole_text || fault.is_conclusive());
        let mut config = config
            .filter(|_| faults.is_empty())
            .ok_or_else(|| ConfigErrors::new(path, text, faults))?;
        config.resolve_paths(Path::new(path).parent().unwrap_or(Path::new("")));
        if let Some(auth) = &mut config.auth {
            auth.state_directory.clone_from(&config.state.directory);
        }
        let warnings = rules::warnings(&root, &config).into_iter();
        let warnings = warnings.map(|(location, said)| Warning::new(path, text, &location, said));
        let warnings = warnings.collect();
        Ok((config, warnings))
    }

    /// Reads the environment for a gateway that brings its own clusters and streams (the demo): the result has none. The variables
    /// for those two are ignored.
    ///
    /// # Errors
    /// Returns all faults of the environment.
    pub fn of_environment(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        let (overrides, mut faults) = environment::read(environment);
        let mut root = Node::empty_table("", Location::Document);
        let single = overrides.into_iter().filter(|variable| !variable.is_array());
        single.for_each(|variable| variable.apply(&mut root));
        let mut config = draft(&root, &mut faults).config;
        // A document's streams would be read from clusters that such a gateway does not have.
        config.stream_config = None;
        // The root has no location, because there is no file. Its missing arrays are no faults of the environment.
        faults.retain(Diagnostic::has_location);
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors::new("the environment", "", faults))
        }
    }

    /// Makes the paths of certificates and keys that are relative begin at the directory of the file.
    fn resolve_paths(&mut self, directory: &Path) {
        if let Some(https) = &mut self.http.tls {
            https.tls.resolve(directory);
        }
        if let Some(tls) = &mut self.admin.tls {
            tls.resolve(directory);
        }
        if let Some(auth) = &mut self.auth {
            auth.resolve(directory);
        }
        if let Some(stream_config) = &mut self.stream_config {
            stream_config.resolve(directory);
        }
    }

    /// The longest text that is parsed, in bytes: enough for every stream of a large site, and quick to parse.
    pub const MAX_TEXT_BYTES: usize = 1 << 20;

    /// Returns the names of all keys: each section with its keys, in the order in which `config/riverhead.toml` explains them.
    pub fn keys() -> Vec<(&'static str, Vec<&'static str>)> {
        sections::known()
    }
}

/// Builds the configuration. Returns `None` if the streams do not form a catalog. The result counts only without faults.
fn assemble(root: &Node, faults: &mut Vec<Diagnostic>) -> Option<Config> {
    let mut draft = draft(root, faults);
    draft.config.limits.max_clients = streams::max_clients(&draft.streams, &draft.config.limits);
    if let Some(settings) = &draft.config.stream_config {
        let clusters = stream_catalog::cluster_names(root);
        let more = stream_config::faults(settings, &clusters, root.get(AUTH_NAME).is_some());
        add_consequences(faults, more);
    }
    match stream_catalog::catalog(root, &draft.streams) {
        Ok(catalog) => Some(Config {
            catalog,
            ..draft.config
        }),
        Err(more) => {
            add_consequences(faults, more);
            None
        }
    }
}

fn draft(root: &Node, faults: &mut Vec<Diagnostic>) -> ConfigDraft {
    let mut draft = ConfigDraft::default();
    draft.config.shown = ShownSettings::of(root);
    faults.extend(table::fill(TOP, root, &mut draft).err().into_iter().flatten());
    faults.extend(stream_catalog::no_streams(root));
    let limits = root.get(LIMITS_NAME);
    draft.config.streams_total_chosen = limits.is_some_and(|limits| limits.get("streams_total").is_some());
    add_consequences(faults, rules::faults(root, &draft.config));
    draft
}

/// Adds faults between several values, except those about a value that has a fault of its own: that value is at its default.
fn add_consequences(faults: &mut Vec<Diagnostic>, mut more: Vec<Diagnostic>) {
    more.retain(|consequence| !faults.iter().any(|fault| fault.shares_location_with(consequence)));
    faults.extend(more.into_iter().map(Diagnostic::only_if_parsed));
}
