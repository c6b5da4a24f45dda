//! Checks of a request's form and size, before anything else reads it.

use http::{HeaderMap, HeaderValue, Method, Request, Version, header};

use crate::http::{
    error::Error,
    server::{
        conn::MAX_PIPELINED_BYTES,
        unread_head::{HeadFault, UnreadHead},
    },
};

/// Refuses a request that is too large, or that could mean one thing to us and another to a proxy in front of us.
///
/// # Errors
/// 414, 431, 413 if the target, the headers or the body of a GET are too large; 400 for a head that is no HTTP, a bad `Host` or
/// `Transfer-Encoding`.
pub(in crate::http) fn check<B>(request: &Request<B>) -> Result<(), Error> {
    if let Some(unread) = request.extensions().get::<UnreadHead>() {
        return Err(error_of(&unread.fault));
    }
    let target = request.uri().path_and_query();
    let target = target.map_or(0, |target| target.as_str().len());
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

/// Returns the error for a head that could not be read.
fn error_of(fault: &HeadFault) -> Error {
    match fault {
        HeadFault::TargetTooLong => Error::TargetTooLong(MAX_TARGET),
        HeadFault::TooLarge => Error::HeadTooLarge(MAX_HEADERS),
        HeadFault::TooManyLines => Error::TooManyHeaders(MAX_FIELDS),
        HeadFault::Malformed(why) => Error::Malformed(why.clone()),
    }
}

/// Returns the size of these headers on the wire, in bytes.
fn header_bytes(headers: &HeaderMap) -> usize {
    const SEPARATORS: usize = ": \r\n".len();
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + SEPARATORS)
        .sum()
}

/// Checks that there is one valid `Host` (RFC 9112, section 3.2). HTTP/1.0 need not have it, and HTTP/2 has a field of its own.
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), Error> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => Err(Error::BadHost("the header is missing")),
        (Some(_), Some(_)) => Err(Error::BadHost("the header is repeated")),
        (Some(host), None) if !is_host(host) => Err(Error::BadHost("the value is not HOST or HOST:PORT")),
        _ => Ok(()),
    }
}

/// Whether a value is `uri-host [ ":" port ]` (RFC 3986, section 3.2.2), which may be empty.
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

/// Whether each byte may be in a host name. It is a table for speed, because a name may be as long as all headers.
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

/// Checks that `Transfer-Encoding` is `chunked`, once. A server that applies it twice reads another body, and another request
/// behind it.
///
/// It overrides a `Content-Length`, and the connection ends after the response (RFC 9112, section 6.3). hyper does both, and does
/// not show us the `Content-Length` then.
fn check_coding(headers: &HeaderMap) -> Result<(), Error> {
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Error::BadCoding),
    }
}

/// Checks that a request that needs no body announces no large one. Such a body is not read, and would end the stream when it
/// is too much. The client would come back and send it again.
fn check_body<B>(request: &Request<B>) -> Result<(), Error> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if is_safe(request.method()) && length.is_some_and(|length| length > MAX_PIPELINED_BYTES as u64) {
        return Err(Error::BodyTooLarge(MAX_PIPELINED_BYTES));
    }
    Ok(())
}

/// Whether requests with this method are answered without reading their body.
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// The longest request target, in bytes, which may hold an id. Beyond it: 414.
const MAX_TARGET: usize = 16 * 1024;

/// The largest block of headers, in bytes: twice the longest id, to have room for what proxies and browsers add. Beyond it: 431.
const MAX_HEADERS: usize = 32 * 1024;

/// The most header lines: several times what browsers and chains of proxies send. Beyond it: 431.
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
