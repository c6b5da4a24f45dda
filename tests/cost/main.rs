//! The work of a request before the head of its response, in instructions of the processor.
//!
//! Callgrind counts them, and gives the same count on a busy machine. Counted is everything from the request
//! head that hyper has parsed to the head of the response: all that this crate and its router do, in the
//! process of a gateway, for all that a request can contain. The headers of the PROXY protocol, which come
//! before that, are counted too.
//!
//! `./tests/run cost` builds this crate, the router and the decoders as for a release. Other dependencies
//! stay as they are built for tests. So the counts are somewhat above those of a release, and librdkafka is
//! not built again.
//!
//! To measure one shape: `RIVERHEAD_COST_ONLY="path: all" valgrind --tool=callgrind target/debug/deps/cost-*
//! every_shape`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may panic, and prints its counts"
)]

mod callgrind;
mod gateways;
mod memory;
mod shapes;
#[path = "../support/mod.rs"]
mod support;

use std::{env, hint::black_box};

use gateways::Gateways;
use riverhead::client::ProxyHeader;

/// The most instructions before a head: 0.2 ms. All shapes together, including start and system calls, take
/// 473 million instructions and 72 ms of processor time on a busy EPYC of 2024: 6.5 per nanosecond.
const MOST: u64 = 1_300_000;

/// The same for requests that have everything at once, each as long as it may be: 500 streams, an id, a filter, thousands of parameters
/// and 70 KB of headers. 0.206 ms.
const MOST_AT_ONCE: u64 = 1_340_000;

/// Locked by tests that measure the memory of this process, and by tests that allocate much.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Sends each shape to gateways of this process, and marks its end for callgrind.
#[tokio::test]
async fn every_shape_is_answered_as_it_says() {
    let _alone = ALONE.lock().await;
    let (gateways, shapes) = (Gateways::start(), shapes::all());
    // Work that is done only once is not counted.
    gateways.answer(&shapes[0]).await;
    callgrind::end_of_shape();
    let mut others = Vec::new();
    let only = env::var("RIVERHEAD_COST_ONLY").unwrap_or_default();
    for shape in shapes.iter().filter(|shape| shape.name.contains(&only)) {
        let answer = gateways.answer(shape).await;
        callgrind::end_of_shape();
        if answer.status != shape.status {
            others.push(format!("{}: {}", shape.name, answer.status));
        }
    }
    for (name, header) in shapes::proxy_headers() {
        let read = || ProxyHeader::read(&header);
        if name.contains(&only) {
            assert!(read().is_ok(), "{name}");
            callgrind::counted(&|| {
                let _ = black_box(read());
            });
            callgrind::end_of_shape();
        }
    }
    assert_eq!(others, Vec::<String>::new());
}

#[test]
#[ignore = "needs valgrind: ./tests/run"]
fn no_request_costs_more_than_its_bound_before_its_head() {
    let counts = callgrind::counts("every_shape_is_answered_as_it_says");
    let shapes = shapes::all();
    let requests = shapes.iter().map(|shape| shape.name);
    let names: Vec<_> = requests
        .chain(shapes::proxy_headers().into_iter().map(|(name, _)| name))
        .collect();
    assert_eq!(counts.len(), names.len() + 1, "{counts:?}");
    let mut dear = Vec::new();
    for (name, count) in names.into_iter().zip(&counts[1..]) {
        println!("{count:>10} {name}");
        assert!(*count > 0, "nothing was counted of {name}");
        let most = match name.starts_with("all at once") {
            true => MOST_AT_ONCE,
            false => MOST,
        };
        if *count > most {
            dear.push((name, *count));
        }
    }
    assert!(dear.is_empty(), "above the bound: {dear:?}");
}
