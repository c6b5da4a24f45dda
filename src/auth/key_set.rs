//! The public keys of an issuer (JWKS, RFC 7517).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::InvalidCredential;

/// The keys that can check signatures. Keys of other kinds are left out.
pub(super) struct KeySet {
    keys: Vec<VerifyingKey>,
    /// The digest of the text that it was read from.
    digest: [u8; 32],
}

/// A public key that can check signatures.
pub(super) struct VerifyingKey {
    id: Option<String>,
    kind: KeyKind,
    /// The one algorithm that it is for, if it names one.
    algorithm: Option<Algorithm>,
    pub(super) key: DecodingKey,
    /// The digest of its id and its numbers.
    pub(super) digest: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeySet {
    /// Parses a key set.
    ///
    /// # Errors
    /// When it is none, or has no key that can be used.
    pub(super) fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let document: Document = serde_json::from_slice(text).map_err(|_| "is not a key set (JWKS)")?;
        if document.keys.len() > MAX_KEYS {
            return Err("has more than 100 keys");
        }
        let keys: Vec<_> = document.keys.into_iter().filter_map(VerifyingKey::read).collect();
        match keys.is_empty() {
            true => {
                Err("has no public key that can be used: RSA of 2,048 to 4,096 bits, P-256, P-384 or Ed25519")
            }
            false => Ok(Self {
                keys,
                digest: Sha256::digest(text).into(),
            }),
        }
    }

    /// Returns how many keys can be used.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether both were read from the same text.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Returns the key with this id that fits the algorithm. A token without an id is checked with the only key that fits.
    ///
    /// # Errors
    /// When there is no such key, or it does not fit.
    pub(super) fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&VerifyingKey, InvalidCredential> {
        let of_id = |key: &&VerifyingKey| id.is_none_or(|id| key.id.as_deref() == Some(id));
        let mut named = self.keys.iter().filter(of_id).peekable();
        if named.peek().is_none() {
            return Err(InvalidCredential::UnknownKey);
        }
        let mut fitting = named.filter(|key| key.fits(algorithm));
        let found = fitting.next().ok_or(InvalidCredential::Algorithm)?;
        match fitting.next() {
            Some(_) => Err(InvalidCredential::UnknownKey),
            None => Ok(found),
        }
    }

    /// Whether it has the key with this digest.
    pub(super) fn has(&self, digest: &[u8; 32]) -> bool {
        self.keys.iter().any(|key| key.digest == *digest)
    }
}

debug_by_name!(KeySet);

impl VerifyingKey {
    /// Returns `None` for a key of another kind or for another use.
    fn read(jwk: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        let is_for_signatures = match (&jwk.common.public_key_use, &jwk.common.key_operations) {
            (Some(usage), _) => *usage == PublicKeyUse::Signature,
            (None, Some(operations)) => operations.contains(&KeyOperations::Verify),
            (None, None) => true,
        };
        let kind = kind_of(&jwk).filter(|_| is_for_signatures)?;
        let algorithm = match jwk.common.key_algorithm {
            Some(algorithm) => Some(algorithm.try_into().ok()?),
            None => None,
        };
        // Only what makes it another key: an issuer may add other parts at any time.
        let own = serde_json::to_vec(&(&jwk.common.key_id, &jwk.algorithm)).ok()?;
        Some(Self {
            key: DecodingKey::from_jwk(&jwk).ok()?,
            digest: Sha256::digest(own).into(),
            id: jwk.common.key_id,
            kind,
            algorithm,
        })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::ES256 => KeyKind::P256,
            Algorithm::ES384 => KeyKind::P384,
            Algorithm::EdDSA => KeyKind::Ed25519,
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => KeyKind::Rsa,
            // With a public key as the secret, everybody could sign.
            _ => return false,
        };
        self.kind == kind && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

fn kind_of(jwk: &Jwk) -> Option<KeyKind> {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(parameters) => {
            let bits = bits(&parameters.n)?;
            (MIN_RSA_BITS..=MAX_RSA_BITS)
                .contains(&bits)
                .then_some(KeyKind::Rsa)
        }
        AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
            EllipticCurve::P256 => Some(KeyKind::P256),
            EllipticCurve::P384 => Some(KeyKind::P384),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(parameters) => {
            (parameters.curve == EllipticCurve::Ed25519).then_some(KeyKind::Ed25519)
        }
        _ => None,
    }
}

