//! TODO module head of kafka::watchdog.

pub(super) mod bootstrap_check;
pub(super) mod broker_query;
pub(super) mod fetch_trial;
pub(super) mod stall_detector;
