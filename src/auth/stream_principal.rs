//! What a stream keeps of its principal for as long as it is open.
//!
//! The claims of a token may take fifty times as much memory as their text when they are parsed, and there may be as many tokens as
//! streams. So of large ones a stream keeps the text, and only what is looked at with every reload stays parsed.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Map, Value};

use super::{
    principal::{CredentialKind, Principal},
    sessions::Needs,
    settings::IssuerSettings,
    size::size,
};

/// Returns what a stream with these needs keeps of this principal, whose token is of this issuer if it has one.
pub(super) fn for_stream(
    principal: &Arc<Principal>,
    issuer: Option<&IssuerSettings>,
    needs: &Needs,
) -> Arc<Principal> {
    let issuer = issuer.filter(|_| principal.kind == CredentialKind::Token);
    let (Some(issuer), false) = (issuer, size(principal) <= MAX_SHARED_BYTES) else {
        return Arc::clone(principal);
    };
    let is_needed = |scope: &&String| needs.iter().flatten().any(|needed| **needed == ***scope);
    let scopes: Vec<_> = principal.scopes.iter().filter(is_needed).cloned().collect();
    let mut claims = Map::new();
    for name in ["iss", "jti"] {
        let own = principal.claims.get(name).cloned();
        claims.extend(own.map(|own| (name.to_owned(), own)));
    }
    claims.insert("aud".into(), audiences(principal, issuer));
    claims.insert(issuer.scopes.clone(), scopes.iter().cloned().collect());
    let whole = Principal::clone(principal);
    Arc::new(Principal {
        scopes,
        claims,
        claims_text: Some(Value::Object(whole.claims).to_string().into()),
        ..whole
    })
}

/// Returns the principal with all claims of its token, if it has not all of them.
pub(super) fn with_all_claims(principal: &Principal) -> Option<Principal> {
    let text = principal.claims_text.as_deref()?;
    Some(Principal {
        claims: serde_json::from_str(text).ok()?,
        claims_text: None,
        ..principal.clone()
    })
}

/// Returns the values of `aud` that its issuer may have.
fn audiences(principal: &Principal, issuer: &IssuerSettings) -> Value {
    let own = match principal.claims.get("aud") {
        Some(Value::Array(audiences)) => Cow::Borrowed(audiences.as_slice()),
        Some(audience) => Cow::Owned(vec![audience.clone()]),
        None => Cow::Borrowed(&[][..]),
    };
    let is_known = |audience: &&Value| {
        let text = audience.as_str();
        text.is_some_and(|text| issuer.audience.iter().any(|known| known == text))
    };
    own.iter().filter(is_known).cloned().collect()
}

/// A principal of up to this size is shared with the checks that are remembered, in bytes. That is five times what most tokens take.
const MAX_SHARED_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::{principal::tests::principal, tickets::TicketGrant};

    fn issuer() -> IssuerSettings {
        IssuerSettings {
            audience: vec!["here".into(), "there".into()],
            ..IssuerSettings::default()
        }
    }

    fn with_claims(claims: Value) -> Arc<Principal> {
        Arc::new(Principal {
            claims: claims.as_object().unwrap().clone(),
            ..principal("idp", Some("somebody"))
        })
    }

    #[test]
    fn a_stream_keeps_no_more_of_a_large_token_than_its_text() {
        let needs: Needs = vec![vec!["read".into(), "other".into()]];
        let small = with_claims(json!({"aud": "here", "roles": ["a"]}));
        assert!(Arc::ptr_eq(&for_stream(&small, Some(&issuer()), &needs), &small));

        let objects = vec![json!({"a": 1}); 700];
        let texts = vec!["a"; 800];
        let audiences = [vec!["there"], texts.clone()].concat();
        let nested: Map<_, _> = (0..400).map(|key| (key.to_string(), json!({"a": 1}))).collect();
        let grant = TicketGrant {
            streams: vec!["a".into()],
            filter: None,
        };
        for claims in [
            json!({"iss": "i", "jti": "j", "aud": "there", "roles": objects}),
            json!({"iss": "i", "jti": "j", "aud": ["there"], "roles": nested}),
            json!({"iss": "i", "jti": "j", "aud": audiences, "scope": texts}),
        ] {
            let large = Arc::new(Principal {
                scopes: [vec!["x".to_owned(); 1_500], vec!["read".into()]].concat(),
                grant: Some(grant.clone()),
                ..(*with_claims(claims)).clone()
            });
            let kept = for_stream(&large, Some(&issuer()), &needs);
            let text = kept.claims_text.as_deref().unwrap();
            assert!(size(&kept) <= MAX_SHARED_BYTES, "{}", size(&kept));
            assert!(text.len() <= 8 * 1024, "{}", text.len());
            assert!(size(&large) > 8 * (size(&kept) + text.len()));
            assert_eq!((kept.id(), kept.token_id()), (large.id(), Some("j")));
            assert_eq!(kept.grant, large.grant);
            assert_eq!(kept.claims["aud"], json!(["there"]));
            assert_eq!(kept.claims["scope"], json!(["read"]));
            assert_eq!(with_all_claims(&kept).unwrap().claims, large.claims);
        }
    }
}
