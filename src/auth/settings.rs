//! The settings of authentication: the section `auth` of the configuration.
//!
//! Not here: parsing them (`config`).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::Uri;
use jsonwebtoken::Algorithm;

use super::tickets::TicketKey;
use crate::{fetch::https_url, limits::settings::PrincipalLimits, tls::CertificateName};

/// Which credentials are accepted. Where there are no such settings, no credential is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    /// The file with the digests of API keys.
    pub keys_file: Option<PathBuf>,
    /// The file with revoked credentials. `None` if nothing can be revoked but by removing keys.
    pub revocations_file: Option<PathBuf>,
    /// The keys of tickets: the first seals, all open. Without one, tickets are sealed with a random key.
    pub ticket_keys: Vec<TicketKey>,
    /// How long a ticket begins a stream.
    pub ticket_lifetime: Duration,
    /// How long a ticket takes up a stream again, from when it was made.
    pub ticket_resume: Duration,
    /// The name of the cookie that carries a credential. Empty if no cookie does.
    pub cookie: String,
    /// Whose credentials count on a connection without TLS.
    pub plain: PlainPolicy,
    /// What a principal may use that has no limits of its own.
    pub limits: PrincipalLimits,
    /// Whom certificates of clients stand for, each with a name and a certificate of its own.
    pub certificates: Vec<CertificateSettings>,
    /// The issuers of tokens, each with a name and an `iss` of its own.
    pub issuers: Vec<IssuerSettings>,
    /// The directory in which fetched keys are kept over a restart: that of the section `state`.
    pub state_directory: Option<PathBuf>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            keys_file: None,
            revocations_file: None,
            ticket_keys: Vec::new(),
            // A page uses it at once. Longer than the 10 s after which a browser has an id even on a quiet stream, so that it can
            // reconnect from then on.
            ticket_lifetime: Duration::from_secs(60),
            // Longer than a rolling restart of all replicas, and than a laptop sleeps between two meetings.
            ticket_resume: Duration::from_secs(3600),
            // Browsers take a cookie with this prefix over TLS only.
            cookie: "__Secure-riverhead".into(),
            plain: PlainPolicy::default(),
            limits: PrincipalLimits::default(),
            certificates: Vec::new(),
            issuers: Vec::new(),
            state_directory: None,
        }
    }
}

impl AuthSettings {
    /// Makes relative paths begin at `directory`.
    pub fn resolve(&mut self, directory: &Path) {
        let sets = self
            .issuers
            .iter_mut()
            .filter_map(|issuer| match &mut issuer.jwks {
                KeySource::File(path) => Some(path),
                KeySource::Url(_) => None,
            });
        let files = self.keys_file.iter_mut().chain(&mut self.revocations_file);
        files.chain(sets).for_each(|path| *path = directory.join(&*path));
    }
}

named! {
    /// Whose credentials count on a connection without TLS. Everybody on the way can read them there.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum PlainPolicy {
        /// Those that come from loopback or from a trusted proxy, which has terminated TLS.
        #[default]
        Proxies = "proxies",
        /// Those of no connection.
        Never = "never",
        /// Those of every connection.
        Always = "always",
    }
}

/// Whom a certificate of a client stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSettings {
    /// The name in logs and metrics.
    pub name: String,
    /// The name that the certificate must have.
    pub certificate: CertificateName,
    /// What it grants.
    pub scopes: Vec<String>,
}

/// An issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The name in logs and metrics.
    pub name: String,
    /// The value of `iss`.
    pub issuer: String,
    /// The values of `aud`, one of which a token must have.
    pub audience: Vec<String>,
    /// Where its public keys are.
    pub jwks: KeySource,
    /// The algorithms that its tokens may be signed with. None of them is symmetric.
    pub algorithms: Vec<Algorithm>,
    /// By how much its clock and ours may differ.
    pub leeway: Duration,
    /// The value of the header `typ`. Empty if it is not checked.
    pub typ: String,
    /// The name of the claim with the scopes.
    pub scopes: String,
}

impl Default for IssuerSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            issuer: String::new(),
            audience: Vec::new(),
            jwks: KeySource::File(PathBuf::new()),
            // What identity providers sign with. RSA with PKCS#1 padding is the default of most of them.
            algorithms: vec![Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256],
            // More than clocks that are kept by NTP differ.
            leeway: Duration::from_secs(30),
            typ: String::new(),
            // RFC 8693, section 4.2.
            scopes: "scope".into(),
        }
    }
}

/// Where the public keys of an issuer are (JWKS, RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// At an address with the scheme https and a host.
    Url(Uri),
}

impl KeySource {
    /// Parses the path of a file, or an https URL.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.contains("://") {
            return match text {
                "" => Err("found an empty string"),
                _ if text.contains(['\0', '\n']) => Err("found a line break or a NUL character"),
                _ => Ok(Self::File(text.into())),
            };
        }
        https_url(text).map(Self::Url)
    }
}

/// Parses the name of an algorithm.
///
/// Symmetric ones are not among them: whoever can check such a signature can also make one.
///
/// # Errors
/// Lists the good ones.
pub fn algorithm(name: &str) -> Result<Algorithm, String> {
    let found = ALGORITHMS.iter().find(|(own, _)| *own == name);
    found.map(|(_, algorithm)| *algorithm).ok_or_else(|| {
        let names: Vec<_> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// The longest leeway. Tokens often live for five minutes; with more, expiry would mean little.
pub const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);

const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_a_file_or_over_https_and_in_no_other_way() {
        let file = KeySource::File("a/jwks.json".into());
        assert_eq!(KeySource::parse("a/jwks.json"), Ok(file));
        assert!(matches!(
            KeySource::parse("https://idp.example/jwks"),
            Ok(KeySource::Url(_))
        ));
        for bad in [
            "",
            "http://idp.example/jwks",
            "file:///etc/jwks",
            "https://",
            "https://a:b@idp.example/",
            "a\nb",
        ] {
            assert!(KeySource::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_symmetric_algorithm_can_be_chosen() {
        assert_eq!(algorithm("ES256"), Ok(Algorithm::ES256));
        for bad in ["HS256", "none", "es256", ""] {
            assert!(algorithm(bad).is_err(), "{bad}");
        }
    }
}
