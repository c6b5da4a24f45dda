//! A cache of the hashes of topic names, each computed once.
//!
//! A hash is a SHA-256, which costs more than everything else that is done for a topic of an id, and a request may have hundreds
//! of topics. Names enter the cache only from configurations, which bounds it. A name that a client sent is never kept.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

/// Computes and keeps the hashes of these topics.
pub fn keep_tags<'a>(names: impl IntoIterator<Item = &'a Arc<str>>) {
    let mut kept = KEPT.write();
    for name in names {
        if !kept.contains_key(name) {
            kept.insert(Arc::clone(name), compute(name));
        }
    }
}

/// Returns the first 8 bytes of the SHA-256 of `name`, big endian, from the cache if they are there.
pub(super) fn hash_of(name: &str) -> u64 {
    let kept = KEPT.read().get(name).copied();
    kept.unwrap_or_else(|| compute(name))
}

/// Returns the tag of a topic whose name has this hash: its first 4 bytes.
pub(super) fn tag_of(hash: u64) -> u32 {
    (hash >> u32::BITS) as u32
}

fn compute(name: &str) -> u64 {
    let hash = Sha256::digest(name.as_bytes());
    let first = hash.first_chunk().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}

static KEPT: LazyLock<RwLock<HashMap<Arc<str>, u64, RandomState>>> = LazyLock::new(RwLock::default);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_same_whether_it_is_kept_or_not() {
        let name: Arc<str> = "a topic of this test alone".into();
        let computed = hash_of(&name);
        assert_eq!(computed, compute(&name));
        KEPT.write().insert(Arc::clone(&name), computed + 1);
        assert_eq!(hash_of(&name), computed + 1, "it was computed again");
        KEPT.write().remove(&name);
        keep_tags([&name]);
        assert_eq!(hash_of(&name), computed);
    }
}
