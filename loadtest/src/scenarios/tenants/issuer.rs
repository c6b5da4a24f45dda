//! An issuer of tokens that a gateway trusts.

use std::{fs, io};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use tempfile::TempDir;

use crate::writer::now;

/// An issuer with one key, whose public part is in a file.
pub(super) struct Issuer {
    directory: TempDir,
    key: EncodingKey,
}

impl Issuer {
    /// Creates an issuer.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub(super) fn create() -> io::Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        // 4, and then both coordinates.
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys =
            json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": KEY_ID, "x": encoded(x), "y": encoded(y)}]});
        let directory = TempDir::new()?;
        fs::write(directory.path().join(KEYS), keys.to_string())?;
        Ok(Self {
            directory,
            key: EncodingKey::from_ec_der(&pair.serialize_der()),
        })
    }

    /// Returns the section of the configuration that trusts it.
    pub(super) fn section(&self) -> String {
        let keys = self.directory.path().join(KEYS);
        format!(
            "[[auth.issuers]]\nname = \"idp\"\nissuer = {ISSUER:?}\naudience = [{AUDIENCE:?}]\njwks = {keys:?}\n\
             algorithms = [\"ES256\"]\n"
        )
    }

    /// Returns a token with the scope `read` that is good for longer than any run. `tenant` is in its claim `tenant_id`.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub(super) fn token(&self, tenant: &str) -> io::Result<String> {
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": tenant,
            "exp": now() / 1000 + LIFETIME,
            "scope": "read",
            "tenant_id": tenant,
        });
        let header = Header {
            kid: Some(KEY_ID.into()),
            ..Header::new(Algorithm::ES256)
        };
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(io::Error::other)
    }
}

const KEYS: &str = "jwks.json";
const KEY_ID: &str = "one";
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://stream.example";

/// A day, in seconds.
const LIFETIME: i64 = 24 * 60 * 60;
