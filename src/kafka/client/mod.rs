//! TODO module head of kafka::client.

#[cfg(feature = "kafka")]
pub(in crate::kafka) mod config;
#[cfg(feature = "kafka")]
pub(in crate::kafka) mod context;
#[cfg(feature = "kafka")]
pub(in crate::kafka) mod large_records;
#[cfg(feature = "kafka")]
pub(in crate::kafka) mod raw;
#[cfg(feature = "kafka")]
pub(in crate::kafka) mod statistics;
