//! TODO module head of kafka::identity.

mod bootstrap_brokers;
pub(super) mod cluster;
mod cluster_file;
