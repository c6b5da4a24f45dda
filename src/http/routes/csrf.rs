//! CSRF protection of the admin listener: requests that a foreign page makes in an operator's browser are refused.
//!
//! Not here: the token that commands need (`admin_commands`).
//!
//! A loopback or private address is no protection by itself, because a page can make an operator's browser send requests to any
//! address. The page cannot choose what the browser says of it (`Origin`, `Sec-Fetch-Site`). It cannot read the responses either,
//! unless its own host name resolves to this listener.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderValue, Method, Request, header};
use parking_lot::Mutex;

use super::hosts::{AllowedHosts, Host, HostPort, host_of};
use crate::{
    http::error::Error,
    metrics::{AdminRefusal, HttpMetrics},
};

/// The check that every request to the admin listener passes.
#[derive(Debug)]
pub(super) struct CsrfProtection {
    hosts: AllowedHosts,
    metrics: HttpMetrics,
    /// The names and origins that were logged.
    logged: Mutex<BTreeSet<String>>,
}

impl CsrfProtection {
    /// Creates the check. Later changes of `hosts` apply to it.
    pub(in crate::http) fn new(hosts: AllowedHosts, metrics: HttpMetrics) -> Self {
        Self {
            hosts,
            metrics,
            logged: Mutex::default(),
        }
    }

    /// Checks the host and the origin of a request, and counts and logs a refusal.
    ///
    /// # Errors
    /// 400 if its host name is ambiguous, missing or invalid, 403 (for commands 421) if that name is not allowed, 403 if it comes
    /// from a page of another origin.
    pub(in crate::http) fn check<B>(&self, request: &Request<B>) -> Result<(), Error> {
        let host = host_of(request).inspect_err(|_| self.metrics.admin_refused(AdminRefusal::Malformed))?;
        if let Some(host) = &host
            && !self.hosts.allows(&host.name)
        {
            self.metrics.admin_refused(AdminRefusal::Host);
            self.log_unknown_host(&host.name);
            return Err(match *request.method() {
                Method::POST => Error::WrongHost,
                _ => Error::UnknownHost,
            });
        }
        if is_cross_site(request.headers(), host.as_ref()) {
            self.metrics.admin_refused(AdminRefusal::Origin);
            self.log_foreign_origin(request.headers());
            return Err(Error::OtherOrigin);
        }
        Ok(())
    }

    /// Logs once for each name how to allow it.
    fn log_unknown_host(&self, name: &Host) {
        let name = name.to_string();
        if !self.should_log(&name) {
            return;
        }
        let known = self.hosts.names();
        let all = known.iter().map(ToString::to_string).chain([name.clone()]);
        let all: Vec<_> = all.map(|name| format!("{name:?}")).collect();
        tracing::warn!(
            host = name,
            "a request to the admin listener was refused: its host name is not allowed; if the name is yours, \
             set `hosts = [{}]` under [admin] and reload",
            all.join(", ")
        );
    }

    /// Logs each foreign origin once.
    fn log_foreign_origin(&self, headers: &HeaderMap) {
        let origin = headers.get(header::ORIGIN).map(|origin| origin.as_bytes());
        let origin = origin.map_or_else(
            || "unknown".to_owned(),
            |origin| origin.escape_ascii().to_string(),
        );
        let origin: String = origin.chars().take(MAX_LOGGED_CHARS).collect();
        if self.should_log(&origin) {
            tracing::warn!(
                origin,
                "a request to the admin listener was refused: it came from a web page of another origin"
            );
        }
    }

    /// Whether `what` is to be logged, because it was not yet. At most [`MAX_LOGGED`] are: the names are a stranger's choice.
    fn should_log(&self, what: &str) -> bool {
        let mut logged = self.logged.lock();
        logged.len() < MAX_LOGGED && logged.insert(what.to_owned())
    }
}

/// Whether a browser says that the request comes from a page of another origin.
fn is_cross_site(headers: &HeaderMap, own: Option<&HostPort>) -> bool {
    let sites = headers.get_all("sec-fetch-site").iter();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_other_site = |site: &HeaderValue| matches!(site.as_bytes(), b"cross-site" | b"same-site");
    sites.into_iter().any(is_other_site)
        || origins.any(|origin| !origin.to_str().is_ok_and(|origin| is_same_origin(origin, own)))
}

