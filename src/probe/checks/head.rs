//! The check of the response head that clients and proxies need.

use http::{HeaderMap, HeaderName, header};

use super::super::{Check, CheckResult};

pub(in crate::probe) const CHECK: Check = Check("contract");

/// Judges the headers of a response with status 200 and the right prelude. `is_private` is set for a response to a credential.
pub(in crate::probe) fn judge(headers: &HeaderMap, is_private: bool) -> CheckResult {
    let value = |name: &HeaderName| headers.get(name).map(|it| String::from_utf8_lossy(it.as_bytes()));
    let content_type = value(&header::CONTENT_TYPE).unwrap_or_default();
    if content_type != CONTENT_TYPE {
        return CHECK.critical(format!(
            "content-type is {content_type:?} instead of {CONTENT_TYPE:?}"
        ));
    }
    if let Some(encoding) = value(&header::CONTENT_ENCODING) {
        return CHECK.critical(format!(
            "the stream is compressed ({encoding}), although that was not requested"
        ));
    }
    let cache = value(&header::CACHE_CONTROL).unwrap_or_default();
    let (required, risk) = match is_private {
        true => (
            ["no-store", "no-transform"],
            "a proxy may hold events back, or give them to others",
        ),
        false => (["no-cache", "no-transform"], "a proxy may hold events back"),
    };
    if let Some(lacking) = required.into_iter().find(|word| !cache.contains(word)) {
        return CHECK.warning(format!("cache-control lacks {lacking}: {risk}"));
    }
    if value(&header::ACCESS_CONTROL_ALLOW_ORIGIN).as_deref() != Some("*") && !depends_on_origin(headers) {
        return CHECK.warning("web pages of other origins cannot read the stream (CORS)");
    }
    CHECK.ok("prelude exact")
}

/// Whether pages of some origins can read the response: the gateway then says that it depends on the origin, which a probe has not.
fn depends_on_origin(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::VARY).iter();
    let mut names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"origin"))
}

/// The whole value in lower case: clients look for exactly this.
const CONTENT_TYPE: &str = "text/event-stream; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Status;

    fn status(changes: &[(&'static str, &'static str)]) -> Status {
        let mut headers = HeaderMap::new();
        let good = [
            ("content-type", CONTENT_TYPE),
            ("cache-control", "no-cache, no-transform"),
            ("access-control-allow-origin", "*"),
        ];
        for (name, value) in good.into_iter().chain(changes.iter().copied()) {
            headers.insert(name, value.parse().unwrap());
        }
        judge(&headers, false).status
    }

    #[test]
    fn what_breaks_clients_is_critical_and_what_breaks_some_is_a_warning() {
        assert_eq!(status(&[]), Status::Ok);
        assert_eq!(status(&[("content-type", "text/event-stream")]), Status::Critical);
        assert_eq!(status(&[("content-type", "text/html")]), Status::Critical);
        assert_eq!(status(&[("content-encoding", "gzip")]), Status::Critical);
        assert_eq!(status(&[("cache-control", "no-cache")]), Status::Warning);
        assert_eq!(
            status(&[("access-control-allow-origin", "https://a.example")]),
            Status::Warning
        );
    }

    #[test]
    fn a_list_of_origins_is_a_choice_of_the_operator() {
        let listed = [("access-control-allow-origin", ""), ("vary", "Accept, Origin")];
        assert_eq!(status(&listed), Status::Ok);
        let other = [("access-control-allow-origin", ""), ("vary", "Accept")];
        assert_eq!(status(&other), Status::Warning);
    }

    #[test]
    fn what_a_credential_gets_must_not_be_stored() {
        let status = |cache: &'static str| {
            let lines = [
                ("content-type", CONTENT_TYPE),
                ("cache-control", cache),
                ("access-control-allow-origin", "*"),
            ];
            let lines = lines.map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, http::HeaderValue::from_static(value))
            });
            judge(&HeaderMap::from_iter(lines), true).status
        };
        assert_eq!(status("private, no-store, no-transform"), Status::Ok);
        assert_eq!(status("no-cache, no-transform"), Status::Warning);
    }
}
