use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header, jwk::Jwk};
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::json;

use super::*;

/// An issuer with one Ed25519 key, which is called `k`.
struct Signer {
    key: EncodingKey,
    keys: KeySet,
    settings: IssuerSettings,
}

impl Signer {
    fn new() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let key = EncodingKey::from_ed_der(&pair.serialize_der());
        // The library makes a JWK of an older form of the key only.
        let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x});
        Self {
            key,
            keys: KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap(),
            settings: IssuerSettings {
                name: "idp".into(),
                issuer: "https://idp.example".into(),
                audience: vec!["https://stream.example".into()],
                leeway: Duration::from_secs(10),
                ..IssuerSettings::default()
            },
        }
    }

    fn sign(&self, header: Header, claims: &Value) -> String {
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    fn check_at(&self, token: &str, now: Timestamp) -> Result<Principal, InvalidCredential> {
        let token = UncheckedToken::new(token);
        if token.issuer()? != self.settings.issuer {
            return Err(InvalidCredential::Issuer);
        }
        token.check(&token.header(&self.settings)?, &self.settings, &self.keys, now)
    }

    fn check(&self, claims: &Value) -> Result<Principal, InvalidCredential> {
        self.check_at(&self.sign(header(), claims), now())
    }
}

fn header() -> Header {
    Header {
        kid: Some("k".into()),
        ..Header::new(Algorithm::EdDSA)
    }
}

fn now() -> Timestamp {
    jiff::Timestamp::now().as_millisecond()
}

