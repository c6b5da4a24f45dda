//! All keys of a listener's session tickets.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::error::Unspecified;
use parking_lot::RwLock;
use zeroize::Zeroizing;

use super::key::{KEY_BYTES, TicketKey};

/// The keys of a listener, the newest first: it seals, and all open.
pub(in crate::tls) struct TicketKeys(Keys);

enum Keys {
    /// Keys that only this process and its successors know.
    Random(RwLock<RotatingKeys>),
    /// Keys of a file, which others replace when it changes.
    Shared(Vec<TicketKey>),
}

/// Random keys, which are replaced one by one.
struct RotatingKeys {
    keys: Vec<TicketKey>,
    /// When the newest began to seal.
    since: Instant,
}

impl TicketKeys {
    /// Begins with one random key, which seals from now on.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(in crate::tls) fn random_now() -> Result<Arc<Self>, String> {
        let keys = Self::random(Instant::now());
        keys.map(Arc::new)
            .map_err(|_| "there are no random numbers for the keys of session tickets".into())
    }

    fn random(now: Instant) -> Result<Self, Unspecified> {
        Ok(Self::rotating(vec![TicketKey::random()?], now))
    }

    /// Takes the keys of a file. There is at least one.
    pub(super) fn shared(keys: Vec<TicketKey>) -> Self {
        Self(Keys::Shared(keys))
    }

    fn rotating(keys: Vec<TicketKey>, since: Instant) -> Self {
        Self(Keys::Random(RwLock::new(RotatingKeys { keys, since })))
    }

    /// Whether they are those of a file.
    pub(in crate::tls) fn are_shared(&self) -> bool {
        matches!(self.0, Keys::Shared(_))
    }

    /// Returns how many there are.
    pub(in crate::tls) fn count(&self) -> usize {
        self.with(<[TicketKey]>::len)
    }

    /// Seals a session with the newest key.
    pub(super) fn seal(&self, rules: &[u8], session: &[u8], now: Instant) -> Option<Vec<u8>> {
        self.rotate(now);
        self.with(|keys| keys.first()?.seal(rules, session))
    }

    /// Opens a ticket of any of the keys.
    pub(super) fn open(&self, rules: &[u8], ticket: &[u8], now: Instant) -> Option<Vec<u8>> {
        self.rotate(now);
        self.with(|keys| keys.iter().find_map(|key| key.open(rules, ticket)))
    }

    /// Replaces random keys that are due, and wipes those whose tickets have all expired. Sealing and opening do so too; between
    /// them somebody must, so that no key stays because no client comes.
    pub(in crate::tls) fn rotate(&self, now: Instant) {
        let Keys::Random(rotating) = &self.0 else { return };
        let is_due = rotating.read().is_due(now);
        if is_due {
            rotating.write().rotate(now);
        }
    }

    /// Returns random keys for a successor. Returns `None` for those of a file, which it reads itself.
    pub(in crate::tls) fn pass_on(&self, now: Instant) -> Option<Zeroizing<Vec<u8>>> {
        let Keys::Random(rotating) = &self.0 else {
            return None;
        };
        let rotating = rotating.read();
        let age = now.saturating_duration_since(rotating.since).as_secs();
        // As long as it will be: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(AGE_BYTES + rotating.keys.len() * KEY_BYTES));
        bytes.extend_from_slice(&age.to_be_bytes());
        for key in &rotating.keys {
            bytes.extend_from_slice(key.bytes());
        }
        Some(bytes)
    }

    /// Takes the keys of a predecessor. Returns `None` if these bytes are not what [`pass_on`](Self::pass_on) returns.
    pub(in crate::tls) fn passed_on(bytes: &[u8], now: Instant) -> Option<Self> {
        let (age, keys) = bytes.split_first_chunk::<AGE_BYTES>()?;
        if keys.is_empty() || keys.len() % KEY_BYTES != 0 {
            return None;
        }
        let age = Duration::from_secs(u64::from_be_bytes(*age));
        let keys = keys
            .chunks_exact(KEY_BYTES)
            .take(KEPT)
            .filter_map(TicketKey::copy_of);
        Some(Self::rotating(
            keys.collect(),
            now.checked_sub(age).unwrap_or(now),
        ))
    }

    fn with<T>(&self, use_keys: impl FnOnce(&[TicketKey]) -> T) -> T {
        match &self.0 {
            Keys::Random(rotating) => use_keys(&rotating.read().keys),
            Keys::Shared(keys) => use_keys(keys),
        }
    }
}

impl RotatingKeys {
    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= ROTATE_AFTER
    }

    /// Replaces the newest key once for each time that it was due. Does nothing if another thread has done it meanwhile.
    fn rotate(&mut self, now: Instant) {
        let mut rotations = 0;
        while self.is_due(now) {
            // Without random numbers there are no handshakes either. The key before seals until there are some.
            let Ok(key) = TicketKey::random() else { return };
            self.keys.insert(0, key);
            self.keys.truncate(KEPT);
            rotations += 1;
            // After a long time without any client, all that was there is gone.
            self.since = if rotations < KEPT {
                self.since + ROTATE_AFTER
            } else {
                now
            };
        }
    }
}

debug_by_name!(TicketKeys);

/// For how long a ticket opens at least: what clients are told. RFC 8446 (section 4.6.1) allows a week, but who gets hold of a key can
/// read sessions of TLS 1.2 for as long as it opens tickets. A client that was away for longer does a full handshake.
pub(super) const TICKET_LIFETIME: Duration = Duration::from_hours(12);

