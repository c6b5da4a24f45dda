//! For whom a trusted proxy speaks: the rightmost address that no trusted proxy has.
//!
//! Every proxy adds the address it sees at the right. What stands left of the first address that is nobody's of ours was
//! written by a stranger, and so is never looked at.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

use super::{ClientAddr, PeerAddr};

/// A trusted proxy does not say for whom it speaks, or not so that it can be understood; this is its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unforwarded(pub ClientAddr);

impl ClientAddr {
    /// Who sent a request with `headers` that came from `peer`: for a peer in `trusted` the rightmost address in
    /// `X-Forwarded-For` or `Forwarded` (RFC 7239) that is not in `trusted`, or the leftmost when all are; else the peer.
    ///
    /// With both headers both must mean the same: a proxy sets one of them, and passes on what a stranger put in the other.
    ///
    /// # Errors
    /// When a peer in `trusted` sends neither, or something that cannot be understood.
    pub fn forwarded(peer: PeerAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Result<Self, Unforwarded> {
        let own = Self::from(peer);
        let trusts = |client: Self| trusted.iter().any(|net| net.contains(&client.address()));
        if !trusts(own) {
            return Ok(own);
        }
        let plain = farthest(headers, &X_FORWARDED_FOR, plain_hops, trusts);
        let standard = farthest(headers, &header::FORWARDED, standard_hops, trusts);
        match (plain, standard) {
            (Found::Client(client), Found::Nothing) | (Found::Nothing, Found::Client(client)) => Ok(client),
            (Found::Client(one), Found::Client(other)) if one == other => Ok(one),
            _ => Err(Unforwarded(own)),
        }
    }
}

/// What one header says.
enum Found {
    Nothing,
    Client(ClientAddr),
    Rubbish,
}

/// Goes from the right through the hops of all lines of a header, up to the first that is not trusted.
fn farthest(
    headers: &HeaderMap,
    name: &HeaderName,
    hops: fn(&str) -> Option<Vec<&str>>,
    trusts: impl Fn(ClientAddr) -> bool,
) -> Found {
    let (mut found, mut count) = (Found::Nothing, 0);
    for line in headers.get_all(name).iter().rev() {
        let Some(hops) = text(line).and_then(hops) else {
            return Found::Rubbish;
        };
        for hop in hops.into_iter().rev() {
            count += 1;
            let Some(client) = address(hop).filter(|_| count <= MAX_HOPS) else {
                return Found::Rubbish;
            };
            found = Found::Client(client);
            if !trusts(client) {
                return found;
            }
        }
    }
    found
}

fn text(line: &HeaderValue) -> Option<&str> {
    line.to_str().ok()
}

/// The hops of a line of `X-Forwarded-For`.
#[expect(clippy::unnecessary_wraps, reason = "the shape of `standard_hops`")]
fn plain_hops(line: &str) -> Option<Vec<&str>> {
    Some(line.split(',').map(str::trim).collect())
}

/// The hops of a line of `Forwarded`; `None` when any of it breaks the grammar, because a quote that a stranger opened
/// would hide what the proxy wrote behind it.
fn standard_hops(line: &str) -> Option<Vec<&str>> {
    unquoted(line, ',')?.into_iter().map(standard_hop).collect()
}

/// The value of `for` in `for="[2001:db8::1]:4711";proto=https`.
fn standard_hop(element: &str) -> Option<&str> {
    let mut hop = None;
    for pair in unquoted(element, ';')? {
        let (name, value) = pair.split_once('=')?;
        let value = unquote(value)?;
        if name.eq_ignore_ascii_case("for") && hop.replace(value).is_some() {
            return None;
        }
    }
    hop
}

/// Splits where no quotes are around; `None` when they do not close.
fn unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|character| {
        let literal = std::mem::take(&mut escaped);
        match character {
            '"' if !literal => quoted = !quoted,
            '\\' if quoted && !literal => escaped = true,
            _ => {}
        }
        character == separator && !quoted
    });
    let parts: Vec<_> = parts.map(str::trim).collect();
    (!quoted).then_some(parts)
}

/// What stands within quotes that are around all of it, or all of it when there are none.
fn unquote(value: &str) -> Option<&str> {
    let Some(inner) = value.strip_prefix('"') else {
        return (!value.contains('"')).then_some(value);
    };
    let inner = inner.strip_suffix('"')?;
    // A quote inside is an escaped one, and no address has any.
    (!inner.contains('"')).then_some(inner)
}

/// An address with or without brackets and a port.
pub(super) fn address(hop: &str) -> Option<ClientAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare.or_else(with_port).or_else(in_brackets).map(ClientAddr::from)
}

/// There is no constant for what never was a standard.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many trusted proxies may stand behind each other: more than anybody has, few enough that a header full of their
/// addresses costs nothing.
const MAX_HOPS: usize = 32;

#[cfg(test)]
mod tests;
