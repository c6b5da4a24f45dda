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

use std::{
    io::{BufRead, BufReader},
    process::Child,
};

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

/// Returns a function that reads the next line that a riverhead process prints, and returns what follows its prefix: an address.
pub fn printed_addresses(child: &mut Child) -> impl FnMut(&str) -> String + use<> {
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    move |prefix| {
        let line = lines.next().expect("a line").expect("a text");
        let address = line.strip_prefix(prefix);
        address
            .unwrap_or_else(|| panic!("{line:?} is no {prefix:?}"))
            .to_owned()
    }
}

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
