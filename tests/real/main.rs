//! Tests with real Kafka brokers, which `riverhead-brokers` starts and breaks.
//!
//! Each is `#[ignore = "needs real brokers: ./tests/run"]`, so that a plain `cargo test` stays fast and
//! hermetic and still counts them. `./tests/run real` runs them, two at a time, each on a cluster of its own. Those that
//! keep the processors busy, or that a busy processor would fail, run alone. Those of `pages` also need Node and Chromium.

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

mod bounded;
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
mod pages;
mod parts;
mod probe;
mod process;
mod prometheus;
mod quiet;
mod redaction;
mod reference;
mod resume;
mod rights;
mod rolling;
mod shapes;
mod table;
mod times;
#[path = "../support/traces.rs"]
mod traces;
mod watch;
