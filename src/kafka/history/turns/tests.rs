use std::{collections::HashSet, net::Ipv4Addr};

use proptest::{collection::vec, prelude::*};

use super::*;

fn client(number: u8) -> ClientKey {
    ClientKey::of(Ipv4Addr::new(192, 0, 2, number).into())
}

/// The clients of `clients` that may read at `now`.
fn admitted(turns: &Turns, clients: impl IntoIterator<Item = u8>, now: Instant) -> Vec<u8> {
    clients
        .into_iter()
        .filter(|number| turns.admit(client(*number), now))
        .collect()
}

const MIB: usize = 1 << 20;

#[test]
fn as_many_read_at_once_as_their_pages_fit_into_the_cache() {
    let (turns, now) = (Turns::new(16 * MIB), Instant::now());
    // 8 MiB are room for 27 pages of 224 KiB and their overhead.
    let first = admitted(&turns, 0..200, now);
    assert_eq!(first.len(), 27, "{first:?}");
    assert!(!turns.fits_run(Some(client(1)), 7) && !turns.is_quiet());
    let alone = Turns::new(16 * MIB);
    assert_eq!(admitted(&alone, [1], now), [1]);
    assert!(alone.fits_run(Some(client(1)), 7) && alone.is_quiet());
}

#[test]
fn clients_of_many_partitions_need_a_page_of_each() {
    let (turns, now) = (Turns::new(16 * MIB), Instant::now());
    for number in 0..40 {
        (0..6).for_each(|log| turns.expect(client(number), log, now));
    }
    assert_eq!(admitted(&turns, 0..40, now).len(), 4, "24 pages");
    assert!(!turns.fits_run(Some(client(0)), 0));
}

#[test]
fn clients_that_miss_a_few_records_of_hundreds_of_partitions_do_not_wait_for_each_other() {
    let (turns, now) = (Turns::new(128 * MIB), Instant::now());
    assert!(turns.admit(client(0), now));
    for log in 0..400 {
        turns.record_read(client(0), log, 500);
    }
    for number in 1..200 {
        (0..400).for_each(|log| turns.expect(client(number), log, now));
    }
    assert_eq!(admitted(&turns, 0..200, now).len(), 200);
}

#[test]
fn a_client_alone_reads_on_and_one_that_had_enough_goes_behind_those_who_wait() {
    let (turns, now) = (Turns::new(0), Instant::now());
    for _ in 0..100 {
        assert!(turns.admit(client(1), now), "nobody waits");
        turns.record_read(client(1), 7, MIB);
    }
    assert!(!turns.admit(client(2), now), "there is no room");
    assert!(!turns.admit(client(1), now), "its turn is over");
    assert!(turns.admit(client(2), now), "it waited first");
    assert!(!turns.admit(client(1), now), "it waits in turn");
}

#[test]
fn a_client_that_left_frees_its_place_and_one_in_line_that_left_blocks_nobody() {
    let (turns, now) = (Turns::new(0), Instant::now());
    let at = |millis| now + Duration::from_millis(millis);
    assert!(turns.admit(client(1), now));
    assert!(admitted(&turns, 2..12, now).is_empty());
    assert!(admitted(&turns, [20], at(900)).is_empty());
    // Nothing was heard of those before it in line, nor of the one that read.
    assert_eq!(admitted(&turns, [20], at(1_100)), [20]);
}

#[test]
fn the_gateways_own_reads_wait_for_nobody() {
    let (turns, now) = (Turns::new(0), Instant::now());
    assert!(turns.admit(client(1), now));
    assert!(turns.admit(own_client_key(), now));
}

#[test]
fn of_some_clients_as_many_go_on_with_large_fetches_as_fit() {
    let (turns, now) = (Turns::new(16 * MIB), Instant::now());
    let mut runs = 0;
    for number in 0..8 {
        turns.expect(client(number), 7, now);
        assert!(turns.admit(client(number), now));
        turns.record_read(client(number), 7, FETCH_BYTES);
    }
    for number in 0..8 {
        if turns.fits_run(Some(client(number)), 7) {
            turns.record_read(client(number), 7, RUN_FETCH_BYTES);
            runs += 1;
        }
    }
    assert_eq!(runs, 5);
    assert!(turns.fits_run(Some(client(0)), 7), "it has its part already");
}

#[test]
fn those_who_read_on_and_on_take_turns_with_large_fetches() {
    let (turns, now) = (Turns::new(16 * MIB), Instant::now());
    for number in 0..8 {
        turns.expect(client(number), 7, now);
        assert!(turns.admit(client(number), now));
        // They have read RUN_AFTER bytes.
        turns.record_read(client(number), 7, FETCH_BYTES);
        turns.record_read(client(number), 7, FETCH_BYTES);
    }
    // Six have room for large fetches once the others are in line.
    assert_eq!(admitted(&turns, 0..8, now), [0, 1, 2, 3, 4, 7]);
    assert!((0..5).all(|number| turns.fits_run(Some(client(number)), 7)));
    turns.record_read(client(0), 7, RUN_FETCH_BYTES - 16_384);
    assert_eq!(
        admitted(&turns, [0, 1, 5], now),
        [1, 5],
        "its turn is one large fetch"
    );
    assert!(turns.fits_run(Some(client(5)), 7));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Clients come, read and leave at random; each that stays gets its turn, and the pages of all turns fit.
    #[test]
    fn everybody_gets_a_turn_and_the_pages_of_all_turns_fit(
        requests in vec((0u8..60, 1usize..4, 0u64..40), 200..600),
        budget in prop_oneof![Just(0usize), Just(4 * MIB), Just(16 * MIB)],
    ) {
        let (turns, mut now) = (Turns::new(budget), Instant::now());
        let mut came = HashSet::new();
        for (number, logs, pause) in requests {
            now += Duration::from_millis(pause);
            came.insert(number);
            if turns.admit(client(number), now) {
                for log in 0..logs {
                    turns.record_read(client(number), log, FETCH_BYTES);
                }
            }
            let most = (budget / 2 / footprint(FETCH_BYTES)).max(1);
            prop_assert!(turns.active_clients() <= most);
        }
        // All of them request pages now, again and again.
        let mut served = HashSet::new();
        for _ in 0..1_000 {
            now += Duration::from_millis(1);
            for number in &came {
                if turns.admit(client(*number), now) {
                    turns.record_read(client(*number), 0, MIB);
                    served.insert(*number);
                }
            }
        }
        prop_assert_eq!(served, came);
    }
}