/// Good claims, with these in place of theirs. Null removes one.
fn claims(change: Value) -> Value {
    let mut claims = json!({
        "iss": "https://idp.example",
        "aud": "https://stream.example",
        "sub": "somebody",
        "exp": now() / 1000 + 60,
        "scope": "read more",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

#[test]
fn a_good_token_stands_for_its_subject() {
    let signer = Signer::new();
    let principal = signer.check(&claims(json!({"tenant": [1, 2]}))).unwrap();
    assert_eq!(principal.to_string(), "token idp: somebody");
    assert_eq!(principal.scopes, ["read", "more"]);
    assert_eq!(principal.claims["tenant"], json!([1, 2]));
    for good in [
        json!({"aud": ["other", "https://stream.example"]}),
        json!({"scope": ["read"]}),
        json!({"sub": null, "scope": null, "jti": null}),
        json!({"jti": "a"}),
        json!({"exp": now() as f64 / 1000.0 + 0.5}),
        json!({"nbf": now() / 1000 + 9}),
        json!({"nbf": now() as f64 / 1000.0 + 9.9}),
    ] {
        assert!(signer.check(&claims(good.clone())).is_ok(), "{good}");
    }
}

#[test]
fn each_claim_is_needed_and_means_what_it_says() {
    let signer = Signer::new();
    for (change, why) in [
        (json!({"iss": null}), InvalidCredential::Claims),
        (json!({"iss": "https://idp.example/"}), InvalidCredential::Issuer),
        (json!({"aud": null}), InvalidCredential::Claims),
        (
            json!({"aud": "https://other.example"}),
            InvalidCredential::Audience,
        ),
        (json!({"aud": []}), InvalidCredential::Audience),
        (json!({"exp": null}), InvalidCredential::Claims),
        (json!({"exp": "never"}), InvalidCredential::Claims),
        (json!({"exp": 1e300}), InvalidCredential::Claims),
        (json!({"exp": now()}), InvalidCredential::Claims),
        (json!({"exp": now() / 1000 - 11}), InvalidCredential::Expired),
        (json!({"nbf": now() / 1000 + 20}), InvalidCredential::NotYetValid),
        (json!({"nbf": "soon"}), InvalidCredential::Claims),
        (json!({"sub": 7}), InvalidCredential::Claims),
        // What cannot be named cannot be revoked.
        (json!({"jti": 7}), InvalidCredential::Claims),
        (json!({"jti": ["a"]}), InvalidCredential::Claims),
        (json!({"scope": 7}), InvalidCredential::Claims),
        (json!({"scope": [7]}), InvalidCredential::Claims),
    ] {
        assert_eq!(signer.check(&claims(change.clone())), Err(why), "{change}");
    }
    let several = claims(json!({"iss": ["https://idp.example"]}));
    assert_eq!(signer.check(&several), Err(InvalidCredential::Malformed));
}

#[test]
fn a_token_is_accepted_until_its_end_and_the_leeway_and_not_a_millisecond_longer() {
    let signer = Signer::new();
    let exp = now() / 1000 + 60;
    let token = signer.sign(header(), &claims(json!({ "exp": exp })));
    let end = (exp + 10) * 1000;
    let principal = signer.check_at(&token, end - 1).unwrap();
    assert_eq!(
        (principal.expires, principal.accepted_until),
        (Some(exp * 1000), Some(end))
    );
    assert_eq!(signer.check_at(&token, end), Err(InvalidCredential::Expired));
}

#[test]
fn a_token_chooses_neither_its_algorithm_nor_its_key() {
    let signer = Signer::new();
    let good = claims(json!({}));
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.", part(&json!({"alg": "none", "kid": "k"})), part(&good));
    assert_eq!(signer.check_at(&none, now()), Err(InvalidCredential::Algorithm));

    let public = EncodingKey::from_secret(b"the public key of the issuer").unwrap();
    let symmetric = Header {
        kid: Some("k".into()),
        ..Header::new(Algorithm::HS256)
    };
    let symmetric = jsonwebtoken::encode(&symmetric, &good, &public).unwrap();
    assert_eq!(
        signer.check_at(&symmetric, now()),
        Err(InvalidCredential::Algorithm)
    );

    let other = Signer::new();
    let foreign = Jwk::from_decoding_key(&other.keys.find(Some("k"), Algorithm::EdDSA).unwrap().key, None);
    let brought = Header {
        jwk: foreign.ok(),
        jku: Some("https://evil.example/jwks".into()),
        x5u: Some("https://evil.example/x5u".into()),
        ..header()
    };
    let brought = other.sign(brought, &good);
    assert_eq!(
        signer.check_at(&brought, now()),
        Err(InvalidCredential::Signature)
    );

    let unknown = Header {
        kid: Some("other".into()),
        ..header()
    };
    assert_eq!(
        signer.check_at(&signer.sign(unknown, &good), now()),
        Err(InvalidCredential::UnknownKey)
    );
    let critical = Header {
        crit: Some(vec!["exp".into()]),
        ..header()
    };
    assert_eq!(
        signer.check_at(&signer.sign(critical, &good), now()),
        Err(InvalidCredential::Malformed)
    );
    let nameless = Header {
        kid: None,
        ..header()
    };
    assert!(
        signer.check_at(&signer.sign(nameless, &good), now()).is_ok(),
        "there is one key only"
    );
}

#[test]
fn a_type_is_checked_where_one_is_wanted() {
    let mut signer = Signer::new();
    signer.settings.typ = "at+jwt".into();
    let of = |typ: Option<&str>| {
        let header = Header {
            typ: typ.map(str::to_owned),
            ..header()
        };
        signer
            .check_at(&signer.sign(header, &claims(json!({}))), now())
            .err()
    };
    assert_eq!([of(Some("at+jwt")), of(Some("application/AT+JWT"))], [None, None]);
    assert_eq!([of(Some("JWT")), of(None)], [Some(InvalidCredential::Type); 2]);
}

proptest! {
    #[test]
    fn no_change_of_a_token_goes_unnoticed(at in any::<prop::sample::Index>(), by in 1..128_u8) {
        let signer = Signer::new();
        let mut bytes = signer.sign(header(), &claims(json!({}))).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = (bytes[at] ^ by) & 0x7f;
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of a part has bits that mean nothing, which the decoder refuses to ignore.
        prop_assert!(signer.check_at(&changed, now()).is_err(), "{}", changed);
    }

    #[test]
    fn rubbish_is_refused(text in "[a-zA-Z0-9_.=-]{0,200}|.{0,50}") {
        prop_assert!(Signer::new().check_at(&text, now()).is_err());
    }
}
