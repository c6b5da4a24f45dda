//! The host names that requests name, and those under which the admin listener may be asked.
//!
//! A foreign page in an operator's browser can let its own name resolve to this listener (DNS rebinding). It is then of the same
//! origin as what it reads. It cannot do that with an address, nor with `localhost`, which browsers resolve without DNS. So other
//! names have to be listed.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use http::{Request, Version, header, uri::Authority};
use parking_lot::RwLock;

use crate::http::error::Error;

/// A host name, or all names below one: `admin.example`, `*.example.svc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// In lower case, without `*.`.
    name: String,
    /// Whether it was given with `*.`, and stands for all names below it.
    is_suffix: bool,
}

/// The error for a text that is no [`HostName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is neither a host name without port nor `*.` and a host name")]
pub struct BadHostName;

impl HostName {
    /// Whether this matches `name`, which must be in lower case.
    fn matches_name(&self, name: &str) -> bool {
        match self.is_suffix {
            false => name == self.name,
            true => name
                .strip_suffix(&self.name)
                .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        }
    }
}

impl FromStr for HostName {
    type Err = BadHostName;

    fn from_str(text: &str) -> Result<Self, BadHostName> {
        let suffix = text.strip_prefix("*.");
        let name = suffix.unwrap_or(text);
        match HostPort::read(name) {
            Some(HostPort {
                name: own,
                port: None,
            }) if suffix.is_none() || matches!(own, Host::Domain(_)) => Ok(Self {
                name: own.to_string(),
                is_suffix: suffix.is_some(),
            }),
            _ => Err(BadHostName),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_suffix { "*." } else { "" }, self.name)
    }
}

/// The allowed host names. Clones share the list, and change together.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Arc<RwLock<Arc<[HostName]>>>);

impl AllowedHosts {
    /// Allows these names, beside addresses and `localhost`.
    pub fn new(names: &[HostName]) -> Self {
        Self(Arc::new(RwLock::new(names.into())))
    }

    /// Replaces the list, for requests from now on.
    pub fn set(&self, names: &[HostName]) {
        *self.0.write() = names.into();
    }

    /// Returns the present list.
    pub(in crate::http) fn names(&self) -> Arc<[HostName]> {
        Arc::clone(&self.0.read())
    }

    /// Whether the listener may be asked under this name: it is an address, `localhost`, or listed.
    pub(in crate::http) fn allows(&self, name: &Host) -> bool {
        match name {
            Host::Address(_) => true,
            Host::Domain(name) => name == LOCALHOST || self.names().iter().any(|own| own.matches_name(name)),
        }
    }
}

/// The host and port that a request names: in the field `Host`, or in the authority of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    pub(in crate::http) name: Host,
    pub(in crate::http) port: Option<u16>,
}

/// A host, without its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Host {
    Address(IpAddr),
    /// In lower case, without the dot of the root.
    Domain(String),
}

impl HostPort {
    /// Parses `name`, `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`. Returns `None` if the text is none of these.
    pub(in crate::http) fn read(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                // A zone (`%eth0`) names an interface, and is no part of the address.
                let address = address.split('%').next()?;
                (Host::Address(IpAddr::V6(address.parse().ok()?)), rest)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                (Host::read(&text[..end])?, &text[end..])
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(port) => Some(port.parse().ok()?),
        };
        Some(Self { name, port })
    }
}

impl Host {
    fn read(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_name_byte);
        let is_name = name.len() <= MAX_NAME_LEN && name.split('.').all(is_label);
        is_name.then(|| Self::Domain(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Domain(name) => f.write_str(name),
        }
    }
}

