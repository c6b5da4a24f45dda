//! The secrets of a connection, and the keys that follow a KeyUpdate (RFC 8446, sections 7.1 to 7.3).
//!
//! rustls could derive these keys too, but keeps 0.8 KB for that, most of which is for QUIC. The two secrets from which it would derive
//! them have 0.1 KB. rustls tells them to a key log and to nobody else. So this is one: [`SecretLog`] keeps what one call into rustls tells it,
//! for the one who made the call, and writes nothing anywhere.

use std::cell::RefCell;

use aws_lc_rs::{
    aead::{AES_256_GCM, Algorithm, NONCE_LEN},
    hkdf::{self, HKDF_SHA256, HKDF_SHA384, KeyType, Prk},
};
use tokio_rustls::rustls::{ConnectionTrafficSecrets, Error, KeyLog};
use zeroize::Zeroizing;

use super::key::{ConnectionKeys, KeyMaterial};

/// The key log of the configurations that serve streams.
#[derive(Debug)]
pub(crate) struct SecretLog;

/// The secrets that a handshake has told, one for each direction.
pub(crate) struct HandshakeSecrets {
    client: Secret,
    server: Secret,
}

type Secret = Zeroizing<[u8; MAX_HASH_LEN]>;

fn no_secret() -> Secret {
    Zeroizing::new([0; MAX_HASH_LEN])
}

impl SecretLog {
    /// Returns what `call` returns, and the secrets if a handshake has told them in it.
    pub(crate) fn collect<T>(call: impl FnOnce() -> T) -> (T, Option<HandshakeSecrets>) {
        TOLD.set(Some(HandshakeSecrets::unknown()));
        let returned = call();
        let told = TOLD.take().filter(HandshakeSecrets::is_complete);
        (returned, told)
    }
}

impl KeyLog for SecretLog {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        TOLD.with_borrow_mut(|told| {
            let told = told.as_mut().and_then(|told| told.of(label));
            if let Some(own) = told.and_then(|told| told.get_mut(..secret.len())) {
                own.copy_from_slice(secret);
            }
        });
    }

    fn will_log(&self, label: &str) -> bool {
        HandshakeSecrets::unknown().of(label).is_some()
    }
}

impl HandshakeSecrets {
    fn unknown() -> Self {
        Self {
            client: no_secret(),
            server: no_secret(),
        }
    }

    fn of(&mut self, label: &str) -> Option<&mut Secret> {
        match label {
            "CLIENT_TRAFFIC_SECRET_0" => Some(&mut self.client),
            "SERVER_TRAFFIC_SECRET_0" => Some(&mut self.server),
            _ => None,
        }
    }

    fn is_complete(&self) -> bool {
        [&self.client, &self.server]
            .iter()
            .all(|secret| secret.iter().any(|byte| *byte != 0))
    }

    /// Returns the schedule of a server whose keys are these now. Returns `None` if the secrets do not lead to them.
    pub(crate) fn schedule(
        self,
        sending: &ConnectionTrafficSecrets,
        receiving: &ConnectionTrafficSecrets,
    ) -> Option<KeySchedule> {
        let cipher = Cipher(KeyMaterial::of(sending).ok()?.algorithm);
        Some(KeySchedule {
            sending: cipher.secret_of(sending, self.server)?,
            receiving: cipher.secret_of(receiving, self.client)?,
            cipher,
        })
    }
}

thread_local! {
    /// What the call that is being made has told so far.
    static TOLD: RefCell<Option<HandshakeSecrets>> = const { RefCell::new(None) };
}

/// Derives the keys of a connection from the secrets of its handshake.
pub(crate) struct KeySchedule {
    cipher: Cipher,
    sending: Secret,
    receiving: Secret,
}

impl ConnectionKeys for KeySchedule {
    fn next_sending(&mut self) -> Result<KeyMaterial, Error> {
        self.sending = self.cipher.next(&self.sending)?;
        self.cipher.keys(&self.sending)
    }

    fn receiving(&self) -> Result<KeyMaterial, Error> {
        self.cipher.keys(&self.receiving)
    }

    fn next_receiving(&mut self) -> Result<(), Error> {
        self.receiving = self.cipher.next(&self.receiving)?;
        Ok(())
    }
}

/// The cipher of a connection, which is that of both directions. It derives a key from the secret of one.
struct Cipher(&'static Algorithm);

impl Cipher {
    /// Returns the secret of this key: the given one, or one that follows it, because there may have been KeyUpdates.
    fn secret_of(&self, keys: &ConnectionTrafficSecrets, mut secret: Secret) -> Option<Secret> {
        let wanted = KeyMaterial::of(keys).ok()?;
        for _ in 0..=MAX_EARLIER_UPDATES {
            if self.keys(&secret).ok()? == wanted {
                return Some(secret);
            }
            secret = self.next(&secret).ok()?;
        }
        None
    }

    /// Returns the secret that follows one.
    fn next(&self, secret: &Secret) -> Result<Secret, Error> {
        let mut next = no_secret();
        self.expand(secret, "traffic upd", &mut next[..self.hash_len()])?;
        Ok(next)
    }

    fn keys(&self, secret: &Secret) -> Result<KeyMaterial, Error> {
        let (mut key, mut iv) = (Zeroizing::new([0; 32]), Zeroizing::new([0; NONCE_LEN]));
        self.expand(secret, "key", &mut key[..self.0.key_len()])?;
        self.expand(secret, "iv", &mut *iv)?;
        Ok(KeyMaterial {
            algorithm: self.0,
            key,
            iv,
        })
    }

    /// Expands the secret for a purpose (HKDF-Expand-Label without a context).
    fn expand(&self, secret: &Secret, label: &str, output: &mut [u8]) -> Result<(), Error> {
        let failed = |_| Error::General("a key cannot be derived".into());
        let hash = self.hash();
        let length = [(output.len() >> 8) as u8, output.len() as u8];
        let label_len = [(LABEL_PREFIX.len() + label.len()) as u8];
        let info = [
            &length[..],
            &label_len,
            LABEL_PREFIX.as_bytes(),
            label.as_bytes(),
            &[0],
        ];
        let secret = Prk::new_less_safe(hash, &secret[..self.hash_len()]);
        let expanded = secret.expand(&info, OutputLen(output.len())).map_err(failed)?;
        expanded.fill(output).map_err(failed)
    }

    fn hash(&self) -> hkdf::Algorithm {
        // TLS_AES_256_GCM_SHA384 is the only cipher of TLS 1.3 with this hash.
        if self.0 == &AES_256_GCM {
            HKDF_SHA384
        } else {
            HKDF_SHA256
        }
    }

    fn hash_len(&self) -> usize {
        if self.0 == &AES_256_GCM { 48 } else { 32 }
    }
}

struct OutputLen(usize);

impl KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

/// The length of the longest secret: that of SHA-384.
const MAX_HASH_LEN: usize = 48;

const LABEL_PREFIX: &str = "tls13 ";

/// How many KeyUpdates of a client are followed that came before its stream: three times as many as rustls allows without data between.
const MAX_EARLIER_UPDATES: usize = 100;
