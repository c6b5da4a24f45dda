//! What several tests need.

#![allow(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic"
)]

pub mod model;
pub mod referee;
pub mod rig;
pub mod weather;
