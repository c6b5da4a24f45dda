//! Helpers that several tests share.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "every test binary uses a part of it"
)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic"
)]

#[cfg(feature = "kafka")]
pub mod brokers;
pub mod checker;
pub mod cluster_event;
pub mod docs;
pub mod gateway;
pub mod memory;
pub mod model;
pub mod reading;
pub mod traces;

/// Turns each of these into a test for each sink. The attribute says how it runs.
macro_rules! on_both_sinks {
    (#[$how:meta] $($test:ident)*) => {$(
        mod $test {
            use crate::support::gateway::with_sink;
            use riverhead::http::settings::Sink;

            #[$how]
            async fn over_the_socket() {
                with_sink(Sink::Socket, super::$test()).await;
            }

            #[$how]
            async fn as_a_body() {
                with_sink(Sink::Body, super::$test()).await;
            }
        }
    )*};
}

pub(crate) use on_both_sinks;
