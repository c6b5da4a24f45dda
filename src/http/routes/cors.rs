//! CORS of the public listener (Fetch standard): which pages may read it. By default those of all origins may.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::target::TICKETS;
use crate::http::{
    ALLOWED_METHODS,
    settings::{AllowedOrigins, CorsSettings},
};

/// The headers that a page may always send.
const ALLOWED: &str = "accept, x-requested-with, content-type, last-event-id, cache-control";

/// The rules of a listener.
#[derive(Debug)]
pub(in crate::http) struct Cors {
    origins: AllowedOrigins,
    credentials: bool,
    /// The headers of responses that pages may read besides those that they always may.
    expose: Vec<HeaderName>,
    /// How long a preflight may be cached, in seconds.
    max_age: HeaderValue,
}

/// What a response says of the page that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum PageAccess {
    /// Pages of all origins may read it.
    All,
    /// Those of this origin may.
    Origin(HeaderValue),
    /// This one may not, or the request is of no page.
    Nobody,
}

impl Cors {
    /// Creates the rules of these settings.
    pub(in crate::http) fn of(settings: &CorsSettings) -> Self {
        Self {
            origins: settings.origins.clone(),
            credentials: settings.credentials,
            expose: settings.expose.clone(),
            max_age: settings.max_age.as_secs().into(),
        }
    }

    /// Returns whether the page that sent a request may read the response.
    pub(super) fn page_access(&self, request: &HeaderMap) -> PageAccess {
        match &self.origins {
            AllowedOrigins::All => PageAccess::All,
            AllowedOrigins::Listed(_) => match request.get(header::ORIGIN) {
                Some(origin) if self.lists(origin) => PageAccess::Origin(origin.clone()),
                _ => PageAccess::Nobody,
            },
        }
    }

    /// Whether an origin is one of the listed ones.
    pub(super) fn lists(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            AllowedOrigins::All => false,
            AllowedOrigins::Listed(origins) => origins.iter().any(|own| own.as_bytes() == origin.as_bytes()),
        }
    }

    /// Adds the headers to a response.
    pub(super) fn add_headers(&self, access: PageAccess, headers: &mut HeaderMap) {
        if let Some(exposed) = self.exposed(headers) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        let is_listed = matches!(self.origins, AllowedOrigins::Listed(_));
        let origin = match access {
            PageAccess::All => Some(HeaderValue::from_static("*")),
            PageAccess::Origin(origin) => Some(origin),
            PageAccess::Nobody => None,
        };
        if let Some(origin) = origin {
            let allowed = HeaderValue::from_static(ALLOWED);
            headers
                .entry(header::ACCESS_CONTROL_ALLOW_ORIGIN)
                .or_insert(origin);
            headers
                .entry(header::ACCESS_CONTROL_ALLOW_HEADERS)
                .or_insert(allowed);
            if is_listed && self.credentials {
                let allowed = HeaderValue::from_static("true");
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
            }
        }
        if is_listed {
            // A cache must not give one page's answer to another.
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }

    /// Returns the names of the response's headers that pages may read. Returns `None` if it has none of them.
    fn exposed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut present = self.expose.iter().filter(|name| headers.contains_key(*name));
        let first = present.next()?;
        let names = present.fold(first.as_str().to_owned(), |names, name| {
            names + ", " + name.as_str()
        });
        HeaderValue::from_str(&names).ok()
    }

    /// Returns the response to a preflight. Returns `None` if the request is none.
    ///
    /// A page may send every header that it asks to send: we read few headers, and tracing libraries add their own to every request of
    /// a page. The response names them one by one, because `*` does not cover `authorization`.
    fn preflight(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
        let is_preflight = method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        let requested = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let requested = requested.filter(|requested| is_list_of_names(requested)).cloned();
        let (own, allowed) = match path {
            TICKETS => ("POST", "POST"),
            _ => (ALLOWED_METHODS, "GET, HEAD"),
        };
        let fields = [
            (header::ALLOW, HeaderValue::from_static(own)),
            (
                header::ACCESS_CONTROL_ALLOW_METHODS,
                HeaderValue::from_static(allowed),
            ),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                requested.unwrap_or(HeaderValue::from_static(ALLOWED)),
            ),
            (header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
            (
                header::VARY,
                HeaderValue::from_static("Access-Control-Request-Headers"),
            ),
        ];
        Some((StatusCode::OK, fields).into_response())
    }
}

