//! The resume table, row by row: the real binary over HTTP, with real brokers. `tests/hermetic/resume_table` checks
//! the same with a model, where it takes no time.

mod away;
mod bad;
mod batches;
mod created;
mod damaged;
mod fixture;
mod forms;
mod listener;
mod replaced;
mod same;

pub(crate) use fixture::now;