/// Returns how many bits a number in base64url has.
fn bits(number: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(number).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let leading = bytes.get(zeros)?.leading_zeros() as usize;
    Some(8 * (bytes.len() - zeros) - leading)
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The most keys of a set. Providers publish two or three at a time.
const MAX_KEYS: usize = 100;

/// Shorter keys can be factored, and longer ones make every check slow (NIST SP 800-131A; a check at 4,096 bits takes 0.1 ms).
const MIN_RSA_BITS: usize = 2_048;
const MAX_RSA_BITS: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
    const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn set(keys: &[&str]) -> Result<KeySet, &'static str> {
        let keys: Vec<_> = keys.iter().map(|key| format!("{{{key}}}")).collect();
        KeySet::parse(format!("{{\"keys\":[{}]}}", keys.join(",")).as_bytes())
    }

    fn rsa(bits: usize) -> String {
        let mut modulus = vec![0xff; bits / 8];
        if !bits.is_multiple_of(8) {
            modulus.insert(0, (1 << (bits % 8)) - 1);
        }
        format!(
            r#""kty":"RSA","n":"{}","e":"AQAB""#,
            URL_SAFE_NO_PAD.encode(modulus)
        )
    }

    #[test]
    fn a_key_checks_what_it_is_for_and_nothing_else() {
        let set = set(&[
            &format!(r#""kid":"a",{P256}"#),
            &format!(r#""kid":"b","alg":"EdDSA",{ED25519}"#),
            &format!(r#""kid":"c","alg":"RS512",{}"#, rsa(2048)),
        ]);
        let set = set.unwrap();
        let found = |id, algorithm| set.find(Some(id), algorithm).map(|_| ());
        assert_eq!(found("a", Algorithm::ES256), Ok(()));
        assert_eq!(found("a", Algorithm::ES384), Err(InvalidCredential::Algorithm));
        assert_eq!(found("a", Algorithm::HS256), Err(InvalidCredential::Algorithm));
        assert_eq!(found("b", Algorithm::EdDSA), Ok(()));
        assert_eq!(found("c", Algorithm::RS512), Ok(()));
        assert_eq!(found("c", Algorithm::RS256), Err(InvalidCredential::Algorithm));
        assert_eq!(found("d", Algorithm::ES256), Err(InvalidCredential::UnknownKey));
        assert!(set.find(None, Algorithm::ES256).is_ok(), "the only one that fits");
    }

    #[test]
    fn a_token_that_names_no_key_of_several_is_not_tried_with_each() {
        let set = set(&[&format!(r#""kid":"a",{P256}"#), &format!(r#""kid":"b",{P256}"#)]).unwrap();
        assert_eq!(
            set.find(None, Algorithm::ES256).err(),
            Some(InvalidCredential::UnknownKey)
        );
    }

    #[test]
    fn keys_of_other_kinds_and_sizes_are_left_out() {
        for key in [
            r#""kty":"oct","k":"c2VjcmV0""#,
            &format!(r#""use":"enc",{P256}"#),
            &format!(r#""key_ops":["sign"],{P256}"#),
            &format!(r#""alg":"ECDH-ES",{P256}"#),
            &rsa(2047),
            &rsa(4097),
            r#""kty":"EC","crv":"P-521","x":"AA","y":"AA""#,
            r#""kty":7"#,
        ] {
            assert!(set(&[key]).is_err(), "{key}");
            assert_eq!(set(&[key, ED25519]).unwrap().len(), 1, "{key}");
        }
        assert_eq!(set(&[&rsa(2048), &rsa(4096)]).unwrap().len(), 2);
        assert!(set(&[ED25519; 101]).is_err());
        for rubbish in ["", "[]", "{}", "{\"keys\":7}"] {
            assert!(KeySet::parse(rubbish.as_bytes()).is_err(), "{rubbish}");
        }
    }
}
