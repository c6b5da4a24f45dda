//! The answer of a plain listener whose clients are to use TLS (`http.redirect`).

use std::net::IpAddr;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Request, StatusCode, header};

use super::hosts::{Host, HostPort, host_of};
use crate::http::error::Error;

/// Sends clients to the listener with TLS.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct HttpsRedirect {
    port: u16,
}

impl HttpsRedirect {
    /// Creates the redirect to the listener on `port`.
    pub(in crate::http) fn new(port: u16) -> Self {
        Self { port }
    }

    /// Returns a redirect to the same target. The status is 308, with which a client repeats the method too.
    ///
    /// # Errors
    /// 400 if the request names no host, or its target is no path: `*` would become a part of the host.
    pub(super) fn answer<B>(self, request: &Request<B>) -> Result<Response, Error> {
        let host = host_of(request)?.ok_or(Error::BadHost("the header is missing"))?;
        let (path, query) = (request.uri().path(), request.uri().query());
        if !path.starts_with('/') {
            return Err(Error::BadPath);
        }
        let mut location = format!("https://{}{path}", self.authority(&host));
        if let Some(query) = query {
            location.push('?');
            location.push_str(query);
        }
        let location = HeaderValue::try_from(location).map_err(|_| Error::BadPath)?;
        Ok((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)]).into_response())
    }

    /// Returns the authority for a client that came with this one. A client that names no port used port 80. Whatever maps that port
    /// to ours does the same with port 443, which is not known here.
    fn authority(self, host: &HostPort) -> String {
        let name = match &host.name {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            name => name.to_string(),
        };
        match host.port {
            None | Some(HTTP_PORT) => name,
            Some(_) => format!("{name}:{}", self.port),
        }
    }
}

/// The port of URLs with `http` that name none.
const HTTP_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn location(host: &str, target: &str) -> Option<String> {
        let request = Request::get(target).header(header::HOST, host).body(()).unwrap();
        let response = HttpsRedirect::new(8443).answer(&request).ok()?;
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        Some(response.headers()[header::LOCATION].to_str().unwrap().to_owned())
    }

    #[test]
    fn a_client_keeps_its_target_and_its_way_through_mapped_ports() {
        for (host, target, expected) in [
            (
                "a.example",
                "/v2/stream/a?since=1",
                "https://a.example/v2/stream/a?since=1",
            ),
            ("a.example:80", "/", "https://a.example/"),
            ("a.example:8080", "/", "https://a.example:8443/"),
            ("[::1]:8080", "/x", "https://[::1]:8443/x"),
            ("192.0.2.1", "//evil.example/", "https://192.0.2.1//evil.example/"),
            ("a.example", "http://a.example?x", "https://a.example/?x"),
        ] {
            assert_eq!(
                location(host, target).as_deref(),
                Some(expected),
                "{host} {target}"
            );
        }
    }

    #[test]
    fn a_request_that_names_nobody_is_sent_nowhere() {
        assert_eq!(location("", "/"), None);
        assert_eq!(location("a b", "/"), None);
    }

    #[test]
    fn a_target_that_is_no_path_does_not_change_the_host() {
        assert_eq!(location("a.example", "*"), None);
        assert_eq!(location("a.example:8080", "*"), None);
    }
}
