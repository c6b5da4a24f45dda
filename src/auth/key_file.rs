//! The file with the digests of API keys.
//!
//! Not here: changing it (`key_editing`).

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    path::Path,
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::{
    api_key::{self, CredentialDigest},
    error::InvalidCredential,
    fault::AuthFault,
    files,
    principal::{CredentialKind, Principal},
};
use crate::{limits::settings::PrincipalLimits, position::Timestamp};

/// The API keys of a file.
#[derive(Clone, Debug, Default)]
pub struct KeyFile {
    keys: Vec<KeyEntry>,
    /// The indexes of the keys, by the first bytes of their digests. Only whole digests decide, and those are compared in constant
    /// time.
    by_start: HashMap<[u8; 8], Vec<usize>>,
    /// The indexes of the keys, by their names.
    by_name: HashMap<Arc<str>, usize>,
}

/// One API key: what is kept of it, and what it grants.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyEntry {
    /// The name in logs and metrics.
    pub name: Arc<str>,
    /// The digest of the key.
    digest: CredentialDigest,
    /// What it grants.
    pub scopes: Vec<String>,
    /// What it says of its holder.
    pub claims: Map<String, Value>,
    /// When it expires, in milliseconds since the Unix epoch.
    pub expires: Option<Timestamp>,
    /// What its holder may use. Where one is missing, `auth.limits` applies.
    pub limits: PrincipalLimits,
}

impl KeyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn read(path: &Path) -> Result<Self, Vec<AuthFault>> {
        let text = files::read(path).map_err(|fault| vec![fault])?;
        Self::parse(path, &text)
    }

    /// Parses the text of the file called `path`.
    pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Self, Vec<AuthFault>> {
        let fault = |problem: String| AuthFault::new(path, problem);
        let document = files::toml(path, text).map_err(|fault| vec![fault])?;
        let document: Document =
            serde_json::from_value(document).map_err(|error| vec![fault(files::without_values(&error))])?;
        let (mut keys, mut faults): (Vec<KeyEntry>, _) = (Vec::new(), Vec::new());
        let (mut names, mut digests) = (HashSet::new(), HashSet::new());
        for (number, entry) in (1..).zip(document.keys) {
            match KeyEntry::read(entry) {
                Err(problem) => faults.push(fault(format!("key {number}: {problem}"))),
                Ok(key) if !names.insert(Arc::clone(&key.name)) => {
                    faults.push(fault(format!(
                        "key {number}: there is another key with this name"
                    )));
                }
                Ok(key) if !digests.insert(key.digest) => {
                    faults.push(fault(format!(
                        "key {number}: there is another key with this sha256"
                    )));
                }
                Ok(key) => keys.push(key),
            }
        }
        match faults.is_empty() {
            true => Ok(Self::of(keys)),
            false => Err(faults),
        }
    }

    fn of(keys: Vec<KeyEntry>) -> Self {
        let (mut by_start, mut by_name): (HashMap<_, Vec<_>>, _) = (HashMap::new(), HashMap::new());
        for (index, key) in keys.iter().enumerate() {
            by_start.entry(start_of(&key.digest)).or_default().push(index);
            by_name.insert(Arc::clone(&key.name), index);
        }
        Self {
            keys,
            by_start,
            by_name,
        }
    }

    /// Returns the keys, in the order of the file.
    pub fn keys(&self) -> &[KeyEntry] {
        &self.keys
    }

    /// Returns when the key called `name` expires, if there is one that does.
    pub(super) fn expiry_of(&self, name: &str) -> Option<Timestamp> {
        self.called(name)?.expires
    }

    /// Returns whom this key stands for.
    ///
    /// # Errors
    /// When it is no key, unknown, or has expired.
    pub(super) fn check(&self, key: &str, now: Timestamp) -> Result<Principal, InvalidCredential> {
        if !api_key::is_well_formed(key) {
            return Err(InvalidCredential::Malformed);
        }
        let principal = self.holder_of(&api_key::digest(key));
        principal.ok_or(InvalidCredential::UnknownApiKey)?.accepted(now)
    }

    /// Returns whom the key with this digest stands for, expired or not.
    pub(super) fn holder_of(&self, digest: &CredentialDigest) -> Option<Principal> {
        self.with_digest(digest).map(KeyEntry::principal)
    }

    /// Returns the entry of the key that this principal has shown, if it is still there, whatever it is called by now.
    pub(super) fn entry_of(&self, principal: &Principal) -> Option<&KeyEntry> {
        self.with_digest(&principal.digest)
    }

    fn with_digest(&self, digest: &CredentialDigest) -> Option<&KeyEntry> {
        let alike = self.by_start.get(&start_of(digest)).into_iter().flatten();
        let mut alike = alike.map(|index| &self.keys[*index]);
        alike.find(|entry| entry.has(digest))
    }

    fn called(&self, name: &str) -> Option<&KeyEntry> {
        self.keys.get(*self.by_name.get(name)?)
    }
}

