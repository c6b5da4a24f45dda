//! The grammars of `X-Forwarded-For` and `Forwarded`: the hops that a request took, as proxies write them.
//!
//! Not here: which of the hops are believed (`forwarded`).

use std::net::{IpAddr, SocketAddr};

use super::ClientAddr;

/// The hops of one line, the nearest last. Each is the text in the place of an address, or `None` if there is none.
pub(super) type Hops<'a> = Vec<Option<&'a [u8]>>;

/// Returns the last `most` hops of a line of `X-Forwarded-For`, without white space around them. Empty elements are ignored (RFC
/// 9110, section 5.6.1.2).
pub(super) fn plain(line: &[u8], most: usize) -> Hops<'_> {
    let elements = line.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let elements = elements.filter(|element| !element.is_empty());
    let mut hops: Vec<_> = elements.map(Some).take(most).collect();
    hops.reverse();
    hops
}

/// Returns the last `most` hops in the last `room` bytes of such a line, without a hop that is cut off at the start.
pub(super) fn plain_end(line: &[u8], room: usize, most: usize) -> Hops<'_> {
    let end = end_of(line, room);
    if end.len() == line.len() {
        return plain(end, most);
    }
    let first_whole = memchr::memchr(b',', end).unwrap_or(end.len());
    plain(&end[first_whole..], most)
}

/// Returns the hops of a line of `Forwarded` (RFC 7239, section 4), or `None` if any part breaks the grammar: a quote that a
/// stranger opened would hide what the proxy wrote after it.
///
/// Empty elements are ignored, and so are empty pairs in an element. An element without `for` is a hop without an address.
pub(super) fn standard(line: &[u8]) -> Option<Hops<'_>> {
    let elements = split(line, b',')?.into_iter();
    let elements = elements.filter(|element| !element.is_empty());
    elements.map(standard_hop).collect()
}

/// Returns the value of `for` in `for="[2001:db8::1]:4711";proto=https`, and `Some(None)` without one.
fn standard_hop(element: &[u8]) -> Option<Option<&[u8]>> {
    let mut hop = None;
    for pair in split(element, b';')? {
        if pair.is_empty() {
            continue;
        }
        let equals = memchr::memchr(b'=', pair)?;
        let value = unquote(&pair[equals + 1..])?;
        if pair[..equals].eq_ignore_ascii_case(b"for") && hop.replace(value).is_some() {
            return None;
        }
    }
    Some(hop)
}

/// Splits at separators outside of quotes, and trims the parts. Returns `None` if a quote is not closed.
fn split(text: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|byte| {
        let literal = std::mem::take(&mut escaped);
        match byte {
            b'"' if !literal => quoted = !quoted,
            b'\\' if quoted && !literal => escaped = true,
            _ => {}
        }
        *byte == separator && !quoted
    });
    let parts = parts.map(<[u8]>::trim_ascii).collect();
    (!quoted).then_some(parts)
}

/// Returns the value without the quotes around it, or all of it if there are none.
fn unquote(value: &[u8]) -> Option<&[u8]> {
    let Some(inner) = value.strip_prefix(b"\"") else {
        return (!value.contains(&b'"')).then_some(value);
    };
    let inner = inner.strip_suffix(b"\"")?;
    // A quote inside is an escaped one, and no address contains one.
    (!inner.contains(&b'"')).then_some(inner)
}

/// Parses an address with or without brackets and a port. The port may be an obfuscated one (RFC 7239, section 6.2).
pub(super) fn address(hop: &[u8]) -> Option<ClientAddr> {
    if hop.len() > MAX_HOP_LEN {
        return None;
    }
    let hop = std::str::from_utf8(hop).ok()?;
    let hop = match hop.rsplit_once(':') {
        Some((node, port)) if port.strip_prefix('_').is_some_and(is_made_up) => node,
        _ => hop,
    };
    let bare = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare.or_else(with_port).or_else(in_brackets).map(ClientAddr::from)
}

/// Returns whether `port` can follow the `_` of an obfuscated port.
fn is_made_up(port: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !port.is_empty() && port.bytes().all(is_allowed)
}

/// Returns the last `room` bytes of a line. They may begin within an address.
pub(super) fn end_of(line: &[u8], room: usize) -> &[u8] {
    &line[line.len().saturating_sub(room)..]
}

/// Returns the addresses anywhere in a line, whatever its grammar, the last first. Looks at [`MAX_WORDS`] words.
pub(super) fn addresses_in(line: &[u8]) -> impl Iterator<Item = IpAddr> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'[' | b']');
    let words = line.rsplit(move |byte| !is_part(byte));
    let words = words.filter(|word| !word.is_empty()).take(MAX_WORDS);
    words.filter_map(|word| {
        // The text after the address may be something other than a port.
        let without_port = || address(&word[..memchr::memrchr(b':', word)?]);
        address(word).or_else(without_port)?.address()
    })
}

/// Enough for any address, with an obfuscated port that is a hash.
const MAX_HOP_LEN: usize = 256;

/// A bound on the cost of a header full of short words. The proxy's own words are at the end.
const MAX_WORDS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(line: &str) -> Option<Vec<Option<String>>> {
        let hops = standard(line.as_bytes())?.into_iter();
        let text = |hop: &[u8]| String::from_utf8_lossy(hop).into_owned();
        Some(hops.map(|hop| hop.map(text)).collect())
    }

    #[test]
    fn empty_elements_and_pairs_are_none() {
        assert_eq!(plain(b", ,\t198.51.100.7 ,,", 9), [Some(&b"198.51.100.7"[..])]);
        assert!(plain(b"", 9).is_empty() && plain(b" , ", 9).is_empty());
        assert_eq!(plain(b"a, b,, c,", 2), [Some(&b"b"[..]), Some(b"c")]);
        let one = Some(vec![Some("198.51.100.7".to_owned())]);
        for line in [
            "for=198.51.100.7",
            ", for=198.51.100.7,,",
            ";for=198.51.100.7; ;proto=https;",
            "FOR=\"198.51.100.7\"\t",
        ] {
            assert_eq!(forwarded(line), one, "{line}");
        }
        assert_eq!(forwarded(""), Some(vec![]));
    }

    #[test]
    fn an_element_without_for_names_nobody() {
        assert_eq!(forwarded("proto=https"), Some(vec![None]));
        assert_eq!(
            forwarded("by=_me;host=a, for=x"),
            Some(vec![None, Some("x".into())])
        );
    }

    #[test]
    fn a_port_may_be_made_up() {
        for hop in ["198.51.100.7:_web", "198.51.100.7:_a.b-c_"] {
            assert_eq!(address(hop.as_bytes()).unwrap().to_string(), "198.51.100.7");
        }
        assert_eq!(address(b"[2001:db8::1]:_x").unwrap().to_string(), "2001:db8::1");
        for hop in [
            "198.51.100.7:_",
            "198.51.100.7:x",
            "198.51.100.7:_\u{e9}",
            "_x",
            ":_x",
        ] {
            assert_eq!(address(hop.as_bytes()), None, "{hop}");
        }
    }

    #[test]
    fn addresses_are_named_whatever_is_around_them() {
        let line = b"\xff, for=\"198.51.100.7, for=192.0.2.1:x;by=\"[2001:db8::1]:80\", ::ffff:203.0.113.5";
        let candidates: Vec<_> = addresses_in(line).map(|address| address.to_string()).collect();
        assert_eq!(
            candidates,
            ["203.0.113.5", "2001:db8::1", "192.0.2.1", "198.51.100.7"]
        );
    }
}
