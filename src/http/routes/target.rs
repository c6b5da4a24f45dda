//! The request target, as the routes know it.

use http::{Method, Request, Uri};

/// Whether it asks of the server in whole (`OPTIONS *`: RFC 9110, section 9.3.7), as load balancers do to see that it is there.
pub(super) fn is_asterisk_form<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.uri().path() == "*"
}

/// Whether it asks how we are, and for nothing else.
pub(super) fn is_health_check<B>(request: &Request<B>) -> bool {
    if is_asterisk_form(request) {
        return true;
    }
    let path = request.uri().path();
    let path = path.strip_suffix('/').unwrap_or(path);
    HEALTH_CHECKS.iter().any(|own| own.eq_ignore_ascii_case(path))
}

/// The target as our routes know it: without scheme and authority, in lower case but for the streams' names, without a
/// slash at its end. The service whose clients we serve is as lenient.
pub(super) fn normalize_target(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    // As a rule it is so already, and neither copied nor parsed again.
    if uri.scheme().is_none() && path.starts_with(STREAMS) && (path == STREAMS || !path.ends_with('/')) {
        return Some(uri.clone());
    }
    let begins = |with: &&&str| {
        path.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    let literal = [STREAMS, COMMANDS].iter().find(begins);
    let literal = literal.map_or(path.len(), |start| start.len());
    let mut target = path[..literal].to_ascii_lowercase() + &path[literal..];
    if target.len() > 1 && target != STREAMS && target.ends_with('/') {
        target.pop();
    }
    if let Some(query) = uri.query() {
        target.push('?');
        target.push_str(query);
    }
    Uri::builder().path_and_query(target).build().ok()
}

/// Before the names of streams.
pub(super) const STREAMS: &str = "/v2/stream/";

/// What health checks ask for.
const HEALTH_CHECKS: [&str; 2] = ["/livez", "/readyz"];

/// Before the name of a stream, in commands.
const COMMANDS: &str = "/admin/clusters/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_leniently_as_eventstreams_does() {
        for (target, plainly) in [
            ("/v2/stream/recentchange", "/v2/stream/recentchange"),
            ("/V2/Stream/RecentChange/", "/v2/stream/RecentChange"),
            ("/v2/stream/a%2Cb?since=T", "/v2/stream/a%2Cb?since=T"),
            ("http://stream.example/v2/stream/a?x", "/v2/stream/a?x"),
            ("http://stream.example", "/"),
            ("/v2/stream/", "/v2/stream/"),
            ("/Admin/Clusters/Edits/active", "/admin/clusters/Edits/active"),
            ("/LIVEZ/", "/livez"),
            ("/", "/"),
            ("*", "*"),
        ] {
            let target: Uri = target.parse().unwrap();
            assert_eq!(
                normalize_target(&target).unwrap().to_string(),
                plainly,
                "{target}"
            );
        }
    }
}
