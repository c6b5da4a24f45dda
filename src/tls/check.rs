//! The files of a listener, checked without serving them.

use std::{fmt, path::PathBuf, sync::Arc, time::SystemTime};

use super::{
    certificate::day,
    config,
    fault::{TlsFault, TlsFaults},
    load::LoadedFiles,
    settings::TlsSettings,
    tickets::TicketKeys,
};

/// What the files of a listener are good for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedFiles {
    /// Its certificates, in the order of the configuration.
    pub certificates: Vec<CertificateSummary>,
    /// The file with keys of session tickets, if there is one, and how many keys it holds.
    pub ticket_keys: Option<(PathBuf, usize)>,
    /// What works, and should not be so.
    pub warnings: Vec<TlsFault>,
}

/// What a certificate is good for. `Display` writes it as a sentence for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// The file that it is from.
    pub path: PathBuf,
    /// The hosts and addresses that it is for.
    pub names: Vec<String>,
    /// When the first certificate of its chain expires that has not expired yet.
    pub expires: SystemTime,
}

impl fmt::Display for CertificateSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, names, until) = (self.path.display(), self.names.join(", "), day(self.expires));
        write!(f, "{path} is valid for {names} until {until}")
    }
}

/// Reads all files of the section called `section`, and checks that they can be served now.
///
/// # Errors
/// Every fault of every file. An expired certificate is one.
pub fn check(section: &'static str, settings: &TlsSettings) -> Result<CheckedFiles, TlsFaults> {
    let provider = config::provider();
    let refused = |faults| TlsFaults::new(section, faults);
    let files = LoadedFiles::read(settings, &provider).map_err(refused)?;
    let now = SystemTime::now();
    let expired = files.expired(now);
    if !expired.is_empty() {
        return Err(refused(expired));
    }
    let unfit = |problem: String| {
        let path = settings.client_ca.clone().or_else(|| {
            settings
                .certificates
                .first()
                .map(|files| files.certificate.clone())
        });
        refused(vec![TlsFault::new(&path.unwrap_or_default(), problem)])
    };
    let ticket_keys = match &files.ticket_keys {
        Some(keys) => Arc::clone(keys),
        None => TicketKeys::random_now().map_err(unfit)?,
    };
    config::build(settings, &files, provider, &ticket_keys).map_err(unfit)?;
    let certificates = files.certificates.iter().map(|certificate| CertificateSummary {
        path: certificate.path.clone(),
        names: certificate.names.clone(),
        expires: certificate.chain_expires(now),
    });
    let path = settings.ticket_keys_file.clone();
    Ok(CheckedFiles {
        certificates: certificates.collect(),
        ticket_keys: path.map(|path| (path, ticket_keys.count())),
        warnings: files.warnings(now),
    })
}
