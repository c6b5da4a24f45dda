//! One key of session tickets.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
    rand,
};
use zeroize::Zeroizing;

/// Seals sessions into tickets, and opens them.
///
/// A ticket is the key's name, a random salt, and the session encrypted by AES-256-GCM. Salt and secret give each ticket a key of
/// its own (HKDF), so that a key that replicas share may seal any number of tickets: with one key and random nonces, the bound
/// would be 2^32.
pub(super) struct TicketKey(Box<Zeroizing<[u8; KEY_BYTES]>>);

impl TicketKey {
    /// Makes a random key.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn random() -> Result<Self, Unspecified> {
        let mut key = Self::empty();
        rand::fill(&mut **key.0)?;
        Ok(key)
    }

    /// Copies a key. Returns `None` if it has another length than [`KEY_BYTES`].
    pub(super) fn copy_of(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == KEY_BYTES).then(|| {
            let mut key = Self::empty();
            key.0.copy_from_slice(bytes);
            key
        })
    }

    /// Returns the place of a key, on the heap: one that moves would leave copies behind.
    fn empty() -> Self {
        Self(Box::new(Zeroizing::new([0; KEY_BYTES])))
    }

    /// Returns the whole key, to be passed on to another process.
    pub(super) fn bytes(&self) -> &[u8] {
        &**self.0
    }

    /// Returns the bytes that its tickets begin with. They are no secret.
    pub(super) fn name(&self) -> &[u8] {
        &self.0[..NAME_BYTES]
    }

    /// Seals a session. It can be opened only with the same `context`. Returns `None` if the session is too long for a ticket.
    pub(super) fn seal(&self, context: &[u8], session: &[u8]) -> Option<Vec<u8>> {
        if session.len() > MAX_SESSION_BYTES {
            return None;
        }
        let mut salt = [0; SALT_BYTES];
        rand::fill(&mut salt).ok()?;
        let key = self.key_of_ticket(&salt, context)?;
        let mut ticket = Vec::with_capacity(HEAD_BYTES + session.len() + TAG_BYTES);
        ticket.extend_from_slice(self.name());
        ticket.extend_from_slice(&salt);
        ticket.extend_from_slice(session);
        let tag = key.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut ticket[HEAD_BYTES..]);
        ticket.extend_from_slice(tag.ok()?.as_ref());
        Some(ticket)
    }

    /// Opens a ticket of this key. Returns `None` if it is another's, or differs in any bit, or has another `context`.
    pub(super) fn open(&self, context: &[u8], ticket: &[u8]) -> Option<Vec<u8>> {
        let rest = ticket.strip_prefix(self.name())?;
        let (salt, sealed) = rest.split_at_checked(SALT_BYTES)?;
        if sealed.len() > MAX_SESSION_BYTES + TAG_BYTES {
            return None;
        }
        let key = self.key_of_ticket(salt, context)?;
        let mut session = sealed.to_vec();
        let length = key.open_in_place(nonce(), Aad::empty(), &mut session).ok()?.len();
        session.truncate(length);
        Some(session)
    }

    fn key_of_ticket(&self, salt: &[u8], context: &[u8]) -> Option<LessSafeKey> {
        let secret = Salt::new(HKDF_SHA256, salt).extract(&self.0[NAME_BYTES..]);
        let mut key = Zeroizing::new([0; AES_KEY_BYTES]);
        let info = [PURPOSE, context];
        secret.expand(&info, &AES_256_GCM).ok()?.fill(&mut *key).ok()?;
        UnboundKey::new(&AES_256_GCM, &*key).ok().map(LessSafeKey::new)
    }
}

/// Returns the nonce of every ticket: no key seals a second one.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// The length of a key, in bytes: the name, and 64 of secret. `openssl rand` makes it, and nginx takes files of as many bytes.
pub(super) const KEY_BYTES: usize = NAME_BYTES + 64;

/// The length of a key's name, in bytes. At random, two keys never have the same.
const NAME_BYTES: usize = 16;

