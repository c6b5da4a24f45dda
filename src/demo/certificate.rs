//! A certificate for one run of the demo, with an authority of its own.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use super::directory::{DemoDirectory, DemoFilesError};

/// The files of a certificate for `localhost` and the loopback addresses. They are in a directory that only this user can read, and
/// are deleted on drop. The key of the authority is written nowhere, so that whoever trusts it trusts nothing else.
#[derive(Debug)]
pub struct DemoCertificate {
    directory: DemoDirectory,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum DemoCertificateError {
    /// It could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// Its files could not be written.
    #[error(transparent)]
    Write(#[from] DemoFilesError),
}

impl DemoCertificate {
    /// Makes a certificate, and writes it to a new directory for temporary files.
    ///
    /// # Errors
    /// [`DemoCertificateError`] if there are no random numbers, or the files cannot be written.
    pub fn create() -> Result<Self, DemoCertificateError> {
        let (authority, key) = (authority()?, KeyPair::generate()?);
        let mut params = CertificateParams::new(NAMES.map(String::from))?;
        limit(&mut params);
        let certificate = params.signed_by(&key, &authority)?;
        let directory = DemoDirectory::create()?;
        directory.write(AUTHORITY, &authority.pem())?;
        directory.write(CHAIN, &certificate.pem())?;
        directory.write(KEY, &key.serialize_pem())?;
        Ok(Self { directory })
    }

    /// Returns the file with the authority, which a client has to trust.
    pub fn authority(&self) -> PathBuf {
        self.directory.file(AUTHORITY)
    }

    /// Returns the file with the certificate.
    pub fn chain(&self) -> PathBuf {
        self.directory.file(CHAIN)
    }

    /// Returns the file with the key.
    pub fn key(&self) -> PathBuf {
        self.directory.file(KEY)
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "riverhead demo");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    limit(&mut params);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// Makes a certificate good for a month: longer than any demo, and no longer than clients allow.
fn limit(params: &mut CertificateParams) {
    let end = Timestamp::now() + SignedDuration::from_hours(31 * 24);
    let date = end.to_zoned(TimeZone::UTC).date();
    params.not_after = date_time_ymd(
        date.year().into(),
        date.month().unsigned_abs(),
        date.day().unsigned_abs(),
    );
}

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const AUTHORITY: &str = "ca.pem";
const CHAIN: &str = "cert.pem";
const KEY: &str = "key.pem";

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_files_are_for_this_user_and_this_run_only() {
        let certificate = DemoCertificate::create().unwrap();
        let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let directory = certificate.directory.path().to_owned();
        assert_eq!((mode(&directory), mode(&certificate.key())), (0o700, 0o600));
        assert!(certificate.authority().exists() && certificate.chain().exists());
        drop(certificate);
        assert!(!directory.exists());
    }
}
