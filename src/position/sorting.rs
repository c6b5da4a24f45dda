//! Sorting by numeric keys that stand for the items.
//!
//! Topic names and other texts are long and share prefixes, and each is compared about ten times when hundreds are sorted. A
//! number of 64 bits is compared by one instruction and moved by another.

use std::cmp::Ordering;

/// The width of a key, in bits. The bits below it hold the index of the item.
pub(crate) const BITS: u32 = u64::BITS - INDEX;

const INDEX: u32 = 16;

/// Sorts items by `key`, a number of at most [`BITS`] bits, and items with equal keys by `compare`. The order of `compare` must
/// agree with that of the keys. The sort is stable. From 65,536 items on, `compare` sorts alone. Returns whether items may be
/// equal: `false` means that all keys differ.
pub(crate) fn sort<T>(
    items: &mut [T],
    key: impl Fn(&T) -> u64,
    compare: impl Fn(&T, &T) -> Ordering,
) -> bool {
    if items.len() >= 1 << INDEX {
        items.sort_by(compare);
        return true;
    }
    let index = |number: &u64| (number & ((1 << INDEX) - 1)) as usize;
    let keys = items.iter().map(key);
    let mut order: Vec<u64> = keys.zip(0..).map(|(key, index)| key << INDEX | index).collect();
    sort_numbers(&mut order);
    let are_alike = |a: &u64, b: &u64| a >> INDEX == b >> INDEX;
    let any_alike = order.windows(2).any(|pair| are_alike(&pair[0], &pair[1]));
    if any_alike {
        for alike in order.chunk_by_mut(are_alike) {
            alike.sort_by(|a, b| compare(&items[index(a)], &items[index(b)]));
        }
    }
    let mut order: Vec<_> = order.iter().map(index).collect();
    arrange(items, &mut order);
    any_alike
}

/// Sorts keys, each with an index below it, of which the indexes are sorted.
fn sort_numbers(numbers: &mut Vec<u64>) {
    let falls = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    match numbers.len() < BUCKETS_FROM || falls < numbers.len() / 8 {
        // It merges runs that are in order already. An id of many topics has such runs: the partitions of each topic.
        true => numbers.sort(),
        false => sort_in_buckets(numbers),
    }
}

/// Sorts numbers that are in no order: first by the eight highest bits in which any two differ, then those that have these alike.
fn sort_in_buckets(numbers: &mut Vec<u64>) {
    let first = numbers.first().copied().unwrap_or_default();
    let differing = numbers.iter().fold(0, |bits, number| bits | (number ^ first));
    let shift = (u64::BITS - differing.leading_zeros()).saturating_sub(8);
    let bucket = |number: &u64| usize::from((number >> shift) as u8);
    let mut places = [0_usize; 256];
    for number in numbers.iter() {
        places[bucket(number)] += 1;
    }
    let mut place = 0;
    for count in &mut places {
        place += std::mem::replace(count, place);
    }
    let mut sorted = vec![0; numbers.len()];
    for number in numbers.iter() {
        let place = &mut places[bucket(number)];
        sorted[*place] = *number;
        *place += 1;
    }
    // Each place is now the end of its bucket.
    let mut start = 0;
    for end in places {
        match &mut sorted[start..end] {
            [] | [_] => {}
            [a, b] => (*a, *b) = ((*a).min(*b), (*a).max(*b)),
            many => many.sort_unstable(),
        }
        start = end;
    }
    *numbers = sorted;
}

/// From this many on, numbers in no order are sorted in buckets. The hundreds of topics of an id then take a fifth of the
/// instructions: their tags are hashes, so that about two are in each bucket.
const BUCKETS_FROM: usize = 64;

/// Moves the item at index `order[i]` to `i`, for each `i`. Each item is moved once, cycle by cycle.
fn arrange<T>(items: &mut [T], order: &mut [usize]) {
    for first in 0..order.len() {
        let mut place = first;
        loop {
            let from = std::mem::replace(&mut order[place], place);
            if from == first {
                break;
            }
            items.swap(place, from);
            place = from;
        }
    }
}

/// Returns the first `bytes` bytes of `text` as a number that orders texts as far as these bytes differ.
pub(crate) fn start_of(text: &[u8], bytes: usize) -> u64 {
    let byte = |at: usize| u64::from(text.get(at).copied().unwrap_or(0));
    (0..bytes).fold(0, |start, at| start << 8 | byte(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sorted_by_numbers_is_sorted_as_by_itself(
            mut texts in proptest::collection::vec(("[ab]{0,4}", 0..3u8), 0..40),
        ) {
            let compare = |a: &(String, u8), b: &(String, u8)| a.0.cmp(&b.0);
            let mut expected = texts.clone();
            expected.sort_by(compare);
            sort(&mut texts, |(text, _)| start_of(text.as_bytes(), 2), compare);
            prop_assert_eq!(texts, expected);
        }

        #[test]
        fn many_numbers_in_any_order_are_sorted_and_equal_ones_stay_in_order(
            keys in proptest::collection::vec(prop_oneof![0..4u64, 0..1u64 << BITS, Just((1 << BITS) - 1)], 0..300),
            is_sorted in any::<bool>(),
        ) {
            let mut items: Vec<_> = keys.into_iter().zip(0..).collect();
            if is_sorted {
                items.sort();
            }
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort(&mut items, |(key, _)| *key, |a, b| a.0.cmp(&b.0));
            prop_assert_eq!(items, expected);
        }
    }
}