/// Returns the host name under which the listener is asked. Returns `None` if none is given, as by old clients that are no
/// browsers.
///
/// # Errors
/// 400 if there are several that differ, or one is invalid, or an HTTP/1.1 request has none.
pub(super) fn host_of<B>(request: &Request<B>) -> Result<Option<HostPort>, Error> {
    let mut fields = request.headers().get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Error::BadHost("the header is repeated"));
    }
    let read = |text: &str| HostPort::read(text).ok_or(Error::BadHost("the value is not HOST or HOST:PORT"));
    let field = field.map(|field| field.to_str()).transpose();
    let field = field.map_err(|_| Error::BadHost("the value is not ASCII"))?;
    let is_there = field.is_some();
    // An empty field counts as no name. No browser sends it.
    let field = field.filter(|field| !field.is_empty()).map(read).transpose()?;
    let target = authority(request).map(read).transpose()?;
    match (field, target) {
        (Some(field), Some(target)) if field != target => {
            Err(Error::BadHost("the value differs from the target's host"))
        }
        (None, None) if request.version() == Version::HTTP_11 && !is_there => {
            Err(Error::BadHost("the header is missing"))
        }
        (field, target) => Ok(target.or(field)),
    }
}

/// Returns the authority of a target in absolute form, or HTTP/2's `:authority`, which is in the request's extensions.
fn authority<B>(request: &Request<B>) -> Option<&str> {
    let beside = request.extensions().get::<Authority>();
    let authority = request.uri().authority().or(beside);
    authority.map(Authority::as_str)
}

/// Whether a byte may be in a name: letters, digits and hyphens, and the underscore that some systems put into names of services.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// The name that browsers take for this machine without a lookup ("let localhost be localhost").
const LOCALHOST: &str = "localhost";

/// The longest host name, in bytes: RFC 1035, section 2.3.4, as text.
const MAX_NAME_LEN: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn knows(names: &[&str], host: &str) -> Option<bool> {
        let names: Vec<_> = names.iter().map(|name| name.parse().unwrap()).collect();
        HostPort::read(host).map(|host| AllowedHosts::new(&names).allows(&host.name))
    }

    #[test]
    fn addresses_and_localhost_are_known_and_names_have_to_be_listed() {
        for host in [
            "127.0.0.1",
            "10.1.2.3:8081",
            "[::1]:8081",
            "[2001:db8::1]",
            "[fe80::1%25eth0]:8081",
            "localhost:8081",
            "LOCALHOST",
            "localhost.",
        ] {
            assert_eq!(knows(&[], host), Some(true), "{host}");
        }
        for host in [
            "riverhead",
            "localhost.evil.example:8081",
            "127.0.0.1.evil.example",
            "1.2.3.4.5",
            "0x7f.1",
        ] {
            assert_eq!(knows(&["admin.example"], host), Some(false), "{host}");
        }
        for host in ["admin.example", "ADMIN.Example:8081", "admin.example."] {
            assert_eq!(knows(&["Admin.Example"], host), Some(true), "{host}");
        }
    }

    #[test]
    fn a_star_covers_all_names_below_and_not_itself() {
        let names = ["*.example.svc"];
        for (host, known) in [
            ("riverhead.example.svc", true),
            ("a.b.example.svc:8081", true),
            ("example.svc", false),
            (".example.svc", false),
            ("evilexample.svc", false),
            ("example.svc.evil", false),
        ] {
            assert_eq!(knows(&names, host).unwrap_or(false), known, "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_none() {
        for host in [
            "",
            ":80",
            "a b",
            "a:b",
            "a:80:80",
            "a:99999",
            "[::1",
            "[::1]x",
            "::1",
            "a@b",
            "a/b",
            "a..b",
            "é.example",
            "[127.0.0.1]",
        ] {
            assert_eq!(HostPort::read(host), None, "{host}");
        }
        assert_eq!(HostPort::read(&"a.".repeat(200)), None);
    }

    #[test]
    fn names_to_list_are_names_without_port() {
        for name in [
            "",
            "*",
            "*.",
            "a.*",
            "a:80",
            "http://a",
            "*.127.0.0.1",
            "a b",
            "*.*.a",
        ] {
            assert_eq!(name.parse::<HostName>(), Err(BadHostName), "{name}");
        }
        // Older configurations list these.
        for name in ["127.0.0.1", "[::1]", "localhost", "*.example.svc"] {
            assert!(name.parse::<HostName>().is_ok(), "{name}");
        }
    }
}
