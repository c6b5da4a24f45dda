//! The settings of TLS on one listener: the sections `http.tls` and `admin.tls` of the configuration.
//!
//! Not here: the address that `http.tls` listens on (`http::settings`), and parsing (`config`).

use std::path::{Path, PathBuf};

/// What a listener serves TLS with. All of it can change while it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificates, at least one. A client gets the first that has the name it asks for, or else the first of all.
    pub certificates: Vec<CertificateFiles>,
    /// The file with the authorities that client certificates must be signed by.
    pub client_ca: Option<PathBuf>,
    /// Whether clients are asked for a certificate. If so, there is a `client_ca`.
    pub client_certificates: ClientCertificates,
    /// The oldest version that is spoken.
    pub minimum_version: MinimumVersion,
    /// How many records a stream on the bare socket seals under one key, the KeyUpdate among them. From 2 to
    /// [`MAX_KEY_UPDATE_AFTER`].
    pub key_update_after: u32,
    /// The file with the keys of session tickets that replicas share. Without one the keys are random.
    pub ticket_keys_file: Option<PathBuf>,
}

/// The most records that AES-GCM may seal under one key (RFC 8446, section 5.5).
pub const MAX_KEY_UPDATE_AFTER: u32 = 1 << 24;

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            client_ca: None,
            client_certificates: ClientCertificates::default(),
            minimum_version: MinimumVersion::default(),
            // Half of what is allowed: ten days of ten events a second.
            key_update_after: MAX_KEY_UPDATE_AFTER / 2,
            ticket_keys_file: None,
        }
    }
}

impl TlsSettings {
    /// Makes relative paths begin at `directory`.
    pub fn resolve(&mut self, directory: &Path) {
        let certificates = self.certificates.iter_mut();
        let pairs = certificates.flat_map(|files| [&mut files.certificate, &mut files.key]);
        pairs
            .chain(&mut self.client_ca)
            .chain(&mut self.ticket_keys_file)
            .for_each(|path| *path = directory.join(&*path));
    }
}

/// The two files of a certificate, both in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and behind it those that lead to an authority.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

named! {
    /// Whether clients are asked for a certificate.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum ClientCertificates {
        /// Nobody is asked.
        #[default]
        Off = "off",
        /// Whoever has one must have a good one.
        Optional = "optional",
        /// Whoever has none is not served.
        Required = "required",
    }
}

named! {
    /// The oldest version of TLS that is spoken.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum MinimumVersion {
        /// TLS 1.2: every client that is still maintained speaks it.
        #[default]
        Tls12 = "1.2",
        /// TLS 1.3.
        Tls13 = "1.3",
    }
}
