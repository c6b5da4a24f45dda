//! TODO module head of kafka::watchdog.

#[cfg(feature = "kafka")]
pub(in crate::kafka) mod bootstrap_check;
#[cfg(feature = "kafka")]
pub(in crate::kafka) mod broker_query;
#[cfg(feature = "kafka")]
pub(in crate::kafka) mod fetch_trial;
#[cfg(feature = "kafka")]
pub(in crate::kafka) mod stall_detector;
