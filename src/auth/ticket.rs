//! Tickets: credentials that may stand in a URL, because they are short-lived and good for little.
//!
//! A ticket holds all that is needed to check it, encrypted and authenticated (AES-256-GCM). Nothing is kept of it here, so that a
//! restart, and every replica with the same keys, opens it.

use std::{fmt, str::FromStr};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::aws_lc_rs as provider;

use super::{
    error::InvalidCredential,
    principal::{CredentialKind, Principal},
};
use crate::{limits::settings::PrincipalLimits, position::Timestamp};

/// A key that seals tickets. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey([u8; KEY_LEN]);

impl FromStr for TicketKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let bytes = STANDARD.decode(text).map_err(|_| "this is not base64")?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| "this has another length than 32 bytes")
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

/// What a ticket is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketGrant {
    /// The names of the streams that it may read.
    pub streams: Vec<String>,
    /// A filter that it cannot leave out.
    pub filter: Option<String>,
}

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ticket {
    #[serde(rename = "s")]
    pub(super) streams: Vec<String>,
    #[serde(rename = "f", skip_serializing_if = "Option::is_none", default)]
    pub(super) filter: Option<String>,
    /// Whether it is of an API key.
    #[serde(rename = "k")]
    is_of_key: bool,
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "u", skip_serializing_if = "Option::is_none", default)]
    subject: Option<String>,
    #[serde(rename = "o")]
    scopes: Vec<String>,
    #[serde(rename = "c")]
    claims: Map<String, Value>,
    #[serde(rename = "x", skip_serializing_if = "Option::is_none", default)]
    expires: Option<Timestamp>,
    #[serde(rename = "a", skip_serializing_if = "Option::is_none", default)]
    accepted_until: Option<Timestamp>,
    #[serde(rename = "l")]
    limits: (u32, u32),
    #[serde(rename = "d")]
    digest: [u8; 32],
    /// Until when it begins a stream, and until when it takes one up again.
    #[serde(rename = "t")]
    pub(super) until: (Timestamp, Timestamp),
}

impl Ticket {
    /// Creates the ticket of a principal, with those of its claims that are needed to check it.
    pub(super) fn new(
        principal: &Principal,
        grant: TicketGrant,
        is_needed: impl Fn(&str) -> bool,
        until: (Timestamp, Timestamp),
    ) -> Self {
        let claims = principal.claims.iter();
        let claims = claims.filter(|(name, _)| *name == "jti" || is_needed(name));
        let number = |limit: Option<std::num::NonZeroU32>| limit.map_or(0, std::num::NonZeroU32::get);
        let PrincipalLimits {
            streams,
            requests_per_minute,
        } = principal.limits;
        Self {
            streams: grant.streams,
            filter: grant.filter,
            is_of_key: principal.kind == CredentialKind::ApiKey,
            name: principal.name.to_string(),
            subject: principal.subject.clone(),
            scopes: principal.scopes.clone(),
            claims: claims
                .map(|(name, claim)| (name.clone(), claim.clone()))
                .collect(),
            expires: principal.expires,
            accepted_until: principal.accepted_until,
            limits: (number(streams), number(requests_per_minute)),
            digest: principal.digest,
            until,
        }
    }

    /// Returns whom it stands for, if it is accepted at this time. `resumes` says that the request takes up a stream again.
    pub(super) fn check(
        self,
        resumes: bool,
        now: Timestamp,
    ) -> Result<(Principal, TicketGrant), InvalidCredential> {
        let until = if resumes { self.until.1 } else { self.until.0 };
        let limit = std::num::NonZeroU32::new;
        let principal = Principal {
            kind: if self.is_of_key {
                CredentialKind::ApiKey
            } else {
                CredentialKind::Token
            },
            name: self.name.into(),
            subject: self.subject,
            scopes: self.scopes,
            claims: self.claims,
            expires: self.expires,
            accepted_until: self.accepted_until,
            limits: PrincipalLimits {
                streams: limit(self.limits.0),
                requests_per_minute: limit(self.limits.1),
            },
            digest: self.digest,
        };
        let grant = TicketGrant {
            streams: self.streams,
            filter: self.filter,
        };
        match now < until && principal.is_accepted(now) {
            true => Ok((principal, grant)),
            false => Err(InvalidCredential::Expired),
        }
    }
}

/// The keys of tickets: the first seals, all open.
#[derive(Default)]
pub(super) struct TicketKeys(Vec<([u8; KEY_ID_LEN], LessSafeKey)>);

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({})", self.0.len())
    }
}

impl TicketKeys {
    pub(super) fn new(keys: &[TicketKey]) -> Self {
        let keys = keys.iter().filter_map(|TicketKey(bytes)| {
            let key = UnboundKey::new(&AES_256_GCM, bytes).ok()?;
            let digest: [u8; 32] = Sha256::digest(bytes).into();
            let mut id = [0; KEY_ID_LEN];
            id.copy_from_slice(&digest[..KEY_ID_LEN]);
            Some((id, LessSafeKey::new(key)))
        });
        Self(keys.collect())
    }

