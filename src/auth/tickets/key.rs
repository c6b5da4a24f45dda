//! One key of tickets.

use std::str::FromStr;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Seals tickets with AES-256-GCM, and opens them. `Debug` does not show it, and it is wiped when it is dropped.
///
/// A nonce must not occur twice with one key. They are random: among 2^32 tickets two have the same with a probability of 2^-33.
/// At a hundred tickets a second that is after sixteen months, and a new key begins to count anew.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey {
    secret: Zeroizing<[u8; KEY_BYTES]>,
    /// What its tickets begin with. It is no secret.
    id: [u8; ID_BYTES],
}

impl TicketKey {
    /// Makes a random key.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(in crate::auth) fn random() -> Result<Self, Unspecified> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut *secret)?;
        Ok(Self::new(secret))
    }

    /// Copies a key. Returns `None` if it has another length.
    pub(in crate::auth) fn copy_of(bytes: &[u8]) -> Option<Self> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        (bytes.len() == KEY_BYTES).then(|| {
            secret.copy_from_slice(bytes);
            Self::new(secret)
        })
    }

    fn new(secret: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let digest: [u8; 32] = Sha256::digest(secret.as_slice()).into();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        Self { secret, id }
    }

    /// Returns the key itself, to be passed on to another process.
    pub(in crate::auth) fn bytes(&self) -> &[u8] {
        &*self.secret
    }

    /// Returns the id of the key, the nonce, and the encrypted content with its tag.
    pub(super) fn seal(&self, content: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce)?;
        let mut sealed = Vec::with_capacity(HEAD_BYTES + content.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(content);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let cipher = self.cipher()?;
        let tag = cipher.seal_in_place_separate_tag(nonce, self.context(), &mut sealed[HEAD_BYTES..])?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Whether a ticket names this key. That does not say who has sealed it.
    pub(super) fn is_named_by(&self, sealed: &[u8]) -> bool {
        sealed.starts_with(&self.id)
    }

    /// Returns the content of a ticket that this key has sealed. Returns `None` if it is another's, or differs in any bit.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let rest = sealed.strip_prefix(&self.id)?;
        let (nonce, content) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut content = content.to_vec();
        let cipher = self.cipher().ok()?;
        let length = cipher
            .open_in_place(nonce, self.context(), &mut content)
            .ok()?
            .len();
        content.truncate(length);
        Some(content)
    }

    fn cipher(&self) -> Result<LessSafeKey, Unspecified> {
        UnboundKey::new(&AES_256_GCM, &*self.secret).map(LessSafeKey::new)
    }

    /// Returns what is authenticated besides the content.
    fn context(&self) -> Aad<[u8; PURPOSE.len() + ID_BYTES]> {
        let mut context = [0; PURPOSE.len() + ID_BYTES];
        let (purpose, id) = context.split_at_mut(PURPOSE.len());
        purpose.copy_from_slice(PURPOSE);
        id.copy_from_slice(&self.id);
        Aad::from(context)
    }
}

impl FromStr for TicketKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const LENGTH: &str = "it has another length than 32 bytes";
        let mut bytes = Zeroizing::new([0; TEXT_BYTES / 4 * 3]);
        if text.len() > TEXT_BYTES {
            return Err(LENGTH);
        }
        let length = STANDARD
            .decode_slice(text, &mut *bytes)
            .map_err(|_| "it is not base64")?;
        Self::copy_of(&bytes[..length]).ok_or(LENGTH)
    }
}

debug_by_name!(TicketKey);

/// The length of a key, in bytes.
const KEY_BYTES: usize = 32;

/// The length of a key in base64, in characters.
const TEXT_BYTES: usize = KEY_BYTES.div_ceil(3) * 4;

/// The length of what names a key, in bytes: the start of its digest. Of a few keys no two have the same.
const ID_BYTES: usize = 4;

/// What stands before the encrypted content.
const HEAD_BYTES: usize = ID_BYTES + NONCE_LEN;

/// Sets tickets apart from whatever else the same key may be used for, and from those of a later version that hold more: a reader
/// that does not know a restriction must not open them.
const PURPOSE: &[u8; 19] = b"riverhead ticket 1\0";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::auth::tickets) fn key(byte: u8) -> TicketKey {
        TicketKey::copy_of(&[byte; KEY_BYTES]).unwrap()
    }

    #[test]
    fn a_ticket_opens_to_its_content_and_no_two_are_the_same() {
        let key = TicketKey::random().unwrap();
        for length in [0, 1, 300, 3_000] {
            let content = vec![7; length];
            let (one, other) = (key.seal(&content).unwrap(), key.seal(&content).unwrap());
            assert_ne!(one, other, "the nonce is random");
            for sealed in [one, other] {
                assert_eq!(key.open(&sealed), Some(content.clone()));
            }
        }
    }

    #[test]
    fn a_ticket_that_differs_in_any_bit_or_is_cut_does_not_open() {
        let key = key(1);
        let sealed = key.seal(b"content").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(&other), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key.open(&sealed[..length]), None, "{length} bytes");
        }
        assert_eq!(key.open(&[&*sealed, &[0]].concat()), None);
    }

    #[test]
    fn a_ticket_of_another_key_does_not_open_even_under_its_name() {
        let (one, other) = (key(1), key(2));
        let mut sealed = one.seal(b"content").unwrap();
        assert!(one.is_named_by(&sealed) && !other.is_named_by(&sealed));
        sealed[..ID_BYTES].copy_from_slice(&other.id);
        assert!(other.is_named_by(&sealed));
        assert_eq!(other.open(&sealed), None);
    }

    #[test]
    fn a_copy_opens_what_the_key_has_sealed() {
        let key = TicketKey::random().unwrap();
        let copy = TicketKey::copy_of(key.bytes()).unwrap();
        assert_eq!(copy.open(&key.seal(b"x").unwrap()).unwrap(), b"x");
        for bytes in [&key.bytes()[1..], &[key.bytes(), &[0]].concat()] {
            assert!(TicketKey::copy_of(bytes).is_none());
        }
    }

    #[test]
    fn a_key_is_32_bytes_in_base64_and_is_never_shown() {
        let text = STANDARD.encode([7; KEY_BYTES]);
        let key: TicketKey = text.parse().unwrap();
        assert_eq!(key.bytes(), [7; KEY_BYTES]);
        assert_eq!(format!("{key:?}"), "TicketKey(..)");
        for bad in [
            "",
            "x",
            "AAAA",
            &text[1..],
            &format!(" {text}"),
            &format!("{text}{text}"),
            &STANDARD.encode([1; KEY_BYTES - 1]),
            &STANDARD.encode([1; KEY_BYTES + 1]),
        ] {
            let why = bad.parse::<TicketKey>().unwrap_err();
            assert!(bad.is_empty() || !why.contains(bad), "{why}");
        }
    }
}
