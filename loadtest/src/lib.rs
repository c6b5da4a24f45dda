//! Loads a riverhead gateway, and checks every number it delivers while it measures.
//!
//! The scenarios are functions with sizes, so that the test suite runs the short form of what the binary runs in full.

mod chunked;
pub mod client;
pub mod gateway;
pub mod numbers;
pub mod reading;
pub mod scenarios;
