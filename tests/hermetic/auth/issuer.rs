//! An issuer of tokens, with its keys.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use riverhead::auth::settings::{IssuerSettings, KeySource};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const AUDIENCE: &str = "https://stream.example";

/// A key that signs tokens, and its public part.
pub(crate) struct SigningKey {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    jwk: Value,
}

impl SigningKey {
    /// Creates a key for ES256, EdDSA or RS256.
    pub(crate) fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let of = |pair: &'static rcgen::SignatureAlgorithm| KeyPair::generate_for(pair).unwrap();
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (key, mut jwk) = match algorithm {
            Algorithm::ES256 => {
                let pair = of(&PKCS_ECDSA_P256_SHA256);
                // 4, and then both coordinates.
                let (x, y) = pair.public_key_raw()[1..].split_at(32);
                let jwk = json!({"kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y)});
                (EncodingKey::from_ec_der(&pair.serialize_der()), jwk)
            }
            Algorithm::EdDSA => {
                let pair = of(&PKCS_ED25519);
                let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key_raw())});
                (EncodingKey::from_ed_der(&pair.serialize_der()), jwk)
            }
            _ => {
                let pair = of(&PKCS_RSA_SHA256);
                // What is inside of PKCS #8 begins behind 26 bytes.
                let key = EncodingKey::from_rsa_der(&pair.serialize_der()[26..]);
                let jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
                (key, serde_json::to_value(jwk).unwrap())
            }
        };
        jwk["kid"] = id.into();
        Self {
            id,
            algorithm,
            key,
            jwk,
        }
    }

    pub(crate) fn header(&self) -> Header {
        Header {
            kid: Some(self.id.into()),
            ..Header::new(self.algorithm)
        }
    }

    /// Signs good claims, with these in place of theirs. Null removes one.
    pub(crate) fn token(&self, change: &Value) -> String {
        self.signed(&self.header(), change)
    }

    pub(crate) fn signed(&self, header: &Header, change: &Value) -> String {
        jsonwebtoken::encode(header, &claims(change), &self.key).unwrap()
    }

    /// The bytes of the public key, as somebody might use them for a secret.
    pub(crate) fn public_text(&self) -> String {
        self.jwk.to_string()
    }
}

/// Good claims, with these in place of theirs.
pub(crate) fn claims(change: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "somebody",
        "exp": now() + 3600,
        "scope": "read",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The text of a key set.
pub(crate) fn jwks(keys: &[&SigningKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| &key.jwk).collect();
    json!({ "keys": keys }).to_string()
}

/// Settings of the issuer whose keys are there.
pub(crate) fn issuer(keys: &str) -> IssuerSettings {
    IssuerSettings {
        name: "idp".into(),
        issuer: ISSUER.into(),
        audience: vec![AUDIENCE.into()],
        jwks: KeySource::parse(keys).unwrap(),
        ..IssuerSettings::default()
    }
}
