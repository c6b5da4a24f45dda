//! The check of a token (JWT) against the rules of its issuer.
//!
//! Not here: where the keys of an issuer come from (`issuer`).
//!
//! What a token says of its own check is ignored, except for the name of its key: `jku`, `x5u`, `x5c` and `jwk` lead to keys that
//! whoever made the token has chosen. The algorithm must be one of the configuration, and of the kind of the key.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    api_key::{self, CredentialDigest},
    error::InvalidCredential,
    key_set::KeySet,
    principal::{CredentialKind, Principal, TokenSignature},
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
        check_header(issuer, header.algorithm, header.r#type.as_deref())?;
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
        let token = jsonwebtoken::decode::<Map<String, Value>>(self.0, &key.key, &validation);
        let claims = token.map_err(|error| invalid(error.kind()))?.claims;
        let signature = TokenSignature {
            algorithm: header.algorithm,
            r#type: header.r#type.as_deref().map(Into::into),
            key: key.digest,
        };
        principal(claims, signature, api_key::digest(self.0), issuer, now)
    }
}

/// Returns the principal of a token that was checked before, by the rules and keys that its issuer has now. Where no keys are known,
/// the check with the key of that time counts.
///
/// # Errors
/// When the token has expired, or would not be accepted any more.
pub(super) fn restored(
    claims: Map<String, Value>,
    signature: TokenSignature,
    digest: CredentialDigest,
    issuer: &IssuerSettings,
    keys: Option<&KeySet>,
    now: Timestamp,
) -> Result<Principal, InvalidCredential> {
    let principal = principal(claims, signature, digest, issuer, now)?;
    match accepted_until(&principal, issuer, keys) {
        Some(_) => Ok(principal),
        None => Err(InvalidCredential::Revoked),
    }
}

/// Returns the principal of a token with a good signature, if its claims are good too.
fn principal(
    claims: Map<String, Value>,
    signature: TokenSignature,
    digest: CredentialDigest,
    issuer: &IssuerSettings,
    now: Timestamp,
) -> Result<Principal, InvalidCredential> {
    let leeway = leeway(issuer);
    // The library also takes a list of issuers.
    if claims.get("iss").and_then(Value::as_str) != Some(&issuer.issuer) {
        return Err(InvalidCredential::Issuer);
    }
    let expires = time(&claims, "exp")?.ok_or(InvalidCredential::Claims)?;
    let not_before = time(&claims, "nbf")?;
    if not_before.is_some_and(|not_before| now < not_before.saturating_sub(leeway)) {
        return Err(InvalidCredential::NotYetValid);
    }
    let subject = text(&claims, "sub")?.map(str::to_owned);
    // What cannot be named cannot be revoked.
    text(&claims, "jti")?;
    let principal = Principal {
        kind: CredentialKind::Token,
        name: issuer.name.as_str().into(),
        subject,
        scopes: scopes(claims.get(&issuer.scopes))?,
        claims,
        claims_text: None,
        expires: Some(expires),
        accepted_until: Some(expires.saturating_add(leeway)),
        limits: PrincipalLimits::default(),
        grant: None,
        signature: Some(signature),
        digest,
    };
    principal.accepted(now)
}

/// Returns until when the token of this principal is accepted by the rules that its issuer has now. Returns `None` if it would be
/// refused, apart from its times. Where no keys are known, its own counts.
pub(super) fn accepted_until(
    principal: &Principal,
    issuer: &IssuerSettings,
    keys: Option<&KeySet>,
) -> Option<Timestamp> {
    let signature = principal.signature.as_ref()?;
    check_header(issuer, signature.algorithm, signature.r#type.as_deref()).ok()?;
    let has_key = keys.is_none_or(|keys| keys.has(&signature.key));
    let is_for_us = |audience: &Value| {
        let own = audience.as_str();
        own.is_some_and(|own| issuer.audience.iter().any(|known| known == own))
    };
    let has_audience = match principal.claims.get("aud")? {
        Value::Array(audiences) => audiences.iter().any(is_for_us),
        audience => is_for_us(audience),
    };
    let accepted_until = principal.expires?.saturating_add(leeway(issuer));
    (has_key && has_audience).then_some(accepted_until)
}

/// Whether the token of this principal grants one of these scopes, by the claim that its issuer has for them now.
pub(super) fn grants_one_of(principal: &Principal, issuer: &IssuerSettings, wanted: &[Arc<str>]) -> bool {
    let is_wanted = |scope: &str| wanted.iter().any(|wanted| **wanted == *scope);
    match principal.claims.get(&issuer.scopes) {
        Some(Value::String(words)) => words.split_ascii_whitespace().any(is_wanted),
        Some(Value::Array(scopes)) => scopes.iter().filter_map(Value::as_str).any(is_wanted),
        _ => false,
    }
}

/// Checks the parts of a header that need no key.
fn check_header(
    issuer: &IssuerSettings,
    algorithm: Algorithm,
    r#type: Option<&str>,
) -> Result<(), InvalidCredential> {
    if !issuer.algorithms.contains(&algorithm) {
        return Err(InvalidCredential::Algorithm);
    }
    if !issuer.typ.is_empty() && !is_type(r#type.unwrap_or_default(), &issuer.typ) {
        return Err(InvalidCredential::Type);
    }
    Ok(())
}

/// Whether both are the same media type, of which `application/` may be left out (RFC 7515, section 4.1.9).
fn is_type(own: &str, wanted: &str) -> bool {
    let short = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.strip_prefix("application/")
            .map_or(name.clone(), str::to_owned)
    };
    short(own) == short(wanted)
}

fn leeway(issuer: &IssuerSettings) -> Timestamp {
    Timestamp::try_from(issuer.leeway.as_millis()).unwrap_or(Timestamp::MAX)
}

/// Returns the rules of the library, which are at most as strict as ours: it counts times in whole seconds.
fn validation(algorithm: Algorithm, issuer: &IssuerSettings) -> Validation {
    let mut validation = Validation::new(algorithm);
    // It rounds a fraction up, and we count milliseconds.
    validation.leeway = issuer.leeway.as_secs() + 1;
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

/// Returns a claim that is a text, if there is one.
fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, InvalidCredential> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(InvalidCredential::Claims),
    }
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
