//! Loads a riverhead gateway, and checks every number that it delivers.
//!
//! The scenarios are functions with sizes. So the test suite runs short forms of what the binary runs in
//! full.

// A scenario that cannot be set up has no result: it reports what failed, and ends.
#![allow(clippy::expect_used)]

mod ask;
mod blocks;
pub mod bystander;
pub mod chart;
mod chunked;
pub mod client;
pub mod crowd;
mod frames;
pub mod gateway;
pub mod goal;
pub mod handover;
mod http2;
pub mod meter;
pub mod newcomers;
pub mod numbers;
pub mod pins;
pub mod process;
pub mod progress;
pub mod reading;
mod response;
pub mod scenarios;
pub mod server;
pub mod stopwatch;
pub mod table;
pub mod tls;
pub mod visitors;
pub mod writer;
pub mod yardstick;
