//! The files of a listener, checked without serving them.

use std::{fmt, path::PathBuf, time::SystemTime};

use super::{
    certificate::day,
    config,
    fault::{TlsFault, TlsFaults},
    load::LoadedFiles,
    settings::TlsSettings,
};

/// What a certificate is good for. `Display` writes it as a sentence for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// The file that it is from.
    pub path: PathBuf,
    /// The hosts and addresses that it is for.
    pub names: Vec<String>,
    /// When the first certificate of its chain expires.
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
pub fn check(section: &'static str, settings: &TlsSettings) -> Result<Vec<CertificateSummary>, TlsFaults> {
    let provider = config::provider();
    let refused = |faults| TlsFaults::new(section, faults);
    let files = LoadedFiles::read(settings, &provider).map_err(refused)?;
    let expired = files.expired(SystemTime::now());
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
    let ticketer = config::ticketer().map_err(unfit)?;
    config::build(settings, &files, provider, ticketer).map_err(unfit)?;
    let summaries = files.certificates.iter().map(|certificate| CertificateSummary {
        path: certificate.path.clone(),
        names: certificate.names.clone(),
        expires: certificate.expires,
    });
    Ok(summaries.collect())
}
