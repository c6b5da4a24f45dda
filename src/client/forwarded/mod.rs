//! The client that a trusted proxy forwards for: the rightmost address in its headers that is not a trusted proxy's.
//!
//! Not here: the grammars of the headers (`hops`), and which peers are trusted (`trusted_proxies`).
//!
//! Every proxy appends the address that it sees at the right. The text to the left of the first address that is not one of our
//! proxies' may have been written by a stranger, so it is never looked at. A proxy sets one header and passes on what a stranger
//! put into the others. So a request whose headers leave any doubt belongs to an unidentified client behind that proxy,
//! regardless of which side wrote them.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};

use super::{ClientAddr, hops};

/// A client that a trusted proxy does not name, or not in a form that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnidentifiedClient {
    /// An unidentified client behind that proxy.
    pub client: ClientAddr,
    /// Why the proxy's headers do not identify the client.
    pub why: ForwardedError,
    /// The addresses in these headers, the last ones of each.
    pub candidates: CandidateAddrs,
}

/// The addresses in a request whose client is unidentified. Any of them may be the client's. Empty if the client is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CandidateAddrs(pub Vec<IpAddr>);

/// Why the client behind a trusted proxy cannot be identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardedError {
    /// The proxy sends no header that names the client.
    #[error("missing")]
    Missing,
    /// The proxy sends a header that cannot be understood, or that hides the client.
    #[error("malformed")]
    Malformed,
    /// The proxy sends two headers that name different clients.
    #[error("contradictory")]
    Contradictory,
    /// The proxy sends a header more than once that must be there once.
    #[error("repeated")]
    Repeated,
}

named! {
    /// Which of the two headers that list hops are believed.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum ForwardedHeaders {
        /// Both. If both are present, they must agree.
        #[default]
        Both = "both",
        /// Only `X-Forwarded-For`.
        XForwardedFor = "x-forwarded-for",
        /// Only `Forwarded` (RFC 7239).
        Forwarded = "forwarded",
    }
}

impl ForwardedHeaders {
    /// Returns the headers that are believed.
    pub(super) fn headers(self) -> &'static [HeaderName] {
        match self {
            Self::Both => &LISTS,
            Self::XForwardedFor => &LISTS[..1],
            Self::Forwarded => &LISTS[1..],
        }
    }

    /// Returns the client that a trusted proxy's headers name: the rightmost address for which `trusts` is false, or the leftmost
    /// if it is true for all.
    pub(super) fn client(
        self,
        headers: &HeaderMap,
        trusts: impl Fn(ClientAddr) -> bool,
    ) -> Result<ClientAddr, ForwardedError> {
        let mut client = None;
        for name in self.headers() {
            let Some(found) = first_untrusted(headers, name, &trusts)? else {
                continue;
            };
            if client.replace(found).is_some_and(|other| other != found) {
                return Err(ForwardedError::Contradictory);
            }
        }
        client.ok_or(ForwardedError::Missing)
    }
}

/// Walks from the right through the hops of all lines of a header, up to the first untrusted address. Returns `None` if the
/// header is missing or holds no address.
fn first_untrusted(
    headers: &HeaderMap,
    name: &HeaderName,
    trusts: impl Fn(ClientAddr) -> bool,
) -> Result<Option<ClientAddr>, ForwardedError> {
    let (mut found, mut hides, mut count) = (None, false, 0);
    let mut room = MAX_LINE_BYTES;
    for line in headers.get_all(name).iter().rev() {
        let line = line.as_bytes();
        let hops = if *name == header::FORWARDED {
            // Parsed from its start, where a quote may open, so its length must be bounded.
            if line.len() > room {
                return Err(ForwardedError::Malformed);
            }
            hops::standard(line).ok_or(ForwardedError::Malformed)?
        } else {
            // One more than may be chained, so that a longer chain is noticed.
            hops::plain_end(line, room, MAX_HOPS + 1)
        };
        room -= line.len().min(room);
        for hop in hops.into_iter().rev() {
            count += 1;
            let Some(hop) = hop else {
                hides = true;
                continue;
            };
            // An address to the left of a hop without one may be anyone's.
            let is_near = !hides && count <= MAX_HOPS;
            let client = hops::address(hop).filter(|_| is_near);
            let client = client.ok_or(ForwardedError::Malformed)?;
            found = Some(client);
            if !trusts(client) {
                return Ok(found);
            }
        }
    }
    // The part that was not read may name another client.
    if hides && found.is_some() || room == 0 {
        return Err(ForwardedError::Malformed);
    }
    Ok(found)
}

/// The `http` crate has no constant, because this header never was a standard.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

static LISTS: [HeaderName; 2] = [X_FORWARDED_FOR, header::FORWARDED];

/// How many trusted proxies may be chained: more than any deployment has, and few enough that a header full of their addresses
/// costs nothing.
const MAX_HOPS: usize = 32;

/// How many bytes of one header are parsed, from its end: enough for that many proxies, with IPv6 and all that `Forwarded` can
/// hold.
const MAX_LINE_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests;