impl KeyEntry {
    fn read(entry: Entry) -> Result<Self, String> {
        if entry.name.is_empty() || entry.name.len() > MAX_NAME_LEN || entry.name.contains(char::is_control) {
            return Err(format!(
                "`name` needs 1 to {MAX_NAME_LEN} characters, none of them a control character"
            ));
        }
        let digest = api_key::parse_digest(&entry.sha256)
            .ok_or("`sha256` is not a digest of 64 hexadecimal digits in lower case")?;
        let expires = entry.expires.map(|text| parse_time(&text)).transpose()?;
        Ok(Self {
            name: entry.name.into(),
            digest,
            scopes: entry.scopes,
            claims: entry.claims,
            expires,
            limits: PrincipalLimits {
                streams: NonZeroU32::new(entry.limits.streams),
                requests_per_minute: NonZeroU32::new(entry.limits.requests_per_minute),
            },
        })
    }

    fn has(&self, digest: &CredentialDigest) -> bool {
        self.digest.ct_eq(digest).into()
    }

    /// Returns whom the key stands for.
    pub(super) fn principal(&self) -> Principal {
        Principal {
            kind: CredentialKind::ApiKey,
            name: Arc::clone(&self.name),
            subject: None,
            scopes: self.scopes.clone(),
            claims: self.claims.clone(),
            claims_text: None,
            expires: self.expires,
            accepted_until: self.expires,
            limits: self.limits,
            grant: None,
            signature: None,
            digest: self.digest,
        }
    }
}

/// Parses a time such as `2027-01-31T00:00:00Z`. Returns milliseconds since the Unix epoch.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time: Result<jiff::Timestamp, _> = text.parse();
    let time = time.map_err(|_| "`expires` is not a time such as 2027-01-31T00:00:00Z")?;
    Ok(time.as_millisecond())
}

fn start_of(digest: &CredentialDigest) -> [u8; 8] {
    let mut start = [0; 8];
    start.copy_from_slice(&digest[..8]);
    start
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    claims: Map<String, Value>,
    expires: Option<String>,
    #[serde(default)]
    limits: Limits,
}

/// As in the configuration, 0 means none of its own.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    streams: u32,
    requests_per_minute: u32,
}

/// The longest name of a key, in bytes. It is a label of metrics.
pub(super) const MAX_NAME_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ApiKey;

    fn parse(text: &str) -> Result<KeyFile, Vec<String>> {
        let parsed = KeyFile::parse(Path::new("keys.toml"), text.as_bytes());
        parsed.map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_key_stands_for_its_entry_until_it_expires() {
        let key = ApiKey::generate().unwrap();
        let file = parse(&format!(
            "[[keys]]\nname = 'partner'\nsha256 = '{}'\nscopes = ['read']\nclaims = {{ tenant = 7, roles = ['a'] }}\n\
             expires = '2027-01-31T00:00:00Z'\n",
            key.digest()
        ));
        let file = file.unwrap();
        let end = 1_801_353_600_000;
        let principal = file.check(key.secret(), end - 1).unwrap();
        assert_eq!(principal.to_string(), "key partner");
        assert_eq!(principal.claims["tenant"], 7);
        assert_eq!(principal.expires, Some(end));
        assert!(file.entry_of(&principal).is_some());
        assert_eq!(file.check(key.secret(), end), Err(InvalidCredential::Expired));
        let other = ApiKey::generate().unwrap();
        assert_eq!(
            file.check(other.secret(), 0),
            Err(InvalidCredential::UnknownApiKey)
        );
        assert_eq!(file.check("rvh_guess", 0), Err(InvalidCredential::Malformed));
        let renamed = parse(&format!(
            "[[keys]]\nname = 'renamed'\nsha256 = '{}'\n",
            key.digest()
        ));
        assert!(renamed.unwrap().entry_of(&principal).is_some());
        let replaced = parse(&format!(
            "[[keys]]\nname = 'partner'\nsha256 = '{}'\n",
            other.digest()
        ));
        assert!(replaced.unwrap().entry_of(&principal).is_none());
        assert!(
            KeyFile::default().entry_of(&principal).is_none(),
            "the key was removed"
        );
    }

    #[test]
    fn every_fault_is_told_and_no_secret_is() {
        let key = ApiKey::generate().unwrap();
        let secret = key.secret();
        let faults = parse(&format!(
            "[[keys]]\nname = 'a'\nsha256 = '{secret}'\n\
             [[keys]]\nname = 'b'\nsha256 = '{0}'\n\
             [[keys]]\nname = 'b'\nsha256 = '{0}'\n\
             [[keys]]\nname = ''\nsha256 = '{0}'\n\
             [[keys]]\nname = 'c'\nsha256 = '{0}'\nexpires = 'tomorrow'\n\
             [[keys]]\nname = 'd'\nsha256 = '{0}'\n",
            key.digest()
        ));
        let faults = faults.unwrap_err();
        assert_eq!(faults.len(), 5, "{faults:?}");
        for (text, expected) in [
            (
                format!("[[keys]]\nname = 'a'\nsha256 = ['{secret}']"),
                "invalid type",
            ),
            (
                format!("[[keys]]\nname = 'a'\nscopes = '{secret}'"),
                "invalid type",
            ),
            (
                "[[keys]]\nname = 'a'\nsha265 = 'x'".to_owned(),
                "unknown field `sha265`",
            ),
            (format!("[[keys]]\nname = {secret}"), "is not TOML, in line 2"),
        ] {
            let faults = parse(&text).unwrap_err();
            assert!(faults[0].contains(expected), "{faults:?}");
            assert!(!faults[0].contains(secret), "{faults:?}");
        }
        assert!(!faults.concat().contains(secret));
        assert_eq!(parse("").unwrap().keys().len(), 0);
    }
}
