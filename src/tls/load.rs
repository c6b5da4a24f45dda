//! Everything that the settings of a listener name, read from its files.

use std::{path::Path, sync::Arc, time::SystemTime};

use tokio_rustls::rustls::{RootCertStore, crypto::CryptoProvider};

use super::{
    certificate::{self, Certificate},
    fault::TlsFault,
    files::{FileDigest, FileReader},
    settings::TlsSettings,
    tickets::{TicketKeys, read_keys},
};

/// The contents of a listener's files.
#[derive(Debug)]
pub(super) struct LoadedFiles {
    pub(super) certificates: Vec<Arc<Certificate>>,
    /// The authorities of clients, with the digest of their file.
    pub(super) client_ca: Option<(Arc<RootCertStore>, FileDigest)>,
    /// The keys of session tickets, if they are those of a file.
    pub(super) ticket_keys: Option<Arc<TicketKeys>>,
    /// What works, and should not be so, whatever the time: see [`warnings`](Self::warnings).
    lasting_warnings: Vec<TlsFault>,
    /// The digest of all files together.
    pub(super) digest: FileDigest,
}

impl LoadedFiles {
    /// Reads all files. Blocks, and for long if they are on a file system of the network.
    ///
    /// # Errors
    /// Every fault of every file. An expired certificate is none: see [`expired`](Self::expired).
    pub(super) fn read(settings: &TlsSettings, provider: &CryptoProvider) -> Result<Self, Vec<TlsFault>> {
        let mut reader = FileReader::default();
        let (mut certificates, mut faults) = (Vec::new(), Vec::new());
        for files in &settings.certificates {
            match Certificate::read(files, &mut reader, provider) {
                Ok(certificate) => certificates.push(Arc::new(certificate)),
                Err(more) => faults.extend(more),
            }
        }
        let client_ca = client_ca(settings, &mut reader);
        let client_ca = client_ca.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let mut warnings = Vec::new();
        let path = settings.ticket_keys_file.as_deref();
        let ticket_keys = path.map(|path| ticket_keys(path, &mut reader, &mut warnings));
        let ticket_keys = ticket_keys.transpose().unwrap_or_else(|more| {
            faults.extend(more);
            None
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            certificates,
            client_ca,
            ticket_keys,
            lasting_warnings: warnings,
            digest: reader.digest(),
        })
    }

    /// Returns a fault for each certificate that has expired.
    pub(super) fn expired(&self, now: SystemTime) -> Vec<TlsFault> {
        let certificates = self.certificates.iter();
        certificates
            .filter_map(|certificate| certificate.expired(now))
            .collect()
    }

    /// Returns a fault for each certificate that has expired and whose predecessor in `before` has not. Where nothing is lost by
    /// it, one that has expired must not keep the others from being renewed.
    pub(super) fn newly_expired(&self, before: &Self, now: SystemTime) -> Vec<TlsFault> {
        let was_expired = |own: &Certificate| {
            let mut expired = before.certificates.iter().filter(|other| other.expires <= now);
            expired.any(|other| other.path == own.path || other.key.cert == own.key.cert)
        };
        let certificates = self.certificates.iter();
        certificates
            .filter(|certificate| !was_expired(certificate))
            .filter_map(|certificate| certificate.expired(now))
            .collect()
    }

    /// Returns what works at this time, and should not be so.
    pub(super) fn warnings(&self, now: SystemTime) -> Vec<TlsFault> {
        let stale = self.certificates.iter().filter_map(|own| own.stale_issuer(now));
        self.lasting_warnings.iter().cloned().chain(stale).collect()
    }
}

fn client_ca(
    settings: &TlsSettings,
    reader: &mut FileReader,
) -> Result<Option<(Arc<RootCertStore>, FileDigest)>, TlsFault> {
    let Some(path) = &settings.client_ca else {
        return Ok(None);
    };
    let text = reader.read(path)?;
    let mut roots = RootCertStore::empty();
    for authority in certificate::authorities(path, &text)? {
        roots.add(authority).map_err(|error| {
            TlsFault::new(
                path,
                format!("contains a certificate that is no authority: {error}"),
            )
        })?;
    }
    Ok(Some((Arc::new(roots), FileDigest::of(&text))))
}

fn ticket_keys(
    path: &Path,
    reader: &mut FileReader,
    warnings: &mut Vec<TlsFault>,
) -> Result<Arc<TicketKeys>, Vec<TlsFault>> {
    let file = reader.read_secret(path).map_err(|fault| vec![fault])?;
    let keys = read_keys(path, &file.contents)?;
    if file.is_for_all {
        warnings.push(TlsFault::new(
            path,
            "every user of this machine can read or write it, and who has these keys can read and forge sessions (chmod o= FILE)",
        ));
    }
    Ok(Arc::new(keys))
}
