//! The check of a token (JWT) against the rules of its issuer.
//!
//! Not here: where the keys of an issuer come from (`issuer`).
//!
//! What a token says of its own check is ignored, except for the name of its key: `jku`, `x5u`, `x5c` and `jwk` lead to keys that
//! whoever made the token has chosen. The algorithm must be one of the configuration, and of the kind of the key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    api_key,
    error::InvalidCredential,
    key_set::KeySet,
    principal::{CredentialKind, Principal},
    settings::IssuerSettings,
};
use crate::{limits::settings::PrincipalLimits, position::Timestamp};

/// A token that is not checked yet.
#[derive(Clone, Copy)]
pub(super) struct UncheckedToken<'a>(&'a str);

/// What has to be known of a token before it is checked.
pub(super) struct TokenHeader {
    algorithm: Algorithm,
    key_id: Option<String>,
    r#type: Option<String>,
}

impl<'a> UncheckedToken<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Returns the issuer that the token names, which decides by whose rules it is checked.
    pub(super) fn issuer(self) -> Result<String, InvalidCredential> {
        let mut parts = self.0.split('.');
        let payload = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(_), Some(payload), Some(_), None) => payload,
            _ => return Err(InvalidCredential::Malformed),
        };
        let payload = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| InvalidCredential::Malformed)?;
        let claims: NamedIssuer =
            serde_json::from_slice(&payload).map_err(|_| InvalidCredential::Malformed)?;
        claims.iss.ok_or(InvalidCredential::Claims)
    }

    /// Reads the header, and checks the parts of it that need no key.
    pub(super) fn header(self, issuer: &IssuerSettings) -> Result<TokenHeader, InvalidCredential> {
        // An unknown algorithm, `none` among them, is an error here.
        let header = jsonwebtoken::decode_header(self.0).map_err(|error| match error.kind() {
            ErrorKind::Json(_) => InvalidCredential::Algorithm,
            _ => InvalidCredential::Malformed,
        })?;
        let header = TokenHeader {
            algorithm: header.alg,
            key_id: header.kid,
            r#type: header.typ,
        };
        if !issuer.algorithms.contains(&header.algorithm) {
            return Err(InvalidCredential::Algorithm);
        }
        if !issuer.typ.is_empty() && !header.has_type(&issuer.typ) {
            return Err(InvalidCredential::Type);
        }
        Ok(header)
    }

    /// Checks the signature with the keys of the issuer, and then the claims. `now` is in milliseconds since the Unix epoch.
    pub(super) fn check(
        self,
        header: &TokenHeader,
        issuer: &IssuerSettings,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<Principal, InvalidCredential> {
        let key = keys.find(header.key_id.as_deref(), header.algorithm)?;
        let validation = validation(header.algorithm, issuer);
        let token = jsonwebtoken::decode::<Map<String, Value>>(self.0, key, &validation);
        let claims = token.map_err(|error| invalid(error.kind()))?.claims;
        self.principal(claims, issuer, now)
    }

    fn principal(
        self,
        claims: Map<String, Value>,
        issuer: &IssuerSettings,
        now: Timestamp,
    ) -> Result<Principal, InvalidCredential> {
        let leeway = Timestamp::try_from(issuer.leeway.as_millis()).unwrap_or(Timestamp::MAX);
        // The library also takes a list of issuers.
        if claims.get("iss").and_then(Value::as_str) != Some(&issuer.issuer) {
            return Err(InvalidCredential::Issuer);
        }
        let expires = time(&claims, "exp")?.ok_or(InvalidCredential::Claims)?;
        let not_before = time(&claims, "nbf")?;
        if not_before.is_some_and(|not_before| now < not_before.saturating_sub(leeway)) {
            return Err(InvalidCredential::NotYetValid);
        }
        let subject = match claims.get("sub") {
            None | Some(Value::Null) => None,
            Some(Value::String(subject)) => Some(subject.clone()),
            Some(_) => return Err(InvalidCredential::Claims),
        };
        let principal = Principal {
            kind: CredentialKind::Token,
            name: issuer.name.as_str().into(),
            subject,
            scopes: scopes(claims.get(&issuer.scopes))?,
            claims,
            expires: Some(expires),
            accepted_until: Some(expires.saturating_add(leeway)),
            limits: PrincipalLimits::default(),
            digest: api_key::digest(self.0),
        };
        match principal.is_accepted(now) {
            true => Ok(principal),
            false => Err(InvalidCredential::Expired),
        }
    }
}

impl TokenHeader {
    /// Whether `typ` is this media type, of which `application/` may be left out (RFC 7515, section 4.1.9).
    fn has_type(&self, wanted: &str) -> bool {
        let own = self.r#type.as_deref().unwrap_or_default();
        let short = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.strip_prefix("application/")
                .map_or(name.clone(), str::to_owned)
        };
        short(own) == short(wanted)
    }
}

/// Returns the rules of the library, which are at most as strict as ours: it counts times in whole seconds.
fn validation(algorithm: Algorithm, issuer: &IssuerSettings) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = issuer.leeway.as_secs();
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[&issuer.issuer]);
    validation.set_audience(&issuer.audience);
    validation
}

fn invalid(kind: &ErrorKind) -> InvalidCredential {
    match kind {
        ErrorKind::ExpiredSignature => InvalidCredential::Expired,
        ErrorKind::ImmatureSignature => InvalidCredential::NotYetValid,
        ErrorKind::InvalidIssuer => InvalidCredential::Issuer,
        ErrorKind::InvalidAudience => InvalidCredential::Audience,
        ErrorKind::InvalidAlgorithm => InvalidCredential::Algorithm,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => InvalidCredential::Claims,
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            InvalidCredential::Malformed
        }
        // Whatever else is wrong, nobody has shown that the issuer has signed it.
        _ => InvalidCredential::Signature,
    }
}

/// Returns a time in milliseconds. Claims have seconds, possibly with a fraction (RFC 7519, section 2).
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, InvalidCredential> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value
        .as_f64()
        .filter(|seconds| (0.0..MAX_SECONDS).contains(seconds));
    let seconds = seconds.ok_or(InvalidCredential::Claims)?;
    Ok(Some((seconds * 1000.0) as Timestamp))
}

/// Reads the scopes: a text of words with spaces between (RFC 8693), or an array of texts.
fn scopes(claim: Option<&Value>) -> Result<Vec<String>, InvalidCredential> {
    match claim {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(words)) => Ok(words.split_ascii_whitespace().map(str::to_owned).collect()),
        Some(Value::Array(scopes)) => {
            let texts = scopes.iter().map(|scope| scope.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or(InvalidCredential::Claims)
        }
        Some(_) => Err(InvalidCredential::Claims),
    }
}

#[derive(Deserialize)]
struct NamedIssuer {
    iss: Option<String>,
}

/// The year 9999, in seconds since the Unix epoch. Later times are taken for milliseconds by mistake.
const MAX_SECONDS: f64 = 253_402_300_800.0;

#[cfg(test)]
mod tests;
