//! Checks of brokers, asked one by one: stalled partitions, the bootstrap list, brokers of another cluster, and `check-config`.
//!
//! Not here: the tail and its metadata refresh (`supervisor`), and the verdicts of health (`crate::health`).

pub(super) mod bootstrap_check;
pub(super) mod broker_query;
mod contradiction;
pub(super) mod fetch_trial;
mod silence;
pub(super) mod stall_detector;
