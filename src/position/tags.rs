//! A cache of topic tags, each computed once.
//!
//! A tag is a SHA-256, which costs more than everything else that is done for a topic of an id, and a request may have hundreds
//! of topics. Names enter the cache only from configurations, which bounds it. A name that a client sent is never kept.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

/// Computes and keeps the tags of these topics.
pub fn keep_tags<'a>(names: impl IntoIterator<Item = &'a Arc<str>>) {
    let mut kept = KEPT.write();
    for name in names {
        if !kept.contains_key(name) {
            kept.insert(Arc::clone(name), compute(name));
        }
    }
}

/// Returns the tag of the topic called `name`, from the cache if it is there.
pub(super) fn tag_of(name: &str) -> u32 {
    let kept = KEPT.read().get(name).copied();
    kept.unwrap_or_else(|| compute(name))
}

fn compute(name: &str) -> u32 {
    let hash = Sha256::digest(name.as_bytes());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

static KEPT: LazyLock<RwLock<HashMap<Arc<str>, u32, RandomState>>> = LazyLock::new(RwLock::default);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_same_whether_it_is_kept_or_not() {
        let name: Arc<str> = "a topic of this test alone".into();
        let computed = tag_of(&name);
        assert_eq!(computed, compute(&name));
        KEPT.write().insert(Arc::clone(&name), computed + 1);
        assert_eq!(tag_of(&name), computed + 1, "it was computed again");
        KEPT.write().remove(&name);
        keep_tags([&name]);
        assert_eq!(tag_of(&name), computed);
    }
}
