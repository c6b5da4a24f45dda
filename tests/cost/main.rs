//! What a request costs before the head of its answer, in instructions of the processor.
//!
//! Callgrind counts them, whose count is the same on a busy machine, from the request's head as hyper has parsed it to the head of
//! the response: all that this crate and its router do, in the process of a gateway, for whatever a request can hold.
//!
//! `./tests/run cost` builds this crate for it as a release has it. What it links stays as it is built for tests, so that the counts are
//! somewhat above those of a release, and librdkafka is not built again.
//!
//! To look at one shape: `RIVERHEAD_COST_ONLY="path: all" valgrind --tool=callgrind target/debug/deps/cost-* every_shape`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may panic, and tells its counts"
)]

mod callgrind;
mod house;
mod memory;
mod shapes;
#[path = "../support/mod.rs"]
mod support;

use std::env;

use house::Gateways;

/// The most instructions before a head: 0.2 ms. All shapes together, start and system calls included, are 473 million instructions and
/// take 72 ms of processor on a busy EPYC of 2024: 6.5 a nanosecond.
const MOST: u64 = 1_300_000;

/// Those that take more than that, each with the bound that it has instead: what it took when that was last looked at, and a sixth. Most
/// ask for 500 topics, or name a thousand places. None may be added, and none raised.
const ABOVE: &[(&str, u64)] = &[
    ("JSON id: foreign topics", 2_700_000),
    ("JSON id: foreign topics for all streams", 3_450_000),
    ("JSON id: partitions of one topic", 1_500_000),
    ("JSON id: partitions, Kafka is away", 1_500_000),
    ("JSON id: places of topics", 3_500_000),
    ("JSON id: places of topics, Kafka is away", 2_300_000),
    ("JSON id: places of topics, on_gap=fail", 4_900_000),
    ("JSON id: topics by name", 3_500_000),
    ("all at once", 7_050_000),
    ("all at once, Kafka is away", 6_250_000),
    ("compact id: 1,000 places", 1_500_000),
    (
        "compact id: 128 partitions of 16 topics, Kafka is away",
        5_650_000,
    ),
    ("compact id: 2,048 partitions", 2_400_000),
    ("compact id: 500 topics", 3_400_000),
    ("compact id: 500 topics that are absent", 3_150_000),
    ("compact id: 500 topics, Kafka is away", 2_600_000),
    ("compact id: 500 topics, on_gap=fail", 4_850_000),
    ("compact id: foreign topics", 2_500_000),
    ("compact id: partitions from the last", 2_100_000),
    ("compact id: partitions in no order", 3_750_000),
    ("filter: 512 values", 2_050_000),
    ("filter: 512 words", 2_700_000),
    ("filter: each field, beside a filter", 1_450_000),
    ("filter: field of 512 words", 1_550_000),
    ("filter: one long text", 1_450_000),
    ("path: all streams", 1_650_000),
    ("path: all streams, whose topics are absent", 1_450_000),
    ("path: escapes", 1_950_000),
    ("path: the last stream many times", 2_850_000),
    ("query: 8,000 parameters", 1_700_000),
    ("query: a parameter given many times", 2_150_000),
    ("query: a slip behind many", 1_700_000),
    ("query: another name of the id", 1_500_000),
    ("query: names as long as a field's", 1_900_000),
    ("query: the id given many times", 2_200_000),
    ("since: digits", 1_600_000),
];

/// Held by what looks at the memory of this process, and by what takes some of it.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Sends each shape to gateways of this process, and marks its end for callgrind.
#[tokio::test]
async fn every_shape_is_answered_as_it_says() {
    let _alone = ALONE.lock().await;
    let (gateways, shapes) = (Gateways::start(), shapes::all());
    // What is made once is not counted.
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
    assert_eq!(others, Vec::<String>::new());
}

#[test]
#[ignore = "needs valgrind: ./tests/run"]
fn no_request_costs_more_than_its_bound_before_its_head() {
    let counts = callgrind::counts("every_shape_is_answered_as_it_says");
    let shapes = shapes::all();
    assert_eq!(counts.len(), shapes.len() + 1, "{counts:?}");
    let is_shape = |(name, _): &&(&str, u64)| shapes.iter().any(|shape| shape.name == *name);
    assert_eq!(
        ABOVE.iter().filter(is_shape).count(),
        ABOVE.len(),
        "a name is none"
    );
    let mut dear = Vec::new();
    for (shape, count) in shapes.iter().zip(&counts[1..]) {
        println!("{count:>10} {}", shape.name);
        assert!(*count > 0, "nothing was counted of {}", shape.name);
        if *count > most(shape.name) {
            dear.push((shape.name, *count));
        }
    }
    assert!(dear.is_empty(), "above their bounds: {dear:?}");
}

fn most(shape: &str) -> u64 {
    let above = ABOVE.iter().find(|(name, _)| *name == shape);
    above.map_or(MOST, |(_, most)| *most)
}