/// The length of a ticket's salt, in bytes. At random, no two tickets have the same.
const SALT_BYTES: usize = 32;

/// What stands before the sealed session.
const HEAD_BYTES: usize = NAME_BYTES + SALT_BYTES;

const AES_KEY_BYTES: usize = 32;

const TAG_BYTES: usize = 16;

/// The longest session that is sealed, in bytes. One has 200 without the certificate of a client, and its chain more with it. Clients
/// send the ticket in their first message, which must fit into one record.
const MAX_SESSION_BYTES: usize = 12 * 1024;

/// Sets the keys of these tickets apart from whatever else the same secret may be used for. It ends in a zero byte, so that no
/// other purpose can begin with it.
const PURPOSE: &[u8] = b"riverhead session ticket 1\0";

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &[u8] = &[7; 32];

    #[test]
    fn a_ticket_opens_to_its_session() {
        let key = TicketKey::random().unwrap();
        for length in [0, 1, 200, MAX_SESSION_BYTES] {
            let session = vec![9; length];
            let (one, other) = (key.seal(CONTEXT, &session), key.seal(CONTEXT, &session));
            assert_ne!(one, other, "nobody can tell that two sessions are the same");
            for ticket in [one, other] {
                assert_eq!(key.open(CONTEXT, &ticket.unwrap()), Some(session.clone()));
            }
        }
        assert_eq!(key.seal(CONTEXT, &vec![9; MAX_SESSION_BYTES + 1]), None);
    }

    #[test]
    fn a_copy_opens_what_the_key_has_sealed() {
        let key = TicketKey::random().unwrap();
        let ticket = key.seal(CONTEXT, b"session").unwrap();
        let copy = TicketKey::copy_of(key.bytes()).unwrap();
        assert_eq!(copy.open(CONTEXT, &ticket).unwrap(), b"session");
        assert!(TicketKey::copy_of(&key.bytes()[1..]).is_none());
        assert!(TicketKey::copy_of(&[key.bytes(), &[0]].concat()).is_none());
    }

    #[test]
    fn a_ticket_that_differs_in_any_byte_does_not_open() {
        let key = TicketKey::random().unwrap();
        let ticket = key.seal(CONTEXT, b"session").unwrap();
        for at in 0..ticket.len() {
            let mut other = ticket.clone();
            other[at] ^= 1 << fastrand::u8(..8);
            assert_eq!(key.open(CONTEXT, &other), None, "byte {at}");
            assert_eq!(key.open(CONTEXT, &ticket[..at]), None, "{at} bytes");
        }
        assert_eq!(key.open(CONTEXT, &[&*ticket, &[0]].concat()), None);
        assert_eq!(key.open(&[8; 32], &ticket), None, "another context");
    }

    #[test]
    fn a_ticket_of_another_secret_does_not_open_even_under_the_same_name() {
        let key = TicketKey::random().unwrap();
        let ticket = key.seal(CONTEXT, b"session").unwrap();
        for at in NAME_BYTES..KEY_BYTES {
            let mut bytes = key.bytes().to_vec();
            bytes[at] ^= 1;
            let other = TicketKey::copy_of(&bytes).unwrap();
            assert_eq!(other.open(CONTEXT, &ticket), None, "byte {at}");
        }
    }

    #[test]
    fn rubbish_does_not_open() {
        let key = TicketKey::random().unwrap();
        let mut rng = fastrand::Rng::with_seed(22);
        for length in 0..2_000 {
            let mut rubbish: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            assert_eq!(key.open(CONTEXT, &rubbish), None);
            let named = length.min(NAME_BYTES);
            rubbish[..named].copy_from_slice(&key.name()[..named]);
            assert_eq!(key.open(CONTEXT, &rubbish), None);
        }
        let long = [key.name(), &[0; MAX_SESSION_BYTES * 2]].concat();
        assert_eq!(key.open(CONTEXT, &long), None);
    }
}
