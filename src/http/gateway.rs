//! The state that all requests share.
//!
//! Not here: the settings of one listener (`server::context`).

use std::sync::Arc;

use super::{
    admin_commands::AdminCommands, config_report::ConfigReport, open_streams::OpenStreams,
    settings::HttpSettings,
};
use crate::{
    auth::Authenticator,
    catalog::CurrentCatalog,
    client::TrustedNetworks,
    discovery::Discovery,
    drain::DrainWatch,
    health::{Health, Readiness},
    limits::Admission,
    metrics::{HttpMetrics, Registry},
    partition::MemorySettings,
    subscription::Lanes,
};

/// Everything that the routes answer requests from.
pub struct Gateway {
    /// The streams and their names.
    pub catalog: CurrentCatalog,
    /// The streams that clients read now.
    pub open_streams: OpenStreams,
    /// The source of the streams' events.
    pub lanes: Lanes,
    /// What is known of the streams' topics.
    pub discovery: Discovery,
    /// The settings of the public listener, with its deadlines.
    pub settings: HttpSettings,
    /// The networks of the proxies that the public listener trusts to name the client.
    pub trusted: TrustedNetworks,
    /// Admission control: limits on streams, connections and requests.
    pub admission: Arc<Admission>,
    /// The commands of the admin listener, and the token that they need.
    pub commands: AdminCommands,
    /// The check of credentials. `None` if none is looked at.
    pub auth: Option<Authenticator>,
    /// Whether this replica has started.
    pub readiness: Readiness,
    /// The health of clusters, brokers, partitions and streams.
    pub health: Health,
    /// The metrics of this module.
    pub metrics: HttpMetrics,
    /// All metrics of the process, for `/metrics`.
    pub registry: Arc<Registry>,
    /// The running configuration, for operators.
    pub config_report: ConfigReport,
    /// The memory budgets, for operators.
    pub budgets: MemorySettings,
    /// Signals when to end. The drain is not complete before [`serve`](super::serve) has returned.
    pub drain: DrainWatch,
}
