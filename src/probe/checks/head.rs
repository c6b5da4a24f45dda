//! The check of the response head that clients and proxies need.

use http::{HeaderMap, HeaderName, header};

use super::super::{Check, CheckResult};

pub(in crate::probe) const CHECK: Check = Check("contract");

/// Judges the headers of a response with status 200 and the right prelude.
pub(in crate::probe) fn judge(headers: &HeaderMap) -> CheckResult {
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
    let required = ["no-cache", "no-transform"];
    if let Some(lacking) = required.into_iter().find(|word| !cache.contains(word)) {
        return CHECK.warning(format!(
            "cache-control lacks {lacking}: a proxy may hold events back"
        ));
    }
    if value(&header::ACCESS_CONTROL_ALLOW_ORIGIN).as_deref() != Some("*") {
        return CHECK.warning("web pages of other origins cannot read the stream (CORS)");
    }
    CHECK.ok("prelude exact")
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
        judge(&headers).status
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
}