/// Answers a preflight, whatever path it is for: a page may also read that a path does not exist.
pub(super) async fn answer_preflight(
    State(cors): State<Arc<Cors>>,
    request: Request,
    next: Next,
) -> Response {
    match cors.preflight(request.method(), request.uri().path(), request.headers()) {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

/// Whether a value is a list of header names, as browsers send it. Nothing else is repeated in a response.
fn is_list_of_names(list: &HeaderValue) -> bool {
    let is_name = |name: &[u8]| HeaderName::from_bytes(name.trim_ascii()).is_ok();
    let list = list.as_bytes();
    list.len() <= MAX_LIST_LEN && list.split(|byte| *byte == b',').all(is_name)
}

/// The longest list of names that is sent back, in bytes.
const MAX_LIST_LEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(settings: CorsSettings) -> Cors {
        Cors::of(&settings)
    }

    fn listed(credentials: bool) -> Cors {
        cors(CorsSettings {
            origins: AllowedOrigins::Listed(vec!["https://page.example".into()]),
            credentials,
            ..CorsSettings::default()
        })
    }

    fn allowed(requested: &'static str) -> String {
        let headers = HeaderMap::from_iter([
            (header::ORIGIN, HeaderValue::from_static("https://page.example")),
            (
                header::ACCESS_CONTROL_REQUEST_METHOD,
                HeaderValue::from_static("GET"),
            ),
            (
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                HeaderValue::from_static(requested),
            ),
        ]);
        let answer = cors(CorsSettings::default())
            .preflight(&Method::OPTIONS, "/", &headers)
            .unwrap();
        let allowed = &answer.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS];
        allowed.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_page_may_send_what_it_asks_to_send() {
        for requested in [
            "authorization,baggage,sentry-trace",
            "Traceparent, X-Request-Id",
            "a",
        ] {
            assert_eq!(allowed(requested), requested);
        }
        for rubbish in ["", "a,,b", "a b", "<script>", "a, \"b\""] {
            assert_eq!(allowed(rubbish), ALLOWED, "{rubbish}");
        }
    }

    #[test]
    fn only_a_preflight_is_answered_as_one() {
        let cors = cors(CorsSettings::default());
        let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("null"))]);
        assert!(cors.preflight(&Method::OPTIONS, "/", &headers).is_none());
        assert!(cors.preflight(&Method::GET, "/", &headers).is_none());
    }

    /// Returns the headers of a response to a request of this origin.
    fn response(
        cors: &Cors,
        origin: Option<&'static str>,
        own: &[(HeaderName, &'static str)],
    ) -> Vec<String> {
        let origin = origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin)));
        let request = HeaderMap::from_iter(origin);
        let own = own
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::from_iter(own);
        cors.add_headers(cors.page_access(&request), &mut headers);
        let lines = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let lines = lines.filter(|line| !line.starts_with("access-control-allow-headers"));
        lines.collect()
    }

    #[test]
    fn only_listed_origins_are_echoed_and_caches_tell_pages_apart() {
        for (origin, allowed) in [
            (Some("https://page.example"), true),
            (Some("https://page.example:8443"), false),
            (Some("http://page.example"), false),
            (Some("https://page.example.evil.example"), false),
            (Some("null"), false),
            (None, false),
        ] {
            let headers = response(&listed(true), origin, &[(header::VARY, "Accept")]);
            let vary = ["vary: Accept", "vary: Origin"].map(str::to_owned);
            assert!(vary.iter().all(|line| headers.contains(line)), "{headers:?}");
            let echoed = headers.contains(&"access-control-allow-origin: https://page.example".to_owned());
            let credentials = headers.contains(&"access-control-allow-credentials: true".to_owned());
            assert_eq!([echoed, credentials], [allowed; 2], "{origin:?}: {headers:?}");
        }
        let headers = response(&listed(false), Some("https://page.example"), &[]);
        assert!(!headers.concat().contains("credentials"), "{headers:?}");
    }

    #[test]
    fn by_default_all_pages_read_all_and_the_time_to_retry() {
        let default = cors(CorsSettings::default());
        for origin in [Some("https://page.example"), Some("null"), None] {
            assert_eq!(
                response(&default, origin, &[]),
                ["access-control-allow-origin: *"]
            );
        }
        let refused = response(&default, None, &[(header::RETRY_AFTER, "5")]);
        assert!(refused.contains(&"access-control-expose-headers: retry-after".to_owned()));
    }
}
