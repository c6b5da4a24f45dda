//! Sorting by numbers that stand for what is sorted.
//!
//! Names and words are long, alike in their beginning, and compared ten times each when hundreds are sorted. Numbers are compared by one
//! instruction, and moved by two.

use std::cmp::Ordering;

/// The bits of a key, below which there is room for the index of an item.
pub(crate) const BITS: u32 = u128::BITS - INDEX;

const INDEX: u32 = 16;

/// Sorts items by `key`, a number of at most [`BITS`] bits, and those of one key by `compare`, which orders all as the key does; stable.
/// Beyond 65,536 items `compare` does it alone.
pub(crate) fn sort<T>(items: &mut [T], key: impl Fn(&T) -> u128, compare: impl Fn(&T, &T) -> Ordering) {
    if items.len() >= 1 << INDEX {
        return items.sort_by(compare);
    }
    let index = |number: &u128| (number & ((1 << INDEX) - 1)) as usize;
    let keys = items.iter().map(key);
    let mut order: Vec<u128> = keys.zip(0..).map(|(key, index)| key << INDEX | index).collect();
    order.sort_unstable();
    for alike in order.chunk_by_mut(|a, b| a >> INDEX == b >> INDEX) {
        if alike.len() > 1 {
            alike.sort_by(|a, b| compare(&items[index(a)], &items[index(b)]));
        }
    }
    let mut order: Vec<_> = order.iter().map(index).collect();
    arrange(items, &mut order);
}

/// Puts at each place the item whose index stands there in `order`. Each is moved once, round by round.
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

/// Returns a number of so many bytes that orders texts as far as they differ in these.
pub(crate) fn start_of(text: &[u8], bytes: usize) -> u128 {
    let mut start = [0; size_of::<u128>()];
    let length = text.len().min(bytes);
    start[size_of::<u128>() - bytes..][..length].copy_from_slice(&text[..length]);
    u128::from_be_bytes(start)
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
