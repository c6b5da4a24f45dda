//! The URL of a stream.

use std::{fmt, str::FromStr};

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::catalog::ticket_parameter;

/// The URL of a stream. `Debug` does not show a ticket in it.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamTarget {
    pub(crate) tls: bool,
    /// The host, without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of the `Host` header.
    pub(crate) authority: String,
    /// The path and query.
    path: String,
}

/// The text is not the URL of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// It is not a URL.
    #[error("expected a URL such as https://stream.example or http://127.0.0.1:8080/v2/stream/recentchange")]
    NoUrl,
    /// It has another scheme.
    #[error("expected a URL with http or https")]
    Scheme,
    /// It names no stream.
    #[error("the URL names no stream: add --stream NAME, or append /v2/stream/NAME to the URL")]
    NoStream,
    /// Both the URL and `--stream` name a stream.
    #[error("the URL and --stream both name a stream: leave one of them out")]
    TwoStreams,
    /// The name cannot be part of a path.
    #[error("expected the name of a stream in --stream")]
    Name,
}

impl StreamTarget {
    /// Returns the target for the stream called `name` (or several, separated by commas) of the gateway at this URL.
    ///
    /// # Errors
    /// If no stream is named, or both here and in the URL, or if the name is invalid.
    pub fn stream(mut self, name: Option<&str>) -> Result<Self, InvalidTarget> {
        match (self.path.contains(STREAMS), name) {
            (true, None) => Ok(self),
            (true, Some(_)) => Err(InvalidTarget::TwoStreams),
            (false, None) => Err(InvalidTarget::NoStream),
            (false, Some(name)) => {
                self.path = format!("{}{STREAMS}{name}", self.path.trim_end_matches('/'));
                let whole = self.path.parse::<Uri>().is_ok_and(|uri| uri.query().is_none());
                whole.then_some(self).ok_or(InvalidTarget::Name)
            }
        }
    }

    /// Returns the target for another stream of the same gateway, without the parameters of this one.
    ///
    /// # Errors
    /// If the name is invalid.
    pub(crate) fn other_stream(&self, name: &str) -> Result<Self, InvalidTarget> {
        let before = self.path.split(STREAMS).next().unwrap_or_default();
        let path = before.to_owned();
        Self { path, ..self.clone() }.stream(Some(name))
    }

    /// Whether another stream of the same gateway can have this name.
    pub fn has_other_stream(&self, name: &str) -> bool {
        !name.is_empty() && self.other_stream(name).is_ok()
    }

    /// Returns the target for the health report of the admin listener at this URL.
    pub(crate) fn health(&self) -> Self {
        let path = self.path.split('?').next().unwrap_or_default();
        Self {
            path: format!("{}/healthz", path.trim_end_matches('/')),
            ..self.clone()
        }
    }

    /// Returns the names of the streams, separated by commas.
    pub fn name(&self) -> &str {
        let path = self.path.split('?').next().unwrap_or_default();
        path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
    }

    /// Returns the whole URL to be shown: the value of a ticket in it is hidden.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let path = ticket_parameter::mask_target(&self.path);
        format!("{scheme}://{}{path}", self.authority)
    }

    /// Returns the path and query, with more parameters, whose values are encoded here.
    pub(crate) fn path(&self, parameters: &[(&str, String)]) -> String {
        let mut path = self.path.clone();
        for (name, value) in parameters {
            path.push(if path.contains('?') { '&' } else { '?' });
            path += &format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        path
    }
}

impl fmt::Debug for StreamTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamTarget").field(&self.url()).finish()
    }
}

impl FromStr for StreamTarget {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let uri: Uri = text.parse().map_err(|_| InvalidTarget::NoUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(InvalidTarget::NoUrl);
        };
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(InvalidTarget::Scheme),
        };
        Ok(Self {
            tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or_else(String::new, ToString::to_string),
        })
    }
}

const STREAMS: &str = "/v2/stream/";

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, stream: Option<&str>) -> Result<StreamTarget, InvalidTarget> {
        url.parse::<StreamTarget>()?.stream(stream)
    }

    #[test]
    fn a_stream_is_named_by_the_url_or_beside_it() {
        for (url, stream, host, port) in [
            ("http://127.0.0.1:8080", Some("a,b"), "127.0.0.1", 8080),
            ("http://[::1]:8080/", Some("a,b"), "::1", 8080),
            (
                "https://stream.example/v2/stream/a,b",
                None,
                "stream.example",
                443,
            ),
            (
                "https://stream.example/v2/stream/a,b?id=compact",
                None,
                "stream.example",
                443,
            ),
            ("http://example/behind/a/proxy/", Some("a,b"), "example", 80),
        ] {
            let target = target(url, stream).unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port), "{url}");
            assert_eq!(target.name(), "a,b", "{url}");
        }
    }

    #[test]
    fn parameters_go_behind_those_of_the_url() {
        let one = target("http://h/v2/stream/a", None).unwrap();
        assert_eq!(
            one.path(&[("since", "5".into()), ("canary", "true".into())]),
            "/v2/stream/a?since=5&canary=true"
        );
        let two = target("http://h/v2/stream/a?id=compact", None).unwrap();
        assert_eq!(
            two.path(&[("since", "5".into())]),
            "/v2/stream/a?id=compact&since=5"
        );
        assert_eq!(two.url(), "http://h/v2/stream/a?id=compact");
    }

    #[test]
    fn a_ticket_is_asked_with_and_not_shown() {
        let one = target("http://h/v2/stream/a?ticket=rvt_secret&id=compact", None).unwrap();
        assert!(one.path(&[]).contains("rvt_secret"));
        assert_eq!(one.url(), "http://h/v2/stream/a?ticket=...&id=compact");
        assert!(!format!("{one:?}").contains("secret"));
    }

    #[test]
    fn another_stream_of_the_same_gateway_is_asked_for_without_parameters() {
        for (url, other) in [
            ("http://h/v2/stream/a?ticket=secret", "http://h/v2/stream/b"),
            (
                "https://h/behind/a/proxy/v2/stream/a,c",
                "https://h/behind/a/proxy/v2/stream/b",
            ),
        ] {
            let one = target(url, None).unwrap();
            assert_eq!(one.other_stream("b").unwrap().url(), other);
            assert_eq!(one.other_stream("b c"), Err(InvalidTarget::Name));
        }
    }

    #[test]
    fn the_health_report_is_below_the_url_of_the_admin_listener() {
        for (url, health) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/healthz"),
            ("https://admin.example/", "https://admin.example/healthz"),
            ("http://h/behind/a/proxy?x=1", "http://h/behind/a/proxy/healthz"),
        ] {
            assert_eq!(url.parse::<StreamTarget>().unwrap().health().url(), health);
        }
    }

    #[test]
    fn what_names_no_stream_is_said() {
        assert_eq!(target("ftp://h/v2/stream/a", None), Err(InvalidTarget::Scheme));
        assert_eq!(target("h:80", None), Err(InvalidTarget::NoUrl));
        assert_eq!(target("http://h", None), Err(InvalidTarget::NoStream));
        assert_eq!(
            target("http://h/v2/stream/a", Some("b")),
            Err(InvalidTarget::TwoStreams)
        );
        assert_eq!(target("http://h", Some("a b")), Err(InvalidTarget::Name));
        assert_eq!(target("http://h", Some("a?b")), Err(InvalidTarget::Name));
    }
}
