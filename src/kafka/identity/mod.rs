//! TODO module head of kafka::identity.

#[cfg(feature = "kafka")]
pub(in crate::kafka) mod bootstrap_brokers;
#[cfg(feature = "kafka")]
pub(in crate::kafka) mod cluster;
#[cfg(feature = "kafka")]
pub(in crate::kafka) mod state_file;
