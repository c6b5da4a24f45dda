//! A certificate with its chain and its key, as they were read from their files.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio_rustls::rustls::{
    Error, InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_cert::{
    Certificate as Parsed,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::{fault::TlsFault, files::FileReader, settings::CertificateFiles};

/// A certificate that a listener can present.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The file that it is from.
    pub(super) path: PathBuf,
    /// The names and addresses that it is for, in lower case. There is at least one.
    pub(super) names: Vec<String>,
    /// When it expires.
    pub(super) expires: SystemTime,
    /// When each of the certificates behind it in the file expires.
    issuers_expire: Vec<SystemTime>,
}

impl Certificate {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// Every fault of both files.
    pub(super) fn read(
        files: &CertificateFiles,
        reader: &mut FileReader,
        provider: &CryptoProvider,
    ) -> Result<Self, Vec<TlsFault>> {
        let chain = reader
            .read(&files.certificate)
            .and_then(|text| chain(&files.certificate, &text));
        let key = reader
            .read(&files.key)
            .and_then(|text| private_key(&files.key, &text));
        match (chain, key) {
            (Ok(chain), Ok(key)) => Self::new(files, chain, key, provider).map_err(|fault| vec![fault]),
            (chain, key) => Err(chain.err().into_iter().chain(key.err()).collect()),
        }
    }

    fn new(
        files: &CertificateFiles,
        chain: Chain,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsFault> {
        let key = CertifiedKey::from_der(chain.certificates, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsFault::new(
                &files.key,
                format!("the key does not belong to {}", files.certificate.display()),
            ),
            error => TlsFault::new(&files.key, format!("cannot be used: {error}")),
        })?;
        Ok(Self {
            key: Arc::new(key),
            path: files.certificate.clone(),
            names: chain.names,
            expires: chain.expires,
            issuers_expire: chain.issuers_expire,
        })
    }

    /// Returns the fault of a certificate that clients refuse at this time.
    pub(super) fn expired(&self, now: SystemTime) -> Option<TlsFault> {
        (self.expires <= now).then(|| TlsFault::new(&self.path, format!("expired on {}", day(self.expires))))
    }

    /// Returns when the first certificate of the chain expires that has not expired by now. One behind the first that has is no part
    /// of a chain that clients can accept: either they do not need it, or they have refused it since.
    pub(super) fn chain_expires(&self, now: SystemTime) -> SystemTime {
        let issuers = self.issuers_expire.iter().copied().filter(|end| *end > now);
        issuers.fold(self.expires, SystemTime::min)
    }

    /// Returns a warning if a certificate behind the first has expired. It is no fault: it may be one that only old clients would
    /// need, as when an authority is signed by an older one too.
    pub(super) fn stale_issuer(&self, now: SystemTime) -> Option<TlsFault> {
        let stale = self
            .issuers_expire
            .iter()
            .copied()
            .filter(|end| *end <= now)
            .min()?;
        let problem = format!(
            "contains a certificate behind the first that expired on {}: clients that need it refuse the chain",
            day(stale)
        );
        Some(TlsFault::new(&self.path, problem))
    }

    /// Whether it is for this name, which is in lower case. A star stands for one label (RFC 6125, section 6.4.3).
    pub(super) fn is_for(&self, name: &str) -> bool {
        let (_, parent) = name.split_once('.').unwrap_or_default();
        let covers = |own: &String| {
            own == name
                || own
                    .strip_prefix("*.")
                    .is_some_and(|own| !parent.is_empty() && own == parent)
        };
        self.names.iter().any(covers)
    }
}

/// Reads the authorities in a file.
///
/// # Errors
/// When there are none, or one is malformed.
pub(super) fn authorities(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsFault::new(path, "contains no certificate in PEM")),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsFault::new(path, format!("is not PEM: {error}"))),
    }
}

/// Whether this certificate has expired by now, or cannot be read.
pub(super) fn has_expired(certificate: &[u8], now: SystemTime) -> bool {
    Parsed::from_der(certificate).map_or(true, |certificate| not_after(&certificate) <= now)
}

/// Returns the date of a time, in UTC.
pub(super) fn day(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(
        |_| "a date out of range".into(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// The certificates of a file, the first of which is presented for `names`.
struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    names: Vec<String>,
    expires: SystemTime,
    issuers_expire: Vec<SystemTime>,
}

fn chain(path: &Path, text: &[u8]) -> Result<Chain, TlsFault> {
    let certificates = authorities(path, text)?;
    let parsed: Result<Vec<_>, _> = certificates
        .iter()
        .map(|certificate| Parsed::from_der(certificate))
        .collect();
    let parsed =
        parsed.map_err(|error| TlsFault::new(path, format!("contains a malformed certificate: {error}")))?;
    let names = parsed.first().map(names).unwrap_or_default();
    if names.is_empty() {
        return Err(TlsFault::new(
            path,
            "is valid for no name: its subjectAltName, which clients check, contains neither a host name nor an address",
        ));
    }
    let mut ends = parsed.iter().map(not_after);
    Ok(Chain {
        names,
        expires: ends.next().unwrap_or(SystemTime::UNIX_EPOCH),
        issuers_expire: ends.collect(),
        certificates,
    })
}

fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsFault> {
    // The error may not be shown: it could quote the key.
    PrivateKeyDer::from_pem_slice(text)
        .map_err(|_| TlsFault::new(path, "contains no private key in PEM, or only an encrypted one"))
}

/// Returns when a certificate expires.
pub(super) fn not_after(certificate: &Parsed) -> SystemTime {
    let end: Duration = certificate
        .tbs_certificate()
        .validity()
        .not_after
        .to_unix_duration();
    SystemTime::UNIX_EPOCH + end
}

/// Returns the hosts and addresses that a certificate is for. Clients ignore its common name.
fn names(certificate: &Parsed) -> Vec<String> {
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let Ok(Some((_, SubjectAltName(names)))) = extension else {
        return Vec::new();
    };
    names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            bytes if bytes.len() == 4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
            bytes => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        _ => None,
    }
}
