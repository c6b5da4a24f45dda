//! One configuration from each module's own settings: a file, and an environment over it. Every fault is told at once.
//!
//! Settings live with their module; here is only which key sets which field (`sections`), and how a text becomes its
//! value. Nothing is read from the process: text and environment are arguments.

mod clusters;
mod diagnostic;
mod environment;
mod limits;
mod network;
mod node;
mod redact;
mod report;
mod rules;
mod section_names;
mod sections;
mod source;
mod streams;
mod table;
mod units;

use std::ffi::OsString;

pub use report::{ConfigErrors, Warning};
pub use sections::Sections;
pub use units::duration;

use crate::{
    catalog::Catalog,
    http::settings::{AdminSettings, HttpSettings},
    kafka::settings::{ClusterSettings, StateSettings},
    limits::settings::LimitSettings,
    log::LogSettings,
    partition::MemorySettings,
};
use diagnostic::{Diagnostic, Location};
use node::Node;
use section_names::LIMITS_NAME;
use sections::{ConfigDraft, TOP};

/// All that riverhead can be told, whole and without contradiction.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public listener and its streams.
    pub http: HttpSettings,
    /// The listener for those who run riverhead.
    pub admin: AdminSettings,
    /// What clients may have.
    pub limits: LimitSettings,
    /// Whether somebody chose `limits.streams_total`: then a host that cannot hold so many is a fault, else it has fewer.
    pub streams_total_chosen: bool,
    /// Budgets of the logs.
    pub memory: MemorySettings,
    /// What is kept over a restart.
    pub state: StateSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// The Kafka clusters, at least one, no two of one name.
    pub clusters: Vec<ClusterSettings>,
    /// The public streams, at least one; every cluster that they name is among `clusters`.
    pub catalog: Catalog,
}

impl Config {
    /// Reads the file's `text`, called `path` in messages, and the `environment` over it.
    ///
    /// # Errors
    /// Everything that is wrong with either.
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
        let config = config
            .filter(|_| faults.is_empty())
            .ok_or_else(|| ConfigErrors::new(path, text, faults))?;
        let warnings = rules::warnings(&root, &config).into_iter();
        let warnings = warnings.map(|(location, said)| Warning::new(path, text, &location, said));
        let warnings = warnings.collect();
        Ok((config, warnings))
    }

    /// A longer text is not read, in bytes: room for every stream of a large site, and parsed in a blink.
    pub const MAX_TEXT_BYTES: usize = 1 << 20;

    /// The names of all keys: each section with its keys, in the order in which `config/riverhead.toml` explains them.
    pub fn keys() -> Vec<(&'static str, Vec<&'static str>)> {
        sections::known()
    }
}

impl Sections {
    /// What the environment says, for a riverhead that brings its own clusters and streams (the demo): the variables for
    /// those are not looked at.
    ///
    /// # Errors
    /// Everything that is wrong with the environment.
    pub fn load(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ConfigErrors> {
        let (overrides, mut faults) = environment::read(environment);
        let mut root = Node::empty_table("", Location::Document);
        let single = overrides.into_iter().filter(|variable| !variable.is_array());
        single.for_each(|variable| variable.apply(&mut root));
        let draft = draft(&root, &mut faults);
        // At the top nothing was said, and the arrays that are missing there are none of the environment's.
        faults.retain(Diagnostic::has_location);
        if faults.is_empty() {
            Ok(draft.sections)
        } else {
            Err(ConfigErrors::new("the environment", "", faults))
        }
    }

    /// The whole configuration, with these clusters and streams.
    pub fn with(self, clusters: Vec<ClusterSettings>, catalog: Catalog) -> Config {
        let Self {
            http,
            admin,
            limits,
            streams_total_chosen,
            memory,
            state,
            log,
        } = self;
        Config {
            http,
            admin,
            limits,
            streams_total_chosen,
            memory,
            state,
            log,
            clusters,
            catalog,
        }
    }
}

/// The configuration, if its streams make a catalog; it counts only when there are no faults.
fn assemble(root: &Node, faults: &mut Vec<Diagnostic>) -> Option<Config> {
    let mut draft = draft(root, faults);
    draft.sections.limits.max_clients = streams::max_clients(&draft.streams, &draft.sections.limits);
    match streams::catalog(root, draft.streams) {
        Ok(catalog) => Some(draft.sections.with(draft.clusters, catalog)),
        Err(more) => {
            add_consequences(faults, more);
            None
        }
    }
}

fn draft(root: &Node, faults: &mut Vec<Diagnostic>) -> ConfigDraft {
    let mut draft = ConfigDraft::default();
    faults.extend(table::fill(TOP, root, &mut draft).err().into_iter().flatten());
    let limits = root.get(LIMITS_NAME);
    draft.sections.streams_total_chosen = limits.is_some_and(|limits| limits.get("streams_total").is_some());
    add_consequences(faults, rules::faults(root, &draft.sections));
    draft
}

/// Adds faults between values, but for those about a value with a fault of its own: that has its default now.
fn add_consequences(faults: &mut Vec<Diagnostic>, mut more: Vec<Diagnostic>) {
    more.retain(|consequence| !faults.iter().any(|fault| fault.shares_location_with(consequence)));
    faults.extend(more.into_iter().map(Diagnostic::only_if_parsed));
}
