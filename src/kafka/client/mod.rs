//! TODO module head of kafka::client.

pub(super) mod config;
pub(super) mod context;
pub(super) mod large_records;
pub(super) mod raw;
mod statistics;
