//! The certificate that a client has shown in a handshake: whom it names, and until when.
//!
//! Not here: whether it is good, which the handshake has checked, and whom it stands for (`auth`).

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate as Parsed,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
    name::Name,
};

use super::certificate::not_after;

/// What is kept of the certificate of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whom it names: its subject, and its alternative names.
    pub names: Vec<CertificateName>,
    /// When it expires, since the Unix epoch. The others of its chain do not count: a client may send such as lead nowhere.
    pub expires: Duration,
}

/// A name in a certificate. Equal texts of different kinds are different names: who signs host names may not check e-mail addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// The whole subject, in the form of RFC 4514.
    Subject(String),
    /// A host name of subjectAltName, in lower case.
    Dns(String),
    /// An address of subjectAltName.
    Ip(IpAddr),
    /// A URI of subjectAltName, such as a SPIFFE ID.
    Uri(String),
    /// An e-mail address of subjectAltName.
    Email(String),
}

impl ClientCertificate {
    /// Reads the first certificate of a chain that was checked. Returns `None` if it cannot be read.
    pub(crate) fn of_chain(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let certificate = Parsed::from_der(chain.first()?).ok()?;
        let expires = not_after(&certificate).duration_since(SystemTime::UNIX_EPOCH);
        Some(Self {
            names: names(&certificate),
            expires: expires.ok()?,
        })
    }
}

impl CertificateName {
    /// Parses a subject in the form of RFC 4514, such as `CN=reader,O=Partner`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn subject(text: &str) -> Result<Self, &'static str> {
        let name: Name = text.parse().map_err(|_| "found another text")?;
        match name.is_empty() {
            true => Err("found an empty subject"),
            // In the form in which certificates are read.
            false => Ok(Self::Subject(name.to_string())),
        }
    }

    /// Parses an alternative name. Its form says of which kind it is.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn alternative(text: &str) -> Result<Self, &'static str> {
        let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        match text.parse() {
            _ if !is_visible => Err("found an empty text, or characters that it cannot have"),
            Ok(address) => Ok(Self::Ip(address)),
            Err(_) if text.contains("://") || text.starts_with("urn:") => Ok(Self::Uri(text.to_owned())),
            Err(_) if text.contains('@') => Ok(Self::Email(text.to_owned())),
            Err(_) if text.contains('*') => Err("found a pattern, which no client has for a name"),
            Err(_) => Ok(Self::Dns(text.to_ascii_lowercase())),
        }
    }
}

impl fmt::Display for CertificateName {
    /// Writes the name with its kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(text) => write!(f, "subject {text}"),
            Self::Dns(text) => write!(f, "host {text}"),
            Self::Ip(address) => write!(f, "address {address}"),
            Self::Uri(text) => write!(f, "URI {text}"),
            Self::Email(text) => write!(f, "e-mail address {text}"),
        }
    }
}

fn names(certificate: &Parsed) -> Vec<CertificateName> {
    let subject = certificate.tbs_certificate().subject();
    let subject = (!subject.is_empty()).then(|| CertificateName::Subject(subject.to_string()));
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let alternative = match &extension {
        Ok(Some((_, SubjectAltName(names)))) => names.as_slice(),
        _ => &[],
    };
    let alternative = alternative.iter().filter_map(alternative_name);
    subject.into_iter().chain(alternative).collect()
}

fn alternative_name(name: &GeneralName) -> Option<CertificateName> {
    match name {
        GeneralName::DnsName(name) => Some(CertificateName::Dns(name.as_str().to_ascii_lowercase())),
        GeneralName::Rfc822Name(name) => Some(CertificateName::Email(name.as_str().to_owned())),
        GeneralName::UniformResourceIdentifier(name) => Some(CertificateName::Uri(name.as_str().to_owned())),
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            bytes if bytes.len() == 4 => Some(CertificateName::Ip(<[u8; 4]>::try_from(bytes).ok()?.into())),
            bytes => Some(CertificateName::Ip(<[u8; 16]>::try_from(bytes).ok()?.into())),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    /// Returns what is kept of a certificate with these names.
    fn kept(subject: &[(DnType, &str)], alternative: Vec<SanType>) -> ClientCertificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in subject {
            params.distinguished_name.push(kind.clone(), *text);
        }
        params.subject_alt_names = alternative;
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        ClientCertificate::of_chain(&[certificate.der().clone()]).unwrap()
    }

    #[test]
    fn a_certificate_has_the_names_that_the_configuration_would_have() {
        let subject = [
            (DnType::OrganizationName, "Partner, Inc."),
            (DnType::CommonName, "reader"),
        ];
        let alternative = vec![
            SanType::DnsName("Reader.Partner.Example".try_into().unwrap()),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::URI("spiffe://partner.example/reader".try_into().unwrap()),
            SanType::Rfc822Name("reader@partner.example".try_into().unwrap()),
        ];
        let certificate = kept(&subject, alternative);
        let written = [
            CertificateName::subject("CN=reader,O=Partner\\, Inc."),
            CertificateName::alternative("reader.partner.EXAMPLE"),
            CertificateName::alternative("192.0.2.1"),
            CertificateName::alternative("2001:0db8:0::1"),
            CertificateName::alternative("spiffe://partner.example/reader"),
            CertificateName::alternative("reader@partner.example"),
        ];
        assert_eq!(certificate.names, written.map(Result::unwrap));
        assert_eq!(certificate.expires.as_secs(), 1_893_456_000);
    }

    #[test]
    fn a_name_in_a_place_that_nobody_checks_is_another_name() {
        let partner = CertificateName::alternative("reader.partner.example").unwrap();
        let named = |alternative| kept(&[(DnType::CommonName, "reader.partner.example")], alternative).names;
        assert!(!named(Vec::new()).contains(&partner), "a common name");
        let text = "reader.partner.example";
        let elsewhere = vec![
            SanType::URI(text.try_into().unwrap()),
            SanType::Rfc822Name(text.try_into().unwrap()),
        ];
        assert!(!named(elsewhere).contains(&partner));
        let subject = CertificateName::subject("CN=a,O=b").unwrap();
        let forged = kept(&[(DnType::CommonName, "a,O=b")], Vec::new());
        assert!(!forged.names.contains(&subject), "{forged:?}");
        let empty = kept(&[], vec![SanType::DnsName(text.try_into().unwrap())]);
        assert_eq!(empty.names, [partner]);
    }

    #[test]
    fn names_that_no_certificate_has_are_refused() {
        for bad in ["", "a b", "a\n", "*.partner.example", "r\u{e4}der.example"] {
            assert!(CertificateName::alternative(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "reader", "CN", "CN=a, O=b", "NO=SUCH"] {
            assert!(CertificateName::subject(bad).is_err(), "{bad:?}");
        }
        let text = CertificateName::alternative("urn:uuid:7").unwrap().to_string();
        assert_eq!(text, "URI urn:uuid:7");
    }
}