    /// Returns the text of a ticket. Returns `None` without a key, or if it would be longer than [`MAX_TEXT`].
    pub(super) fn seal(&self, ticket: &Ticket) -> Option<String> {
        let (id, key) = self.0.first()?;
        let mut nonce = [0; NONCE_LEN];
        // A nonce must not occur twice with one key. Of 2^32 random ones two are alike with a probability of 2^-33.
        provider::default_provider().secure_random.fill(&mut nonce).ok()?;
        let mut sealed = serde_json::to_vec(ticket).ok()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(unique, Aad::from(id), &mut sealed)
            .ok()?;
        let text = URL_SAFE_NO_PAD.encode([&id[..], &nonce, &sealed].concat());
        Some(text).filter(|text| text.len() <= MAX_TEXT)
    }

    /// Returns the ticket in a text.
    pub(super) fn open(&self, text: &str) -> Result<Ticket, InvalidCredential> {
        let malformed = InvalidCredential::Malformed;
        if text.len() > MAX_TEXT {
            return Err(malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed)?;
        let (id, rest) = bytes.split_at_checked(KEY_ID_LEN).ok_or(malformed)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(malformed)?;
        let (id, key) = self
            .0
            .iter()
            .find(|(own, _)| *own == *id)
            .ok_or(InvalidCredential::UnknownKey)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| malformed)?;
        let mut sealed = sealed.to_vec();
        let opened = key.open_in_place(nonce, Aad::from(id), &mut sealed);
        let opened = opened.map_err(|_| InvalidCredential::Signature)?;
        serde_json::from_slice(opened).map_err(|_| malformed)
    }
}

/// In bytes.
const KEY_LEN: usize = 32;

/// The length of what names a key, in bytes.
const KEY_ID_LEN: usize = 4;

/// The longest ticket, in bytes. It shares the 16 KiB of a request's target with an id, and proxies allow 8 KiB.
const MAX_TEXT: usize = 4096;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::principal::tests::principal_until;

    fn key(byte: u8) -> TicketKey {
        STANDARD.encode([byte; 32]).parse().unwrap()
    }

    fn ticket(until: (Timestamp, Timestamp)) -> Ticket {
        let mut principal = principal_until(5_000, 1_000);
        principal.claims = json!({"jti": "1", "tenant": "a", "groups": vec!["x"; 500]})
            .as_object()
            .unwrap()
            .clone();
        let grant = TicketGrant {
            streams: vec!["a".into()],
            filter: Some("n = 1".into()),
        };
        Ticket::new(&principal, grant, |name| name == "tenant", until)
    }

    #[test]
    fn a_ticket_says_what_it_was_sealed_with_and_no_more() {
        let keys = TicketKeys::new(&[key(1)]);
        let text = keys.seal(&ticket((1_000, 3_000))).unwrap();
        assert!(text.len() < 600, "{}", text.len());
        let opened = keys.open(&text).unwrap();
        assert_eq!(opened, ticket((1_000, 3_000)));
        let (principal, grant) = opened.check(false, 999).unwrap();
        assert_eq!(principal.to_string(), "token idp: somebody");
        assert_eq!(
            Value::Object(principal.claims),
            json!({"jti": "1", "tenant": "a"})
        );
        assert_eq!(
            (grant.streams, grant.filter),
            (vec!["a".to_owned()], Some("n = 1".to_owned()))
        );
    }

    #[test]
    fn a_ticket_begins_a_stream_for_a_while_takes_one_up_for_longer_and_never_outlives_its_credential() {
        let check = |until, resumes, now| ticket(until).check(resumes, now).map(drop);
        assert_eq!(check((1_000, 3_000), false, 999), Ok(()));
        assert_eq!(
            check((1_000, 3_000), false, 1_000),
            Err(InvalidCredential::Expired)
        );
        assert_eq!(check((1_000, 3_000), true, 2_999), Ok(()));
        assert_eq!(
            check((1_000, 3_000), true, 3_000),
            Err(InvalidCredential::Expired)
        );
        assert_eq!(check((9_000, 9_000), true, 5_999), Ok(()));
        assert_eq!(
            check((9_000, 9_000), true, 6_000),
            Err(InvalidCredential::Expired)
        );
    }

    #[test]
    fn only_who_has_the_key_makes_a_ticket_and_all_keys_open() {
        let (old, new) = (TicketKeys::new(&[key(1)]), TicketKeys::new(&[key(2), key(1)]));
        let text = old.seal(&ticket((1, 1))).unwrap();
        assert!(new.open(&text).is_ok());
        let newer = new.seal(&ticket((1, 1))).unwrap();
        assert_eq!(old.open(&newer).err(), Some(InvalidCredential::UnknownKey));
        assert_ne!(newer, new.seal(&ticket((1, 1))).unwrap(), "the nonce is random");
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(old.open(&changed).is_err(), "{at}");
        }
        for rubbish in ["", "A", "AAAAAAAA", &text[..40], &"A".repeat(5_000)] {
            assert!(old.open(rubbish).is_err(), "{rubbish}");
        }
        assert_eq!(TicketKeys::default().seal(&ticket((1, 1))), None);
        assert_eq!(format!("{:?}{old:?}", key(1)), "TicketKey(..)TicketKeys(1)");
    }

    #[test]
    fn a_key_has_32_bytes() {
        for bad in [
            "",
            "x",
            "AAAA",
            &STANDARD.encode([1; 31]),
            &STANDARD.encode([1; 33]),
        ] {
            assert!(bad.parse::<TicketKey>().is_err(), "{bad}");
        }
    }
}
