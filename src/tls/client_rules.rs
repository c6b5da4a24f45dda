//! The rules that clients are judged by in a handshake.

use sha2::{Digest, Sha256};

use super::{
    files::FileDigest,
    load::LoadedFiles,
    settings::{ClientCertificates, TlsSettings},
};

/// What a client must show, and the authorities that it must show it of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientRules {
    asked: ClientCertificates,
    authorities: Option<FileDigest>,
}

impl ClientRules {
    /// Returns the rules of a listener.
    pub(super) fn of(settings: &TlsSettings, files: &LoadedFiles) -> Self {
        Self {
            asked: settings.client_certificates,
            authorities: files.client_ca.as_ref().map(|(_, digest)| *digest),
        }
    }

    /// Returns a digest, which every replica with the same rules has.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.asked.name());
        digest.update([0]);
        if let Some(authorities) = &self.authorities {
            digest.update(authorities.bytes());
        }
        digest.finalize().into()
    }
}
