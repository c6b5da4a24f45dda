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
    // The unstable sort would not merge runs that are in order already. An id of many topics has such runs: the partitions of
    // each topic.
    order.sort();
    let mut any_alike = false;
    for alike in order.chunk_by_mut(|a, b| a >> INDEX == b >> INDEX) {
        if alike.len() > 1 {
            any_alike = true;
            alike.sort_by(|a, b| compare(&items[index(a)], &items[index(b)]));
        }
    }
    let mut order: Vec<_> = order.iter().map(index).collect();
    arrange(items, &mut order);
    any_alike
}

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
    }
}
