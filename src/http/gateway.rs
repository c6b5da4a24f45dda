//! The state that all requests share.
//!
//! Not here: the settings of one listener (`server::context`).

use std::sync::Arc;

use super::{admin_commands::AdminCommands, settings::HttpSettings};
use crate::{
    catalog::Catalog,
    client::TrustedNetworks,
    drain::DrainWatch,
    health::{Health, Readiness},
    limits::Admission,
    metrics::{HttpMetrics, Registry},
    subscription::Lanes,
};

/// What requests are answered from.
pub struct Gateway {
    /// Which streams there are.
    pub catalog: Arc<Catalog>,
    /// Where their events come from.
    pub lanes: Lanes,
    /// Deadlines.
    pub settings: HttpSettings,
    /// Whose word on who asks is taken on the public listener.
    pub trusted: TrustedNetworks,
    /// Who may have how much.
    pub admission: Arc<Admission>,
    /// What may be commanded on the admin listener, and by whom.
    pub commands: AdminCommands,
    /// Whether this replica has started.
    pub readiness: Readiness,
    /// How clusters, brokers, partitions and streams are.
    pub health: Health,
    /// What is counted here.
    pub metrics: HttpMetrics,
    /// Everything that is counted, for `/metrics`.
    pub registry: Arc<Registry>,
    /// Says when to end. The drain is not complete before [`serve`](super::serve) has returned.
    pub drain: DrainWatch,
}
