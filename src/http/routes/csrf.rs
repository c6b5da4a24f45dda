//! Which requests to the admin listener may come from somebody who runs riverhead, and not from a page in a browser of theirs.
//!
//! Being asked on a loopback or a private network is no protection by itself: a page can have an operator's browser ask
//! anything anywhere. What it cannot choose is what the browser says of it (`Origin`, `Sec-Fetch-Site`) and, unless its own
//! name leads here, what it reads. Not here: the token that commands need (`command`).

use std::collections::BTreeSet;

use http::{HeaderMap, Method, Request, Version, header, uri::Authority};
use parking_lot::Mutex;

use super::hosts::{AllowedHosts, Host, HostPort};
use crate::{
    http::error::Error,
    metrics::{AdminRefusal, HttpMetrics},
};

/// Looks at every request to the admin listener.
#[derive(Debug)]
pub(super) struct CsrfProtection {
    hosts: AllowedHosts,
    metrics: HttpMetrics,
    /// What the log has told of.
    logged: Mutex<BTreeSet<String>>,
}

impl CsrfProtection {
    /// Knows these names, whatever they become.
    pub(in crate::http) fn new(hosts: AllowedHosts, metrics: HttpMetrics) -> Self {
        Self {
            hosts,
            metrics,
            logged: Mutex::default(),
        }
    }

    /// Lets a request pass, or says why it may not.
    ///
    /// # Errors
    /// 400 if it is not clear under which name it asks, 403 (of commands 421) if that name is not known, 403 if it comes from
    /// a page of another origin.
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

    /// Says once for each name how to have it known.
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
            "the admin listener was asked under a name that it does not know, and refused; if the name is yours, put \
             `hosts = [{}]` under [admin] and reload",
            all.join(", ")
        );
    }

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
                "a page in a browser asked the admin listener, and was refused: only pages of its own may"
            );
        }
    }

    /// Whether the log has not told of it. There is an end to what it tells of: names are a stranger's choice.
    fn should_log(&self, what: &str) -> bool {
        let mut logged = self.logged.lock();
        logged.len() < MAX_LOGGED && logged.insert(what.to_owned())
    }
}

/// Under which name the listener is asked; `None` if none is given, as by old clients that are no browsers.
fn host_of<B>(request: &Request<B>) -> Result<Option<HostPort>, Error> {
    let mut fields = request.headers().get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Error::BadHost("there is more than one"));
    }
    let read = |text: &str| HostPort::read(text).ok_or(Error::BadHost("it is no name with a port"));
    let field = field.map(|field| field.to_str().map_err(|_| Error::BadHost("it is no text")));
    let field = field.transpose()?;
    let is_there = field.is_some();
    // An empty one is a name as little as none is, and no browser sends it.
    let field = field.filter(|field| !field.is_empty()).map(read).transpose()?;
    let target = authority(request).map(read).transpose()?;
    match (field, target) {
        (Some(field), Some(target)) if field != target => {
            Err(Error::BadHost("it is not the one of the request's target"))
        }
        (None, None) if request.version() == Version::HTTP_11 && !is_there => {
            Err(Error::BadHost("there is none"))
        }
        (field, target) => Ok(target.or(field)),
    }
}

/// The host and port of a target in absolute form, or of HTTP/2's `:authority`, which stands beside the target.
fn authority<B>(request: &Request<B>) -> Option<&str> {
    let beside = request.extensions().get::<Authority>();
    let authority = request.uri().authority().or(beside);
    authority.map(Authority::as_str)
}

/// Whether a browser says that this comes from a page of somebody else.
fn is_cross_site(headers: &HeaderMap, own: Option<&HostPort>) -> bool {
    let sites = headers.get_all("sec-fetch-site").iter();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    sites
        .into_iter()
        .any(|site| matches!(site.as_bytes(), b"cross-site" | b"same-site"))
        || origins.any(|origin| !origin.to_str().is_ok_and(|origin| is_same_origin(origin, own)))
}

/// Whether an origin is that of the listener's own pages. The scheme is not compared: TLS may end before us.
fn is_same_origin(origin: &str, own: Option<&HostPort>) -> bool {
    let (default, rest) = match origin.split_once("://") {
        Some(("http", rest)) => (80, rest),
        Some(("https", rest)) => (443, rest),
        _ => return false,
    };
    let with_port = |host: &HostPort| (host.name.clone(), host.port.unwrap_or(default));
    HostPort::read(rest)
        .zip(own)
        .is_some_and(|(origin, own)| with_port(&origin) == with_port(own))
}

/// How many names and origins the log tells of: more than an operator has.
const MAX_LOGGED: usize = 64;

/// How much of an origin is told, in characters.
const MAX_LOGGED_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn csrf_protection() -> CsrfProtection {
        let hosts = AllowedHosts::new(&["*.example.svc".parse().unwrap()]);
        CsrfProtection::new(hosts, HttpMetrics::default())
    }

    /// The status of a refusal, 0 for none.
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
            // A person who typed the address, and a page of our own.
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
