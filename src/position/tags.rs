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

/// The hashes of the topics of one configuration, which are kept until this is dropped.
#[derive(Debug, Default)]
pub struct KeptTags(Vec<Arc<str>>);

impl KeptTags {
    /// Computes and keeps the hashes of these topics.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a Arc<str>>) -> Self {
        let names: Vec<_> = names.into_iter().cloned().collect();
        let mut kept = KEPT.write();
        for name in &names {
            let tag = kept.entry(Arc::clone(name)).or_insert_with(|| KeptTag {
                hash: compute(name),
                users: 0,
            });
            tag.users += 1;
        }
        Self(names)
    }
}

impl Drop for KeptTags {
    fn drop(&mut self) {
        let mut kept = KEPT.write();
        for name in &self.0 {
            if let Some(tag) = kept.get_mut(name) {
                tag.users -= 1;
                if tag.users == 0 {
                    kept.remove(name);
                }
            }
        }
    }
}

#[derive(Debug)]
struct KeptTag {
    hash: u64,
    /// How often configurations name the topic.
    users: usize,
}

/// Returns the first 8 bytes of the SHA-256 of `name`, big endian, from the cache if they are there.
pub(super) fn hash_of(name: &str) -> u64 {
    let kept = KEPT.read().get(name).map(|tag| tag.hash);
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

static KEPT: LazyLock<RwLock<HashMap<Arc<str>, KeptTag, RandomState>>> = LazyLock::new(RwLock::default);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_same_whether_it_is_kept_or_not() {
        let name: Arc<str> = "a topic of this test alone".into();
        let computed = hash_of(&name);
        assert_eq!(computed, compute(&name));
        let kept = [KeptTags::of([&name]), KeptTags::of([&name])];
        KEPT.write().get_mut(&name).unwrap().hash = computed + 1;
        assert_eq!(hash_of(&name), computed + 1, "it was computed again");
        drop(kept);
        assert!(!KEPT.read().contains_key(&name), "no configuration names it");
        assert_eq!(hash_of(&name), computed);
    }
}