/// How long a key seals.
const ROTATE_AFTER: Duration = Duration::from_hours(6);

/// How many keys open tickets: the one that seals, and those before it whose last tickets have not expired.
const KEPT: usize = 1 + (TICKET_LIFETIME.as_secs() / ROTATE_AFTER.as_secs()) as usize;

/// The length of the newest key's age, in seconds, before the keys that are passed on.
const AGE_BYTES: usize = size_of::<u64>();

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &[u8] = &[7; 32];

    fn sealed(keys: &TicketKeys, at: Instant) -> Vec<u8> {
        keys.seal(RULES, b"session", at).unwrap()
    }

    fn opens(keys: &TicketKeys, ticket: &[u8], at: Instant) -> bool {
        keys.open(RULES, ticket, at).is_some()
    }

    #[test]
    fn a_ticket_opens_for_its_lifetime_whenever_it_was_sealed_and_not_for_much_longer() {
        let start = Instant::now();
        let hour = Duration::from_hours(1);
        for age in 0..6 {
            let keys = TicketKeys::random(start).unwrap();
            let at = start + hour * age;
            let ticket = sealed(&keys, at);
            for later in 0..=12 {
                assert!(opens(&keys, &ticket, at + hour * later), "{later} h later");
            }
            assert!(!opens(&keys, &ticket, start + hour * 18));
        }
    }

    #[test]
    fn the_newest_three_keys_open_and_the_fourth_does_not() {
        let mut now = Instant::now();
        let keys = TicketKeys::random(now).unwrap();
        let mut tickets = Vec::new();
        for count in 1..10 {
            tickets.push(sealed(&keys, now));
            let opened: Vec<_> = tickets
                .iter()
                .rev()
                .map(|ticket| opens(&keys, ticket, now))
                .collect();
            let expected: Vec<_> = (0..count).map(|age| age < 3).collect();
            assert_eq!(opened, expected);
            assert_eq!(keys.count(), count.min(3));
            now += ROTATE_AFTER;
        }
    }

    #[test]
    fn after_a_long_silence_no_old_key_is_left_and_the_next_lasts_as_long_as_any() {
        let start = Instant::now();
        let keys = TicketKeys::random(start).unwrap();
        let ticket = sealed(&keys, start);
        let later = start + Duration::from_hours(24 * 400);
        keys.rotate(later);
        assert!(!opens(&keys, &ticket, later));
        let ticket = sealed(&keys, later);
        assert!(opens(&keys, &ticket, later + TICKET_LIFETIME));
        assert!(!opens(&keys, &ticket, later + TICKET_LIFETIME + ROTATE_AFTER));
    }

    #[test]
    fn keys_that_are_passed_on_open_the_same_tickets_and_rotate_at_the_same_time() {
        let start = Instant::now();
        let keys = TicketKeys::random(start).unwrap();
        let old = sealed(&keys, start);
        let now = start + ROTATE_AFTER + Duration::from_hours(2);
        let new = sealed(&keys, now);
        let passed = TicketKeys::passed_on(&keys.pass_on(now).unwrap(), now).unwrap();
        assert_eq!((passed.count(), passed.are_shared()), (2, false));
        assert!(opens(&passed, &old, now) && opens(&passed, &new, now));
        assert!(opens(&keys, &sealed(&passed, now), now), "and the other way");
        let due = start + ROTATE_AFTER * 2;
        let almost = due - Duration::from_secs(2);
        assert!(opens(&keys, &sealed(&passed, almost), almost), "not yet");
        assert!(
            !opens(&keys, &sealed(&passed, due), due),
            "each has a key of its own by then"
        );
        assert!(opens(&passed, &new, due));
    }

    #[test]
    fn what_is_not_passed_on_keys_is_refused() {
        let now = Instant::now();
        let passed = TicketKeys::random(now).unwrap().pass_on(now).unwrap();
        assert!(TicketKeys::passed_on(&passed, now).is_some());
        for length in (0..passed.len()).chain([passed.len() + 1]) {
            let mut bytes = passed.to_vec();
            bytes.resize(length, 0);
            assert!(TicketKeys::passed_on(&bytes, now).is_none(), "{length} bytes");
        }
        let many = [&passed[..], &[1; KEY_BYTES * 9]].concat();
        assert_eq!(TicketKeys::passed_on(&many, now).unwrap().count(), KEPT);
        let ancient = [&u64::MAX.to_be_bytes()[..], &passed[AGE_BYTES..]].concat();
        assert!(TicketKeys::passed_on(&ancient, now).is_some());
    }

    #[test]
    fn the_keys_of_a_file_do_not_rotate_and_are_not_passed_on() {
        let start = Instant::now();
        let shared = || TicketKeys::shared(vec![TicketKey::copy_of(&[1; KEY_BYTES]).unwrap()]);
        let ticket = sealed(&shared(), start);
        let later = start + Duration::from_hours(100);
        assert!(opens(&shared(), &ticket, later));
        assert!(shared().pass_on(later).is_none() && shared().are_shared());
    }

    #[test]
    fn no_key_is_shown() {
        let keys = TicketKeys::shared(vec![TicketKey::copy_of(&[b'k'; KEY_BYTES]).unwrap()]);
        assert_eq!(format!("{keys:?}"), "TicketKeys(..)");
    }
}
