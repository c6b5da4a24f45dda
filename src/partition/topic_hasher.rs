//! The hash of topic names.

use std::hash::Hasher;

/// Hashes a topic name, eight bytes at a time.
///
/// A request looks up hundreds of topics, whose names are short: hashes for keys of any length take three times as long. It needs no
/// protection against chosen keys, because no client can add a name.
#[derive(Debug, Default)]
pub(super) struct TopicHasher(u64);

impl TopicHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for TopicHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        // The rest is read with bytes before it, which costs less than to read fewer than eight.
        match bytes.last_chunk::<8>() {
            Some(last) => self.add(u64::from_le_bytes(*last)),
            None => bytes.iter().for_each(|byte| self.add(u64::from(*byte))),
        }
    }

    fn write_u8(&mut self, _end_of_text: u8) {}

    fn finish(&self) -> u64 {
        // The map takes the lowest bits for the place, and multiplication has mixed the highest.
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        hash::{BuildHasher, BuildHasherDefault},
    };

    use super::*;

    #[test]
    fn names_that_differ_somewhere_have_different_hashes() {
        let hash = |name: &str| BuildHasherDefault::<TopicHasher>::default().hash_one(name);
        let names = (0..10_000).map(|number| format!("{number}.a-prefix.{number}.of-several-words.{number}"));
        let short = (0..1000).map(|number| format!("t{number}"));
        let hashes: Vec<_> = names.chain(short).map(|name| hash(&name)).collect();
        let places: HashSet<_> = hashes.iter().map(|hash| hash & 0xffff).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        // Of 11,000 random numbers below 65,536, about 10,100 differ.
        assert!(places.len() > 9_500, "{}", places.len());
    }
}
