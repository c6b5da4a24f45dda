//! The cookie that carries a credential, and from which pages it counts.
//!
//! A browser sends a cookie with whatever a page makes it ask, so a cookie says nothing of who asks. What a page cannot choose is what
//! the browser says of it (`Origin`, `Sec-Fetch-Site`).

use http::{HeaderMap, Method, header};

use super::cors::Cors;
use crate::http::Error;

/// Returns the value of the cookie called `name`. An empty name finds none.
///
/// # Errors
/// 400 if there are several: those of different domains or paths, of which another site may have set one.
pub(super) fn find(headers: &HeaderMap, name: &str) -> Result<Option<String>, Error> {
    // HTTP/2 sends each cookie in a line of its own (RFC 9113, section 8.2.3).
    let lines = headers.get_all(header::COOKIE).iter();
    let cookies = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = cookies.filter_map(|cookie| {
        let cookie = cookie.trim_ascii();
        cookie.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
    });
    match (name, values.next(), values.next()) {
        ("", ..) | (_, None, _) => Ok(None),
        (_, Some(_), Some(_)) => Err(Error::SeveralCredentials),
        // Quotes may stand around a value (RFC 6265, section 4.1.1).
        (_, Some(value), None) => {
            let inner = value
                .strip_prefix(b"\"")
                .and_then(|value| value.strip_suffix(b"\""));
            Ok(Some(String::from_utf8_lossy(inner.unwrap_or(value)).into_owned()))
        }
    }
}

/// Whether a cookie counts: the request is of a page that may send one. For a POST, which gets something that outlives it, only listed
/// origins count: browsers send `Origin` with every one.
pub(super) fn counts(method: &Method, headers: &HeaderMap, cors: &Cors) -> bool {
    let has_origin = headers.contains_key(header::ORIGIN);
    (has_origin || method != Method::POST) && is_of_trusted_page(headers, cors)
}

/// Whether a request is of a page with a listed origin, or of a page of our own, or of no page.
pub(super) fn is_of_trusted_page(headers: &HeaderMap, cors: &Cors) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => cors.lists(origin),
        (Some(_), Some(_)) => false,
        (None, _) => {
            let mut sites = headers.get_all("sec-fetch-site").iter();
            match (sites.next(), sites.next()) {
                (Some(site), None) => site.as_bytes() == b"same-origin",
                (Some(_), Some(_)) => false,
                // A program. A browser that is too old to send one of these sends none.
                (None, _) => !headers.keys().any(|name| name.as_str().starts_with("sec-fetch-")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::http::settings::{AllowedOrigins, CorsSettings};

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        let lines =
            lines.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        lines.for_each(|(name, value)| _ = headers.append(name, value));
        headers
    }

    #[test]
    fn a_cookie_is_found_among_others_and_of_two_none_is_chosen() {
        let found = |lines: &[&'static str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
            find(&headers(&lines), "c").map_err(|error| error.to_string())
        };
        assert_eq!(found(&["a=1; c=x.y=; d=2"]), Ok(Some("x.y=".into())));
        assert_eq!(found(&["a=1", "c=\"x\""]), Ok(Some("x".into())));
        assert_eq!(found(&["cc=1; C=2; c; ac=3"]), Ok(None));
        assert!(found(&["c=1; c=2"]).is_err());
        assert!(found(&["c=1", "c=1"]).is_err());
        assert_eq!(find(&headers(&[("cookie", "=x")]), "").unwrap(), None);
    }

    #[test]
    fn a_cookie_counts_from_our_own_and_listed_pages_and_from_programs() {
        let listed = Cors::of(&CorsSettings {
            origins: AllowedOrigins::Listed(vec!["https://page.example".into()]),
            ..CorsSettings::default()
        });
        let all = Cors::of(&CorsSettings::default());
        for (lines, of_listed, of_all) in [
            (&[][..], true, true),
            (&[("origin", "https://page.example")], true, false),
            (
                &[
                    ("origin", "https://page.example"),
                    ("sec-fetch-site", "cross-site"),
                ],
                true,
                false,
            ),
            (&[("origin", "https://evil.example")], false, false),
            (&[("origin", "null")], false, false),
            (
                &[
                    ("origin", "https://page.example"),
                    ("origin", "https://evil.example"),
                ],
                false,
                false,
            ),
            (
                &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")],
                true,
                true,
            ),
            (&[("sec-fetch-site", "same-site")], false, false),
            (&[("sec-fetch-site", "cross-site")], false, false),
            (&[("sec-fetch-site", "none")], false, false),
            (&[("sec-fetch-mode", "navigate")], false, false),
        ] {
            let headers = headers(lines);
            assert_eq!(
                [&listed, &all].map(|cors| counts(&Method::GET, &headers, cors)),
                [of_listed, of_all],
                "{lines:?}"
            );
            let has_origin = lines.iter().any(|(name, _)| *name == "origin");
            assert_eq!(
                [&listed, &all].map(|cors| counts(&Method::POST, &headers, cors)),
                [of_listed && has_origin, false],
                "{lines:?}"
            );
        }
    }
}
