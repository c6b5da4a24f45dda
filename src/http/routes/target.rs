//! The normal form of a request target, and the targets that are known before routing.

use http::{Method, Request, Uri};

/// Whether a request is about the server as a whole (`OPTIONS *`: RFC 9110, section 9.3.7), as load balancers send it to see that
/// the server is there.
pub(super) fn is_asterisk_form<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.uri().path() == "*"
}

/// Whether a request is a health check and nothing else.
pub(super) fn is_health_check<B>(request: &Request<B>) -> bool {
    if is_asterisk_form(request) {
        return true;
    }
    let path = request.uri().path();
    let path = path.strip_suffix('/').unwrap_or(path);
    HEALTH_CHECKS.iter().any(|own| own.eq_ignore_ascii_case(path))
}

/// Returns the target as the routes know it: without scheme and authority, in lower case except for the names of streams,
/// without a slash at its end. EventStreams, whose clients we serve, is as lenient. Returns `None` if the result is no URI.
pub(super) fn normalize_target(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    // Mostly the target is in this form already, and is neither copied nor parsed again.
    if uri.scheme().is_none() && path.starts_with(STREAMS) && (path == STREAMS || !path.ends_with('/')) {
        return Some(uri.clone());
    }
    let begins = |with: &&&str| {
        path.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    let literal = [STREAMS, STREAM_LIST, COMMANDS].iter().find(begins);
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

/// The path before the names of streams.
pub(super) const STREAMS: &str = "/v2/stream/";

/// The path where tickets are made: the only public one that takes POST.
pub(super) const TICKETS: &str = "/v2/tickets";

/// The path before the name of a stream that is asked about.
pub(super) const STREAM_LIST: &str = "/v2/streams/";

/// The paths of health checks.
const HEALTH_CHECKS: [&str; 2] = ["/livez", "/readyz"];

/// The path before the name of a stream in commands.
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
            ("/V2/Streams/RecentChange/", "/v2/streams/RecentChange"),
            ("/V2/Streams/", "/v2/streams"),
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
