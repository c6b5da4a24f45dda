//! The form of API keys: `rvh_`, 256 random bits, and a checksum, both in hexadecimal.
//!
//! The prefix lets scanners for leaked secrets find a key. The checksum lets them, and us, tell a key from a text that looks like
//! one, without looking it up.

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::aws_lc_rs;

/// An API key in clear text. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// The SHA-256 digest of a credential. A fast digest suffices, because a key has 256 random bits and cannot be guessed.
pub(super) type CredentialDigest = [u8; 32];

impl ApiKey {
    /// Creates a random key.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate() -> Result<Self, &'static str> {
        let mut bits = [0; RANDOM_BYTES];
        let random = aws_lc_rs::default_provider().secure_random;
        random
            .fill(&mut bits)
            .map_err(|_| "the system has no random numbers")?;
        let key = format!("{PREFIX}{}", hex(&bits));
        let checksum = checksum(&key);
        Ok(Self(format!("{key}{checksum:08x}")))
    }

    /// Returns the key itself, to be shown once.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Returns the digest that is kept of it, in hexadecimal.
    pub fn digest(&self) -> String {
        hex(&digest(&self.0))
    }
}

debug_by_name!(ApiKey);

/// Whether a credential has the form of an API key, good or not.
pub(super) fn is_api_key(credential: &str) -> bool {
    credential.starts_with(PREFIX)
}

/// Whether the checksum of a key is right.
pub(super) fn is_well_formed(key: &str) -> bool {
    let Some((body, given)) = key.split_at_checked(PREFIX.len() + 2 * RANDOM_BYTES) else {
        return false;
    };
    body[PREFIX.len()..].bytes().all(is_hex) && given == format!("{:08x}", checksum(body))
}

/// Returns the digest of a credential.
pub(super) fn digest(credential: &str) -> CredentialDigest {
    Sha256::digest(credential).into()
}

/// Parses a digest in hexadecimal.
pub(super) fn parse_digest(text: &str) -> Option<CredentialDigest> {
    let mut digest = [0; 32];
    if text.len() != 2 * digest.len() || !text.bytes().all(is_hex) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Returns the CRC-32 of the text before the checksum.
fn checksum(text: &str) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(text.as_bytes());
    sum.sum()
}

const PREFIX: &str = "rvh_";
const RANDOM_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_checksum_that_finds_a_slip() {
        let key = ApiKey::generate().unwrap();
        let text = key.secret();
        assert_eq!(text.len(), 4 + 64 + 8);
        assert!(is_api_key(text) && is_well_formed(text));
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
            let slip = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(!is_well_formed(&slip) || !is_api_key(&slip), "{slip}");
        }
        for rubbish in [
            "",
            "rvh_",
            "rvh_ä",
            &text[..75],
            &format!("{text}0"),
            &text.to_uppercase(),
        ] {
            assert!(!is_well_formed(rubbish), "{rubbish}");
        }
    }

    #[test]
    fn no_two_keys_are_alike_and_none_is_shown() {
        let (one, other) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(format!("{one:?}"), "ApiKey(..)");
        assert_eq!(parse_digest(&one.digest()), Some(digest(one.secret())));
        assert_eq!(parse_digest(&one.digest().to_uppercase()), None);
    }
}
