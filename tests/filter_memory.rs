//! The memory of the largest allowed number of filters: it must not exceed the counted memory. This test is
//! alone in its process, whose memory it measures.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "the test prints its measurements")]

#[path = "support/memory.rs"]
mod memory;

use std::net::Ipv4Addr;

use riverhead::{
    client::ClientKey,
    filter::{Filter, FilterPermit, FilterRegistry, MAX_FILTERS, MAX_FILTERS_PER_CLIENT, TooManyFilters},
};

use memory::resident;

const MIB: usize = 1 << 20;

/// Returns filters of the maximum size, in several ways; different ones for each `n`.
fn shapes(n: usize) -> [String; 4] {
    let values: Vec<_> = (0..400).map(|value| format!("{}", n * 400 + value)).collect();
    let texts: Vec<_> = (0..200).map(|value| format!("\"value{n}x{value}\"")).collect();
    let tests: Vec<_> = (0..60)
        .map(|test| format!("field{test}.of.x{n} prefix \"some text {test}\""))
        .collect();
    let deep: Vec<_> = (0..60)
        .map(|test| format!("not (a.b.c.d.e{test} = {n} and x{test} > {n})"))
        .collect();
    [
        format!("n in ({})", values.join(",")),
        format!("title in ({})", texts.join(",")),
        tests.join(" or "),
        deep[..30].join(" or "),
    ]
}

/// Admits filters up to the limit, and returns them.
fn fill(filters: &FilterRegistry, shape: usize) -> Vec<FilterPermit> {
    let mut permits = Vec::new();
    for n in 0..=MAX_FILTERS {
        let text = &shapes(n)[shape];
        assert!(text.len() <= 4096, "{} bytes", text.len());
        let filter = Filter::parse(text).unwrap();
        let client = ClientKey::of(Ipv4Addr::from(0x0a00_0000 + (n / MAX_FILTERS_PER_CLIENT) as u32).into());
        match filters.admit(client, &filter) {
            Ok(permit) => permits.push(permit),
            Err(refusal) => {
                assert_eq!(refusal, TooManyFilters::Host);
                return permits;
            }
        }
    }
    panic!("more than there may be");
}

#[test]
fn two_thousand_of_the_largest_filters_take_no_more_than_is_counted_for_them() {
    // Kept to the end, so that no allocation uses freed memory.
    let mut kept = Vec::new();
    for shape in 0..4 {
        // The maximum, and a quarter of the default for lanes.
        let limits = [usize::MAX, 32 * MIB];
        for limit in limits.into_iter().take(if shape == 0 { 2 } else { 1 }) {
            let filters = FilterRegistry::with_limit(limit);
            let before = resident();
            let permits = fill(&filters, shape);
            let (taken, counted) = (resident().saturating_sub(before), filters.bytes());
            println!(
                "shape {shape}: {} filters, {} MiB, counted for {} MiB",
                permits.len(),
                taken / MIB,
                counted / MIB
            );
            assert!(counted <= limit);
            assert!(permits.len() == MAX_FILTERS || limit < usize::MAX);
            // Memory that remains from parsing, and pages that are partly free.
            assert!(
                taken <= counted + counted / 8 + 4 * MIB,
                "{taken} of {counted} bytes"
            );
            kept.push((filters, permits));
        }
    }
    for (filters, permits) in kept {
        drop(permits);
        assert_eq!(filters.bytes(), 0);
    }
}
