//! librdkafka clients: their configuration, their callbacks and statistics, and the calls that rdkafka lacks.
//!
//! Not here: what is read through them (`supervisor`, `history`, `damage`) and the identity of the cluster (`identity`).

pub(super) mod config;
pub(super) mod context;
pub(super) mod large_records;
pub(super) mod raw;
mod statistics;
