//! What a ticket holds.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::grant::TicketGrant;
use crate::{
    auth::{
        api_key::CredentialDigest,
        digest_text,
        error::InvalidCredential,
        principal::{CredentialKind, Principal, TokenSignature},
    },
    position::Timestamp,
};

/// What a ticket holds. The names are short, because it stands in URLs.
///
/// What the configuration says of a principal (its scopes, its limits, the claims of an API key) is not in it, but looked up when
/// the ticket is shown: a reload changes what a ticket is good for as it changes what its credential is good for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::auth) struct Ticket {
    #[serde(rename = "c")]
    pub(in crate::auth) credential: TicketCredential,
    #[serde(rename = "g")]
    pub(in crate::auth) grant: TicketGrant,
    /// Until when it begins a stream, in milliseconds since the Unix epoch.
    #[serde(rename = "b")]
    pub(in crate::auth) begins_until: Timestamp,
    /// Until when it takes up a stream again.
    #[serde(rename = "r")]
    pub(in crate::auth) resumes_until: Timestamp,
}

/// What is needed to check the credential behind a ticket again, without the credential itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::auth) enum TicketCredential {
    /// The digest of an API key.
    #[serde(rename = "k")]
    ApiKey(#[serde(with = "digest_text")] CredentialDigest),
    /// A certificate that a handshake has checked.
    #[serde(rename = "x")]
    Certificate {
        /// The digest of the name by which its entry was found.
        #[serde(rename = "d", with = "digest_text")]
        digest: [u8; 32],
        /// In milliseconds since the Unix epoch.
        #[serde(rename = "e")]
        expires: Timestamp,
    },
    /// A token, whose signature was checked when the ticket was made.
    #[serde(rename = "t")]
    Token {
        #[serde(rename = "c")]
        claims: Map<String, Value>,
        #[serde(rename = "s")]
        signature: TokenSignature,
        #[serde(rename = "d", with = "digest_text")]
        digest: CredentialDigest,
    },
}

impl TicketCredential {
    /// Takes what is needed of a principal: of its claims those that every check needs, and these. Returns `None` for a token whose
    /// signature is not known, and for a certificate whose end is not known.
    pub(in crate::auth) fn of(principal: &Principal, needed: &BTreeSet<String>) -> Option<Self> {
        match principal.kind {
            CredentialKind::ApiKey => Some(Self::ApiKey(principal.digest)),
            CredentialKind::Certificate => Some(Self::Certificate {
                digest: principal.digest,
                expires: principal.expires?,
            }),
            CredentialKind::Token => {
                let claims = principal.claims.iter();
                let is_needed =
                    |name: &String| ALWAYS_NEEDED.contains(&name.as_str()) || needed.contains(name);
                let claims = claims.filter(|(name, _)| is_needed(name));
                Some(Self::Token {
                    claims: claims
                        .map(|(name, claim)| (name.clone(), claim.clone()))
                        .collect(),
                    signature: principal.signature.clone()?,
                    digest: principal.digest,
                })
            }
        }
    }
}

impl Ticket {
    /// Checks that it is still good for what a request asks of it: taking up a stream again if it `resumes`, and beginning one if not.
    ///
    /// # Errors
    /// When it has expired.
    pub(in crate::auth) fn check_time(&self, resumes: bool, now: Timestamp) -> Result<(), InvalidCredential> {
        let until = match resumes {
            true => self.resumes_until,
            false => self.begins_until,
        };
        match now < until {
            true => Ok(()),
            false => Err(InvalidCredential::Expired),
        }
    }
}

/// The claims that every check of a token needs. `nbf` is none of them: whoever has a ticket of a token was past it.
const ALWAYS_NEEDED: [&str; 5] = ["iss", "aud", "exp", "sub", "jti"];

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::principal::tests::{principal, token_principal};

    pub(in crate::auth::tickets) fn ticket(stream: &str) -> Ticket {
        Ticket {
            credential: TicketCredential::ApiKey([7; 32]),
            grant: TicketGrant {
                streams: vec![stream.to_owned()],
                filter: Some("n = 1".to_owned()),
            },
            begins_until: 1_000,
            resumes_until: 3_000,
        }
    }

    #[test]
    fn a_ticket_begins_a_stream_for_a_while_and_takes_one_up_again_for_longer() {
        let check = |resumes, now| ticket("a").check_time(resumes, now);
        assert_eq!(check(false, 999), Ok(()));
        assert_eq!(check(false, 1_000), Err(InvalidCredential::Expired));
        assert_eq!(check(true, 2_999), Ok(()));
        assert_eq!(check(true, 3_000), Err(InvalidCredential::Expired));
    }

    #[test]
    fn of_a_credential_only_what_is_needed_is_held() {
        let key = principal("partner", None);
        let none = BTreeSet::new();
        assert_eq!(
            TicketCredential::of(&key, &none),
            Some(TicketCredential::ApiKey(key.digest))
        );
        let token = token_principal(json!({
            "iss": "i", "aud": "a", "exp": 9, "nbf": 1, "sub": "s", "jti": "1", "scope": "read",
            "tenant": "t", "name": "Somebody", "groups": ["x"],
        }));
        let needed = ["scope", "tenant", "missing"].map(str::to_owned).into();
        let Some(TicketCredential::Token { claims, .. }) = TicketCredential::of(&token, &needed) else {
            panic!("it is a token");
        };
        let names: Vec<_> = claims.keys().map(String::as_str).collect();
        assert_eq!(names, ["aud", "exp", "iss", "jti", "scope", "sub", "tenant"]);
        let unsigned = Principal {
            signature: None,
            ..token
        };
        assert_eq!(TicketCredential::of(&unsigned, &needed), None);
    }

    #[test]
    fn of_a_certificate_its_name_and_its_end_are_held() {
        let certificate = Principal {
            kind: CredentialKind::Certificate,
            expires: Some(5_000),
            ..principal("partner", None)
        };
        let held = TicketCredential::Certificate {
            digest: certificate.digest,
            expires: 5_000,
        };
        assert_eq!(TicketCredential::of(&certificate, &BTreeSet::new()), Some(held));
    }

    #[test]
    fn what_is_written_is_read() {
        let token = token_principal(json!({"iss": "i", "groups": ["x", 7, null, {"a": 1.5}]}));
        let needed = ["groups".to_owned()].into();
        let whole = Ticket {
            credential: TicketCredential::of(&token, &needed).unwrap(),
            ..ticket("a")
        };
        let of_certificate = Ticket {
            credential: TicketCredential::Certificate {
                digest: [9; 32],
                expires: 5_000,
            },
            ..ticket("a")
        };
        for ticket in [whole, of_certificate, ticket("b")] {
            let text = serde_json::to_string(&ticket).unwrap();
            assert_eq!(serde_json::from_str::<Ticket>(&text).unwrap(), ticket, "{text}");
        }
    }
}
