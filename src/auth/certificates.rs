//! Principals of client certificates: which entry of the configuration a certificate is for.
//!
//! Not here: whether a certificate is good, which the handshake has checked (`tls`).

use std::{collections::HashMap, sync::Arc};

use serde_json::Map;
use sha2::{Digest, Sha256};

use super::{
    principal::{CredentialKind, Principal},
    settings::CertificateSettings,
};
use crate::{
    limits::settings::PrincipalLimits,
    position::Timestamp,
    tls::{CertificateName, ClientCertificate},
};

/// The entries of the configuration.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    entries: Vec<CertificateEntry>,
    by_certificate: HashMap<CertificateName, usize>,
    by_digest: HashMap<[u8; 32], usize>,
}

/// Whom certificates with one name stand for.
#[derive(Debug)]
pub(super) struct CertificateEntry {
    name: Arc<str>,
    pub(super) scopes: Vec<String>,
    /// The digest of the name that certificates must have.
    digest: [u8; 32],
}

impl Certificates {
    pub(super) fn of(settings: &[CertificateSettings]) -> Self {
        let mut certificates = Self::default();
        for (index, own) in settings.iter().enumerate() {
            let entry = CertificateEntry {
                name: own.name.as_str().into(),
                scopes: own.scopes.clone(),
                digest: Sha256::digest(own.certificate.to_string()).into(),
            };
            certificates.by_certificate.insert(own.certificate.clone(), index);
            certificates.by_digest.insert(entry.digest, index);
            certificates.entries.push(entry);
        }
        certificates
    }

    /// Returns whom this certificate stands for: the first entry of its names counts. Returns `None` if it stands for nobody.
    pub(super) fn principal(&self, certificate: &ClientCertificate) -> Option<Principal> {
        let named = certificate.names.iter();
        let found = named.filter_map(|name| self.by_certificate.get(name)).min()?;
        let expires = Timestamp::try_from(certificate.expires.as_millis()).unwrap_or(Timestamp::MAX);
        Some(self.entries[*found].principal(expires))
    }

    /// Returns whom a certificate stands for that was found by the name with this digest and expires at this time, expired or not.
    pub(super) fn holder_of(&self, digest: &[u8; 32], expires: Timestamp) -> Option<Principal> {
        Some(self.with_digest(digest)?.principal(expires))
    }

    /// Returns the entry that this principal was found by, if it is still there, whatever it is called by now.
    pub(super) fn entry_of(&self, principal: &Principal) -> Option<&CertificateEntry> {
        self.with_digest(&principal.digest)
    }

    fn with_digest(&self, digest: &[u8; 32]) -> Option<&CertificateEntry> {
        self.entries.get(*self.by_digest.get(digest)?)
    }
}

impl CertificateEntry {
    fn principal(&self, expires: Timestamp) -> Principal {
        Principal {
            kind: CredentialKind::Certificate,
            name: Arc::clone(&self.name),
            subject: None,
            scopes: self.scopes.clone(),
            claims: Map::new(),
            claims_text: None,
            expires: Some(expires),
            // A handshake knows no leeway.
            accepted_until: Some(expires),
            limits: PrincipalLimits::default(),
            grant: None,
            signature: None,
            digest: self.digest,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::InvalidCredential;

    fn entry(name: &str, san: &str) -> CertificateSettings {
        CertificateSettings {
            name: name.into(),
            certificate: CertificateName::alternative(san).unwrap(),
            scopes: vec![name.into()],
        }
    }

    fn certificate(names: &[&str]) -> ClientCertificate {
        ClientCertificate {
            names: names
                .iter()
                .map(|name| CertificateName::alternative(name).unwrap())
                .collect(),
            expires: Duration::from_secs(5),
        }
    }

    #[test]
    fn of_several_entries_for_a_certificate_the_first_counts() {
        let certificates = Certificates::of(&[entry("one", "a.example"), entry("two", "b.example")]);
        let found = |names: &[&str]| {
            let principal = certificates.principal(&certificate(names))?;
            Some(principal.to_string())
        };
        assert_eq!(found(&["c.example"]), None);
        assert_eq!(found(&[]), None);
        assert_eq!(found(&["B.example"]).as_deref(), Some("certificate two"));
        assert_eq!(
            found(&["b.example", "a.example"]).as_deref(),
            Some("certificate one")
        );
    }

    #[test]
    fn a_principal_belongs_to_its_entry_until_that_is_for_another_certificate() {
        let before = Certificates::of(&[entry("one", "a.example")]);
        let principal = before.principal(&certificate(&["a.example"])).unwrap();
        assert!(before.entry_of(&principal).is_some());
        let more = Certificates::of(&[entry("two", "b.example"), entry("one", "a.example")]);
        assert!(more.entry_of(&principal).is_some());
        let renamed = Certificates::of(&[entry("one", "b.example"), entry("two", "a.example")]);
        let found = renamed.entry_of(&principal).unwrap();
        assert_eq!(*found.name, *"two");
        let holder = renamed.holder_of(&principal.digest, 5_000).unwrap();
        assert_eq!(holder.to_string(), "certificate two");
        assert_eq!(holder.accepted_until, principal.accepted_until);
        let other = Certificates::of(&[entry("one", "b.example")]);
        assert!(other.entry_of(&principal).is_none());
        assert!(other.holder_of(&principal.digest, 5_000).is_none());
        assert!(Certificates::default().entry_of(&principal).is_none());
    }

    #[test]
    fn a_connection_may_outlive_its_certificate_but_no_request_does() {
        let certificates = Certificates::of(&[entry("one", "a.example")]);
        let principal = certificates.principal(&certificate(&["a.example"])).unwrap();
        assert_eq!(principal.expires, Some(5_000));
        assert!(principal.clone().accepted(4_999).is_ok());
        assert_eq!(principal.accepted(5_000), Err(InvalidCredential::Expired));
    }
}
