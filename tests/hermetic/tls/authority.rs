//! An authority of our own, and files with what it signs.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};
use riverhead::tls::settings::{CertificateFiles, TlsSettings};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Issued {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Two of one name would be one to who looks for an issuer.
        let name = format!("authority {:x}", fastrand::u64(..));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate for these names that ends a month from now.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(names, 30)
    }

    /// One that ends so many days from now.
    pub(crate) fn issue_for(&self, names: &[&str], days: i64) -> Issued {
        self.issue_until(names, day(days), |_| {})
    }

    /// One that ends at this time, with these changes.
    pub(crate) fn issue_until(
        &self,
        names: &[&str],
        end: time::OffsetDateTime,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = day(-1000);
        params.not_after = end;
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Issued {
            certificate: params.signed_by(&key, &self.0).unwrap(),
            key,
        }
    }
}

impl Issued {
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

pub(crate) fn day(from_now: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::now_utc() + Duration::from_secs(60) + time::Duration::days(from_now)
}

/// A directory with the files of a gateway.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a certificate and its key, as `NAME.pem` and `NAME.key`.
    pub(crate) fn pair(&self, name: &str, issued: &Issued) -> CertificateFiles {
        CertificateFiles {
            certificate: self.write(&format!("{name}.pem"), &issued.certificate.pem()),
            key: self.write(&format!("{name}.key"), &issued.key.serialize_pem()),
        }
    }

    /// Lets `name` lead to `to`, in one step.
    pub(crate) fn link(&self, name: &str, to: &str) {
        let new = self.path("new-link");
        symlink(Path::new(to), &new).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }
}

/// Settings with these certificates.
pub(crate) fn settings(certificates: Vec<CertificateFiles>) -> TlsSettings {
    TlsSettings {
        certificates,
        ..TlsSettings::default()
    }
}

/// An authority, and files with one certificate of it for `localhost`, with their settings.
pub(crate) fn localhost() -> (Authority, Files, TlsSettings) {
    let (authority, files) = (Authority::new(), Files::new());
    let pair = files.pair("localhost", &authority.issue(&["localhost"]));
    (authority, files, settings(vec![pair]))
}
