//! Two clusters that have the same records, and one of them fails.

mod clocks;
mod command;
mod failing;
mod fixture;
mod foreign;
mod memory;
mod storm;
