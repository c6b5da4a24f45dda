//! The files of authentication, checked without using them.

use std::{fmt, num::NonZeroU32, path::PathBuf, sync::Arc};

use super::{
    fault::AuthFaults,
    fetch::Fetcher,
    kept_keys::KeptKeys,
    rules::load,
    settings::{AuthSettings, KeySource},
};
use crate::{metrics::AuthMetrics, tls::CertificateName};

/// What the files hold. `Display` writes it as sentences for an operator, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSummary {
    /// The file with API keys, and how many it has.
    keys: Option<(PathBuf, usize)>,
    /// The names of the entries for certificates of clients, and which certificate each is for.
    certificates: Vec<(String, CertificateName)>,
    /// The names of the issuers, and how many keys each has, if they are in a file.
    issuers: Vec<(String, Option<usize>)>,
    /// The file with revocations, and how many it has.
    revocations: Option<(PathBuf, usize)>,
    /// The names of the keys with a number of streams of their own.
    streams: Vec<(Arc<str>, NonZeroU32)>,
}

impl AuthSummary {
    /// Returns one line for each file, each certificate and each issuer.
    pub fn lines(&self) -> Vec<String> {
        let keys = self
            .keys
            .iter()
            .map(|(path, count)| format!("{count} API keys in {}", path.display()));
        let certificates = self.certificates.iter();
        let certificates = certificates.map(|(name, own)| format!("certificate {name}: of {own}"));
        let issuers = self.issuers.iter().map(|(name, count)| match count {
            Some(count) => format!("issuer {name}: {count} keys"),
            None => format!("issuer {name}: its keys are fetched"),
        });
        let revocations = self.revocations.iter();
        let revocations =
            revocations.map(|(path, count)| format!("{count} revocations in {}", path.display()));
        keys.chain(certificates)
            .chain(issuers)
            .chain(revocations)
            .collect()
    }

    /// Returns a warning for each key with more streams than the requests that one address may make at once.
    pub fn warnings(&self, request_burst: NonZeroU32) -> Vec<String> {
        let above = self
            .streams
            .iter()
            .filter(|(_, streams)| *streams > request_burst);
        let said = above.map(|(name, streams)| {
            format!(
                "`limits.streams` ({streams}) of key {name} is above `limits.request_burst` ({request_burst}): after a restart, when \
                 all streams come back at once, some are refused if they are from one address"
            )
        });
        said.collect()
    }
}

impl fmt::Display for AuthSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

/// Reads all files that the settings name. Nothing is fetched.
///
/// # Errors
/// Every fault of every file.
pub fn check(settings: &AuthSettings) -> Result<AuthSummary, AuthFaults> {
    let fetcher = Fetcher::new(None, KeptKeys::default());
    let (rules, revocations) = load(settings, None, &fetcher, &AuthMetrics::default())?;
    let keys = settings.keys_file.clone();
    let certificates = settings.certificates.iter();
    let certificates = certificates.map(|own| (own.name.clone(), own.certificate.clone()));
    let issuers = settings.issuers.iter().map(|issuer| {
        let count = rules.issuers.get(&issuer.issuer).map(|issuer| issuer.count());
        let is_file = matches!(issuer.jwks, KeySource::File(_));
        (issuer.name.clone(), count.filter(|_| is_file))
    });
    let entries = rules.keys.keys().iter();
    let streams = entries.filter_map(|key| Some((Arc::clone(&key.name), key.limits.streams?)));
    Ok(AuthSummary {
        streams: streams.collect(),
        keys: keys.map(|path| (path, rules.keys.keys().len())),
        certificates: certificates.collect(),
        issuers: issuers.collect(),
        revocations: settings
            .revocations_file
            .clone()
            .map(|path| (path, revocations.len())),
    })
}