/// Whether an origin is that of the listener's own pages. The scheme is not compared, because a proxy in front of us may
/// terminate TLS.
fn is_same_origin(origin: &str, own: Option<&HostPort>) -> bool {
    let (default, rest) = match origin.split_once("://") {
        Some(("http", rest)) => (80, rest),
        Some(("https", rest)) => (443, rest),
        _ => return false,
    };
    let with_port = |host: &HostPort| (host.name.clone(), host.port.unwrap_or(default));
    let both = HostPort::read(rest).zip(own);
    both.is_some_and(|(origin, own)| with_port(&origin) == with_port(own))
}

/// How many names and origins are logged: more than an operator has.
const MAX_LOGGED: usize = 64;

/// How much of an origin is logged, in characters.
const MAX_LOGGED_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn csrf_protection() -> CsrfProtection {
        let hosts = AllowedHosts::new(&["*.example.svc".parse().unwrap()]);
        CsrfProtection::new(hosts, HttpMetrics::default())
    }

    /// Returns the status of the refusal, or 0 if the request passes.
    fn status(
        csrf_protection: &CsrfProtection,
        method: &str,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> u16 {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let refused = csrf_protection.check(&request).err();
        refused.map_or(0, |error| error.into_response().status().as_u16())
    }

    #[test]
    fn a_scrape_by_address_and_by_a_listed_name_and_a_probe_of_kubernetes_pass() {
        let csrf_protection = csrf_protection();
        for headers in [
            // Prometheus, by address and by name.
            &[("host", "10.1.2.3:8081"), ("user-agent", "Prometheus/3.5.0")][..],
            &[
                ("host", "riverhead.example.svc:8081"),
                ("user-agent", "Prometheus/3.5.0"),
            ],
            // The kubelet.
            &[
                ("host", "10.244.0.17:8081"),
                ("user-agent", "kube-probe/1.34"),
                ("accept", "*/*"),
                ("connection", "close"),
            ],
            &[("host", "[2001:db8::17]:8081"), ("user-agent", "kube-probe/1.34")],
            // An address typed by a person, and a page of our own.
            &[("host", "localhost:8081"), ("sec-fetch-site", "none")],
            &[
                ("host", "localhost:8081"),
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://localhost:8081"),
            ],
            &[
                ("host", "riverhead.example.svc"),
                ("origin", "https://riverhead.example.svc"),
            ],
        ] {
            assert_eq!(
                status(&csrf_protection, "GET", "/metrics", headers),
                0,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn a_page_of_somebody_else_reads_nothing() {
        let csrf_protection = csrf_protection();
        for headers in [
            &[("host", "evil.example:8081")][..],
            &[("host", "127.0.0.1:8081"), ("origin", "https://evil.example")],
            &[("host", "127.0.0.1:8081"), ("origin", "null")],
            &[("host", "127.0.0.1:8081"), ("origin", "http://127.0.0.1:8080")],
            &[("host", "127.0.0.1:8081"), ("sec-fetch-site", "cross-site")],
            &[("host", "127.0.0.1:8081"), ("sec-fetch-site", "same-site")],
        ] {
            for method in ["GET", "HEAD", "OPTIONS"] {
                assert_eq!(
                    status(&csrf_protection, method, "/healthz", headers),
                    403,
                    "{method} {headers:?}"
                );
            }
        }
        assert_eq!(
            status(&csrf_protection, "POST", "/", &[("host", "evil.example")]),
            421
        );
    }

    #[test]
    fn a_request_under_two_names_is_a_mistake() {
        let csrf_protection = csrf_protection();
        for (target, headers) in [
            ("/metrics", &[("host", "127.0.0.1"), ("host", "127.0.0.1")][..]),
            ("http://evil.example/metrics", &[("host", "127.0.0.1")]),
            ("http://127.0.0.1:8082/metrics", &[("host", "127.0.0.1:8081")]),
            ("/metrics", &[("host", "127.0.0.1:8081, evil")]),
            ("/metrics", &[]),
        ] {
            assert_eq!(
                status(&csrf_protection, "GET", target, headers),
                400,
                "{target} {headers:?}"
            );
        }
        let same = status(
            &csrf_protection,
            "GET",
            "http://127.0.0.1:8081/",
            &[("host", "127.0.0.1:8081")],
        );
        assert_eq!(same, 0);
    }

    #[test]
    fn a_name_is_told_once_and_a_flood_of_them_has_an_end() {
        let csrf_protection = csrf_protection();
        assert!(csrf_protection.should_log("a") && !csrf_protection.should_log("a"));
        let logged = (0..1_000)
            .filter(|n| csrf_protection.should_log(&n.to_string()))
            .count();
        assert_eq!(logged, MAX_LOGGED - 1);
    }
}
