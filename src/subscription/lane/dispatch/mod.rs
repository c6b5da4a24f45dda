//! The task of a dispatcher: it reads once for many lanes, and gives each event to those that want it.
//!
//! An event costs the reading of its key, and one evaluation for each lane that is found by it, however many lanes there are.

mod checkpoints;
mod members;
mod task;
#[cfg(test)]
mod tests;

pub(super) use task::run;
