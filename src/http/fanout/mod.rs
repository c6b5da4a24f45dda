//! TODO module head of http::fanout.

pub(in crate::http) mod chunks;
pub(in crate::http) mod group;
pub(in crate::http) mod groups;
pub(in crate::http) mod pass;
pub(in crate::http) mod pool;
pub(in crate::http) mod socket;
pub(in crate::http) mod wake_queue;
