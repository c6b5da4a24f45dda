//! Tests with real Kafka brokers, which `riverhead-brokers` starts and breaks.
//!
//! Each is `#[ignore = "needs real brokers: ./tests/run"]`, so that a plain `cargo test` stays fast and
//! hermetic and still counts them. `./tests/run real` runs them, one at a time on one cluster.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures that `--nocapture` shows"
)]

mod causes;
mod checked;
mod crowd;
mod erasure;
mod following;
mod health;
mod healthz;
mod kafka;
mod memory;
mod outages;
mod probe;
mod process;
mod prometheus;
mod quiet;
mod resume;
mod rights;
mod rolling;
mod shapes;
mod table;
mod times;
mod watch;
