//! Credentials for one run of the demo: an issuer of tokens with one token, and an API key.
//!
//! Not here: how they are checked, which is the same as without the demo (`auth`).

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;

use super::directory::{DemoDirectory, DemoFilesError};
use crate::auth::{
    self, ApiKey, AuthFaults, NewKey,
    settings::{AuthSettings, IssuerSettings, KeySource},
};

/// A token and an API key that may read the [private stream](super::PRIVATE_STREAM), and the files that they are checked with. `Debug`
/// does not show them. The key that signed the token is written nowhere, so that there is no other one.
pub struct DemoCredentials {
    directory: DemoDirectory,
    token: String,
    api_key: ApiKey,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum DemoCredentialsError {
    /// There is no pair of keys for the issuer.
    #[error("cannot make keys for an issuer: {0}")]
    Make(#[from] rcgen::Error),
    /// The token could not be signed.
    #[error("cannot sign a token: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
    /// The API key could not be made.
    #[error("cannot make an API key: {0}")]
    Key(AuthFaults),
    /// The files could not be written.
    #[error(transparent)]
    Write(#[from] DemoFilesError),
}

impl DemoCredentials {
    /// Makes the credentials, and writes what they are checked with to a new directory for temporary files.
    ///
    /// # Errors
    /// [`DemoCredentialsError`] if there are no random numbers, or the files cannot be written.
    pub fn create() -> Result<Self, DemoCredentialsError> {
        let directory = DemoDirectory::create()?;
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        directory.write(JWKS, &key_set(&pair))?;
        let new = NewKey {
            name: "demo".into(),
            scopes: vec![SCOPE.into()],
            ..NewKey::default()
        };
        let api_key = auth::append(&directory.file(KEYS), &new);
        Ok(Self {
            token: token(&pair)?,
            api_key: api_key.map_err(|faults| DemoCredentialsError::Key(faults.into()))?,
            directory,
        })
    }

    /// Changes these settings so that the credentials are checked.
    pub fn apply(&self, settings: &mut AuthSettings) {
        settings.keys_file = Some(self.directory.file(KEYS));
        settings.issuers = vec![IssuerSettings {
            name: "demo".into(),
            issuer: ISSUER.into(),
            audience: vec![AUDIENCE.into()],
            jwks: KeySource::File(self.key_set()),
            ..IssuerSettings::default()
        }];
    }

    /// Returns the token, which is good for an hour.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the API key.
    pub fn api_key(&self) -> &str {
        self.api_key.secret()
    }

    /// Returns the file with the public keys of the issuer.
    pub fn key_set(&self) -> PathBuf {
        self.directory.file(JWKS)
    }
}

debug_by_name!(DemoCredentials);

/// Returns the key set of the issuer (RFC 7517).
fn key_set(pair: &KeyPair) -> String {
    // A point that is not compressed: 4, and then both coordinates.
    let point = pair.public_key_raw().get(1..).unwrap_or_default();
    let [x, y] = [point.get(..COORDINATE), point.get(COORDINATE..)]
        .map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate.unwrap_or_default()));
    let key =
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID, "x": x, "y": y });
    json!({ "keys": [key] }).to_string()
}

fn token(pair: &KeyPair) -> Result<String, jsonwebtoken::errors::Error> {
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "somebody",
        "scope": SCOPE,
        "iat": now,
        "exp": now + LIFETIME_SECS,
    });
    let header = Header {
        kid: Some(KEY_ID.into()),
        ..Header::new(Algorithm::ES256)
    };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(&pair.serialize_der()))
}

/// The scope that both credentials grant.
pub(super) const SCOPE: &str = "private";

/// A name that nobody has: the issuer is asked for nothing.
const ISSUER: &str = "https://issuer.riverhead-demo.invalid";
const AUDIENCE: &str = "riverhead-demo";
const KEY_ID: &str = "demo";

const JWKS: &str = "jwks.json";
const KEYS: &str = "keys.toml";

/// The length of a coordinate of P-256, in bytes.
const COORDINATE: usize = 32;

/// Long enough to look around, and short enough to see `event: expiring`.
const LIFETIME_SECS: i64 = 3600;

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;
    use crate::{auth::Authenticator, metrics::AuthMetrics};

    #[tokio::test]
    async fn both_credentials_are_good_for_the_scope_and_end_with_the_run() {
        let credentials = DemoCredentials::create().unwrap();
        let mut settings = AuthSettings::default();
        credentials.apply(&mut settings);
        let authenticator = Authenticator::with_connector(&settings, &AuthMetrics::default(), None).unwrap();
        for credential in [credentials.token(), credentials.api_key()] {
            let principal = authenticator.check(credential).await.unwrap();
            assert!(principal.has_one_of(&[Arc::from(SCOPE)]));
            let shown = format!("{credentials:?}");
            assert!(!shown.contains(credential), "{shown}");
        }
        let directory = credentials.directory.path().to_owned();
        for file in fs::read_dir(&directory).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            assert!(!text.contains(credentials.token()) && !text.contains(credentials.api_key()));
        }
        drop(credentials);
        assert!(!directory.exists());
    }
}
