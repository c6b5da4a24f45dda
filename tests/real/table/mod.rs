//! The resume table, row by row: the real binary over HTTP, and real brokers behind it. `tests/resume_table.rs` shows the
//! same on a model, where it takes no time.

mod away;
mod bad;
mod created;
mod damaged;
mod fixture;
mod forms;
mod listener;
mod replaced;
mod same;

pub(crate) use fixture::now;
