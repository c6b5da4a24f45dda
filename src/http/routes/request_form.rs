//! Whether a request has the form that a request must have, and is not too large to be looked at.

use http::{HeaderMap, HeaderValue, Method, Request, Version, header};

use crate::http::{error::Error, server::conn::MAX_PIPELINED_BYTES};

/// Refuses what is too large, or could mean one thing to us and another to a proxy before us.
pub(in crate::http) fn check<B>(request: &Request<B>) -> Result<(), Error> {
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        return Err(Error::TargetTooLong(MAX_TARGET));
    }
    let headers = request.headers();
    if headers.len() > MAX_FIELDS {
        return Err(Error::TooManyHeaders(MAX_FIELDS));
    }
    if header_bytes(headers) > MAX_HEADERS {
        return Err(Error::HeadTooLarge(MAX_HEADERS));
    }
    check_host(headers, request.version())?;
    check_coding(headers)?;
    check_body(request)
}

/// How many bytes these headers were on the wire.
fn header_bytes(headers: &HeaderMap) -> usize {
    const SEPARATORS: usize = ": \r\n".len();
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + SEPARATORS)
        .sum()
}

/// RFC 9112, section 3.2: one `Host` that can be one. HTTP/1.0 need not have it, and HTTP/2 has a field of its own.
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Error> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => Err(Error::BadHost("it is missing")),
        (Some(_), Some(_)) => Err(Error::BadHost("it is there twice")),
        (Some(host), None) if !is_host(host) => Err(Error::BadHost("it is no name or address with a port")),
        _ => Ok(()),
    }
}

/// Whether it is `uri-host [ ":" port ]`: RFC 3986, section 3.2.2. It may be empty.
fn is_host(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("", port),
        Some(_) => return false,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    name.bytes().all(|byte| NAME_BYTES[usize::from(byte)])
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Whether a byte may stand in a name: a table, because a name may have as many bytes as all headers.
const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let (mut byte, others) = (0, b"-._~!$&'()*+,;=%");
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

/// `Transfer-Encoding` is `chunked`, once: whoever counts it twice reads another body, and another request behind it.
///
/// Beside a `Content-Length` it is what counts, and the connection ends behind the answer (RFC 9112, section 6.3): so hyper does it,
/// which shows us no `Content-Length` then.
fn check_coding(headers: &HeaderMap) -> Result<(), Error> {
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Error::BadCoding),
    }
}

/// What is sent behind a GET is not read, and ends a stream when it is too much; whoever sends it would come back and send it
/// again.
fn check_body<B>(request: &Request<B>) -> Result<(), Error> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if is_safe(request.method()) && length.is_some_and(|length| length > MAX_PIPELINED_BYTES as u64) {
        return Err(Error::BodyTooLarge(MAX_PIPELINED_BYTES));
    }
    Ok(())
}

fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// The longest request target, in bytes: an id may stand in it. Beyond it: 414.
const MAX_TARGET: usize = 16 * 1024;

/// The largest block of headers, in bytes: twice the longest id, for what proxies and browsers add. Beyond it: 431.
const MAX_HEADERS: usize = 32 * 1024;

/// The most lines of headers: several times what browsers and chains of proxies send. Beyond it: 431.
const MAX_FIELDS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_a_port() {
        for host in [
            "",
            "stream.example",
            "stream.example:",
            "stream.example:8080",
            "a_b.example",
            "xn--bcher-kva.example.",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:443",
            "%41.example",
        ] {
            assert!(is_host(&host.parse().unwrap()), "{host}");
        }
        for host in [
            "a b", "a@b", "a/b", "http://a", "a:b", "a:80:80", "::1", "[::1", "[::1]x", "[x]", "a?b", "a#b",
            "a\\b", "\"a\"", "a, b",
        ] {
            assert!(!is_host(&host.parse().unwrap()), "{host}");
        }
        assert!(!is_host(&HeaderValue::from_bytes(b"\xe9").unwrap()));
    }
}
