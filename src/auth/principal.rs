//! A principal: who sent a request, as far as a credential says it.

use std::{fmt, sync::Arc};

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{digest_text, error::InvalidCredential, tickets::TicketGrant};
use crate::{limits::settings::PrincipalLimits, position::Timestamp};

/// Whoever a credential stands for, and what it grants.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// The kind of the credential.
    pub kind: CredentialKind,
    /// The name of the issuer, of the API key or of the certificate's entry, from the configuration.
    pub name: Arc<str>,
    /// Whom the token is for (`sub`). `None` for API keys and certificates, and for tokens that name nobody.
    pub subject: Option<String>,
    /// What it grants.
    pub scopes: Vec<String>,
    /// What it says of the principal. A stream may keep only a part of it.
    pub claims: Map<String, Value>,
    /// The text of all claims, where only a part of them is in `claims`.
    pub(super) claims_text: Option<Box<str>>,
    /// When it expires, in milliseconds since the Unix epoch, without leeway. `None` for a key that does not.
    pub expires: Option<Timestamp>,
    /// Until when a request with it is accepted: with leeway.
    pub accepted_until: Option<Timestamp>,
    /// What it may use.
    pub limits: PrincipalLimits,
    /// What its ticket is good for, which is all that it may read. `None` if it has shown the credential itself.
    pub grant: Option<TicketGrant>,
    /// What a token was signed with. `None` for other credentials.
    pub(super) signature: Option<TokenSignature>,
    /// The digest of the credential itself; of a certificate that of the name by which its entry was found.
    pub(super) digest: [u8; 32],
}

/// What is kept of the header of a token, to tell after a reload whether the token would still be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokenSignature {
    #[serde(rename = "a")]
    pub(super) algorithm: Algorithm,
    /// The header `typ`.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none", default)]
    pub(super) r#type: Option<Box<str>>,
    /// The digest of the id and the numbers of the key that has checked it.
    #[serde(rename = "k", with = "digest_text")]
    pub(super) key: [u8; 32],
}

named! {
    /// The kind of a credential.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum CredentialKind {
        /// An API key.
        ApiKey = "key",
        /// A JSON Web Token.
        Token = "token",
        /// The certificate of a client.
        Certificate = "certificate",
    }
}

impl Principal {
    /// Whether it has any of these scopes.
    pub fn has_one_of(&self, scopes: &[Arc<str>]) -> bool {
        have_one_of(&self.scopes, scopes)
    }

    /// Returns what tells this principal from all others. Credentials that follow each other have the same, except for tokens
    /// without a subject.
    pub fn id(&self) -> [u8; 16] {
        let mut digest = Sha256::new();
        // With their lengths, so that no other division into parts has the same digest.
        for part in [self.kind.name(), &self.name] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        match (&self.subject, self.kind) {
            (Some(subject), _) => digest.update(subject),
            (None, CredentialKind::Token) => digest.update(self.digest),
            (None, CredentialKind::ApiKey | CredentialKind::Certificate) => {}
        }
        let digest: [u8; 32] = digest.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        id
    }

    /// Returns the id of the token (`jti`), if it has one.
    pub(super) fn token_id(&self) -> Option<&str> {
        self.claims.get("jti")?.as_str()
    }

    /// Returns it if a request with it is accepted at this time.
    ///
    /// # Errors
    /// When it has expired.
    pub(super) fn accepted(self, now: Timestamp) -> Result<Self, InvalidCredential> {
        match self.is_accepted(now) {
            true => Ok(self),
            false => Err(InvalidCredential::Expired),
        }
    }

    /// Whether a request with it is accepted at this time, in milliseconds since the Unix epoch.
    pub(super) fn is_accepted(&self, now: Timestamp) -> bool {
        self.accepted_until.is_none_or(|until| now < until)
    }
}

impl fmt::Display for Principal {
    /// Writes the principal for logs: `key NAME`, `certificate NAME`, or `token ISSUER: SUBJECT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.name)?;
        match &self.subject {
            Some(subject) => {
                let shown: String = subject.chars().take(MAX_SHOWN_CHARS).collect();
                write!(f, ": {}", shown.escape_debug())
            }
            None => Ok(()),
        }
    }
}

/// Whether any of these scopes is a wanted one.
pub(super) fn have_one_of(scopes: &[String], wanted: &[Arc<str>]) -> bool {
    let has = |wanted: &Arc<str>| scopes.iter().any(|own| **own == **wanted);
    wanted.iter().any(has)
}

/// How much of a subject is shown, in characters.
const MAX_SHOWN_CHARS: usize = 100;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn principal(name: &str, subject: Option<&str>) -> Principal {
        Principal {
            kind: if subject.is_some() {
                CredentialKind::Token
            } else {
                CredentialKind::ApiKey
            },
            name: name.into(),
            subject: subject.map(str::to_owned),
            scopes: vec!["read".into(), "more".into()],
            claims: Map::new(),
            claims_text: None,
            expires: None,
            accepted_until: None,
            limits: PrincipalLimits::default(),
            grant: None,
            signature: None,
            digest: [0; 32],
        }
    }

    /// Returns a principal whose token has these claims.
    pub(in crate::auth) fn token_principal(claims: Value) -> Principal {
        let Value::Object(claims) = claims else {
            panic!("claims are an object");
        };
        Principal {
            claims,
            signature: Some(TokenSignature {
                algorithm: Algorithm::EdDSA,
                r#type: Some("JWT".into()),
                key: [3; 32],
            }),
            ..principal("idp", Some("somebody"))
        }
    }

    /// Returns a principal whose token expires at this time, with this leeway.
    pub(crate) fn principal_until(expires: Timestamp, leeway: Timestamp) -> Principal {
        Principal {
            expires: Some(expires),
            accepted_until: Some(expires + leeway),
            ..principal("idp", Some("somebody"))
        }
    }

    #[test]
    fn a_subject_of_one_issuer_is_nobody_of_another() {
        let ids = [("a", Some("bc")), ("ab", Some("c")), ("a", None), ("abc", None)];
        for (index, (name, subject)) in ids.iter().enumerate() {
            for (other, more) in &ids[..index] {
                assert_ne!(principal(name, *subject).id(), principal(other, *more).id());
            }
        }
        let again = Principal {
            digest: [1; 32],
            ..principal("a", Some("bc"))
        };
        assert_eq!(
            again.id(),
            principal("a", Some("bc")).id(),
            "a token that follows another"
        );
    }

    #[test]
    fn a_subject_is_shown_in_one_short_line() {
        assert_eq!(principal("partner", None).to_string(), "key partner");
        assert_eq!(principal("idp", Some("a\nb")).to_string(), "token idp: a\\nb");
        let long = "x".repeat(1000);
        assert_eq!(
            principal("idp", Some(&long)).to_string().len(),
            "token idp: ".len() + 100
        );
    }

    #[test]
    fn one_scope_of_several_is_enough() {
        let holder = principal("a", None);
        let scopes = |names: &[&str]| {
            names
                .iter()
                .map(|name| Arc::from(*name))
                .collect::<Vec<Arc<str>>>()
        };
        assert!(holder.has_one_of(&scopes(&["other", "read"])));
        assert!(!holder.has_one_of(&scopes(&["other", "rea", "reader", ""])));
    }
}
