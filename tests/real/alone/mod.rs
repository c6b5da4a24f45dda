//! The tests that run while no other does: they keep the processors busy, or a busy processor would fail them.
//!
//! Each takes its cluster with `shared_alone()`, or a turn with `alone()`. `./tests/run` knows them by the name of this module, and
//! runs them one after the other, so that they do not wait for others.

mod crowd;
pub(crate) mod erasure;
mod memory;
mod restart;
mod resume;
