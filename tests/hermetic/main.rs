//! The tests that a plain `cargo test` runs, in one binary, so that librdkafka and OpenSSL are linked once.
//!
//! All modules run in parallel threads of one process. A test must not change the environment, the working directory or
//! the limits of the process, and must not measure its memory: such a test is a binary of its own, like
//! `tests/filter_memory.rs` and `tests/unit.rs`. So are the suites that need Java, root or valgrind. Three modules change
//! the process in a way that no other test notices: `kafka::panics` installs the only subscriber of `tracing`, and
//! `process` and `tls` raise the limit of open files.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod auth;
mod bounded;
mod bounds;
mod clients;
mod config;
mod dependencies;
mod discovery;
mod docs;
mod gzip;
mod http;
mod http2;
mod http_stream;
#[cfg(feature = "kafka")]
mod kafka;
mod lanes;
mod large_ids;
mod layers;
mod limits;
mod openapi;
mod parts;
mod probe;
#[cfg(feature = "kafka")]
mod process;
#[cfg(feature = "kafka")]
mod reload;
mod resume_table;
mod simulation;
#[cfg(feature = "kafka")]
mod succession;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "kafka")]
mod tail;
mod takeover;
mod times;
mod tls;
