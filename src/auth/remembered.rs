//! Credentials that were checked, so that they need not be checked again with each request.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{key_set::KeySet, principal::Principal, size::size};
use crate::position::Timestamp;

/// The principals of good credentials, by the digests of those. Bad ones are not remembered: there may be any number of them.
///
/// There are two generations. When the younger one is full, it becomes the older one, and what was not used since the last time is
/// forgotten. So making room costs the same however many there are, and what is in use stays.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    younger: Generation,
    older: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    entries: HashMap<[u8; 32], Entry>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    principal: Arc<Principal>,
    /// The keys that it was checked with. `None` for an API key.
    keys: Option<Weak<KeySet>>,
    /// About how much memory it takes, in bytes.
    bytes: usize,
}

impl Generations {
    /// Returns the entry with this digest, which then is among the younger ones, and what was forgotten for it.
    fn find(&mut self, digest: &[u8; 32]) -> Option<(Entry, Option<Generation>)> {
        if let Some(entry) = self.younger.entries.get(digest) {
            return Some((entry.clone(), None));
        }
        let entry = self.older.entries.remove(digest)?;
        self.older.bytes -= entry.bytes;
        let forgotten = self.insert(*digest, entry.clone());
        Some((entry, forgotten))
    }

    /// Adds an entry. Returns what was forgotten for it.
    fn insert(&mut self, digest: [u8; 32], entry: Entry) -> Option<Generation> {
        let is_full =
            self.younger.entries.len() >= MAX_ENTRIES / 2 || self.younger.bytes + entry.bytes > MAX_BYTES / 2;
        let forgotten = is_full.then(|| {
            let younger = std::mem::take(&mut self.younger);
            std::mem::replace(&mut self.older, younger)
        });
        self.younger.bytes += entry.bytes;
        if let Some(before) = self.younger.entries.insert(digest, entry) {
            self.younger.bytes -= before.bytes;
        }
        forgotten
    }
}

impl Remembered {
    /// Returns the principal of the credential with this digest, if it was checked with these keys and has not expired.
    pub(super) fn get(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
        is_current: impl FnOnce(&Principal, Option<&Weak<KeySet>>) -> bool,
    ) -> Option<Arc<Principal>> {
        // What is forgotten is dropped without the lock.
        let found = self.0.lock().find(digest);
        let (Entry { principal, keys, .. }, _forgotten) = found?;
        let is_good = principal.is_accepted(now) && is_current(&principal, keys.as_ref());
        is_good.then_some(principal)
    }

    /// Remembers a principal that was checked with these keys, if `is_current` says that the check still holds. It is asked so that
    /// nothing is remembered after [`clear`](Self::clear) that was checked before.
    pub(super) fn insert(
        &self,
        principal: &Arc<Principal>,
        keys: Option<&Arc<KeySet>>,
        is_current: impl FnOnce() -> bool,
    ) {
        let entry = Entry {
            principal: Arc::clone(principal),
            keys: keys.map(Arc::downgrade),
            bytes: size(principal),
        };
        let mut generations = self.0.lock();
        let forgotten = is_current().then(|| generations.insert(principal.digest, entry));
        drop(generations);
        drop(forgotten);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        let forgotten = std::mem::take(&mut *self.0.lock());
        drop(forgotten);
    }
}

/// How many are remembered: as many as there are streams by default.
const MAX_ENTRIES: usize = 10_000;

/// How much memory all of them may take, in bytes: a token of 8 KB takes several times as much as its text when it is read.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::principal::tests::principal;

    fn numbered(number: u32, until: Option<Timestamp>) -> Arc<Principal> {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        Arc::new(Principal {
            digest,
            accepted_until: until,
            ..principal("partner", None)
        })
    }

    #[test]
    fn what_has_expired_or_was_checked_with_other_keys_is_checked_again() {
        let remembered = Remembered::default();
        let one = numbered(1, Some(100));
        remembered.insert(&one, None, || false);
        assert_eq!(
            remembered.get(&one.digest, 0, |_, _| true),
            None,
            "a reload has overtaken the check"
        );
        remembered.insert(&one, None, || true);
        let get = |now, is_current| remembered.get(&one.digest, now, |_, _| is_current);
        assert_eq!(get(99, true), Some(Arc::clone(&one)));
        assert_eq!(get(99, false), None);
        assert_eq!(get(100, true), None);
        remembered.clear();
        assert_eq!(get(99, true), None);
    }

    #[test]
    fn any_number_of_credentials_takes_no_more_memory_than_is_given() {
        let remembered = Remembered::default();
        for number in 0..2 * MAX_ENTRIES as u32 {
            remembered.insert(&numbered(number, None), None, || true);
        }
        let (count, _) = held(&remembered);
        assert!((MAX_ENTRIES / 2..=MAX_ENTRIES).contains(&count), "{count}");

        // As large as claims become.
        let groups: Vec<_> = (0..2_000).map(|_| json!({"a": 7})).collect();
        let claims = json!({ "groups": groups }).as_object().unwrap().clone();
        for number in 0..200 {
            let large = Principal {
                claims: claims.clone(),
                ..(*numbered(number, None)).clone()
            };
            remembered.insert(&Arc::new(large), None, || true);
        }
        let (count, bytes) = held(&remembered);
        assert!(
            count < 200 && bytes <= MAX_BYTES,
            "{count} entries of {bytes} bytes"
        );
    }

    #[test]
    fn what_is_in_use_stays_remembered_however_many_others_come() {
        let remembered = Remembered::default();
        let used: Vec<_> = (0..50).map(|number| numbered(number, None)).collect();
        let insert = |principal: &Arc<Principal>| remembered.insert(principal, None, || true);
        used.iter().for_each(insert);
        for number in 0..4 * MAX_ENTRIES as u32 {
            insert(&numbered(1_000 + number, None));
            if number % 1_000 == 0 {
                for one in &used {
                    assert!(remembered.get(&one.digest, 0, |_, _| true).is_some(), "{number}");
                }
            }
        }
        remembered.clear();
        assert_eq!(held(&remembered), (0, 0));
    }

    /// Returns how many entries there are, and how many bytes they take, counted anew.
    fn held(remembered: &Remembered) -> (usize, usize) {
        let generations = remembered.0.lock();
        let both = [&generations.younger, &generations.older];
        for generation in both {
            let sum: usize = generation.entries.values().map(|entry| entry.bytes).sum();
            assert_eq!(generation.bytes, sum);
        }
        let entries = both.map(|generation| generation.entries.len());
        (
            entries.iter().sum(),
            both.map(|generation| generation.bytes).iter().sum(),
        )
    }
}
