//! Credentials that were checked, so that they need not be checked again with each request.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{key_set::KeySet, principal::Principal};
use crate::position::Timestamp;

/// The principals of good credentials, by the digests of those. Bad ones are not remembered: there may be any number of them.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashMap<[u8; 32], Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    principal: Arc<Principal>,
    /// The keys that it was checked with. `None` for an API key.
    keys: Option<Weak<KeySet>>,
}

impl Remembered {
    /// Returns the principal of the credential with this digest, if it was checked with these keys and has not expired.
    pub(super) fn get(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
        is_current: impl FnOnce(&Principal, Option<&Weak<KeySet>>) -> bool,
    ) -> Option<Arc<Principal>> {
        let Entry { principal, keys } = self.0.lock().get(digest).cloned()?;
        let is_good = principal.is_accepted(now) && is_current(&principal, keys.as_ref());
        is_good.then_some(principal)
    }

    /// Remembers a principal that was checked with these keys.
    pub(super) fn insert(&self, principal: &Arc<Principal>, keys: Option<&Arc<KeySet>>, now: Timestamp) {
        let mut entries = self.0.lock();
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, entry| entry.principal.is_accepted(now));
            // One of many good ones makes room, whichever it is: checking it again costs a fraction of a millisecond.
            if entries.len() >= MAX_ENTRIES
                && let Some(other) = entries.keys().next().copied()
            {
                entries.remove(&other);
            }
        }
        let entry = Entry {
            principal: Arc::clone(principal),
            keys: keys.map(Arc::downgrade),
        };
        entries.insert(principal.digest, entry);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// How many are remembered: as many as there are streams by default. One takes about 1 KB.
const MAX_ENTRIES: usize = 10_000;

#[cfg(test)]
mod tests {
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
        remembered.insert(&one, None, 0);
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
            let until = if number % 2 == 0 { Some(1) } else { None };
            remembered.insert(&numbered(number, until), None, 2);
        }
        assert_eq!(remembered.len(), MAX_ENTRIES);
    }
}
