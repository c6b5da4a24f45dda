//! For whom a trusted proxy speaks: the rightmost address that no trusted proxy has.
//!
//! Every proxy adds the address it sees at the right. What stands left of the first address that is nobody's of ours was
//! written by a stranger, and so is never looked at. A proxy sets one header and passes on what a stranger put into the
//! others; so what cannot be told for certain makes nobody more than somebody behind that proxy, whoever wrote it.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};

use super::{ClientAddr, hops};

/// A trusted proxy does not say for whom it speaks, or not so that it can be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnidentifiedClient {
    /// Somebody behind that proxy.
    pub client: ClientAddr,
    /// What is wrong with its headers.
    pub why: ForwardedError,
    /// The addresses that they name, of each header the last ones.
    pub candidates: CandidateAddrs,
}

/// The addresses that a request names whose client is not known, any of which may be the client's. Empty when it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CandidateAddrs(pub Vec<IpAddr>);

/// Why it cannot be told for whom a trusted proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardedError {
    /// It sends no header that says so.
    #[error("missing")]
    Missing,
    /// It sends one that cannot be understood, or that hides the client.
    #[error("malformed")]
    Malformed,
    /// It sends two that mean different clients.
    #[error("contradictory")]
    Contradictory,
    /// It sends more than once what must be there once.
    #[error("repeated")]
    Repeated,
}

/// Which of the two headers that list hops are believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// Both, which must agree when both are there.
    #[default]
    Both,
    /// `X-Forwarded-For` alone.
    XForwardedFor,
    /// `Forwarded` (RFC 7239) alone.
    Forwarded,
}

impl ForwardedHeaders {
    /// All, in the order in which they are explained.
    pub const ALL: &[Self] = &[Self::Both, Self::XForwardedFor, Self::Forwarded];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }

    /// The headers that are believed.
    pub(super) fn headers(self) -> &'static [HeaderName] {
        match self {
            Self::Both => &LISTS,
            Self::XForwardedFor => &LISTS[..1],
            Self::Forwarded => &LISTS[1..],
        }
    }

    /// For whom the headers of a trusted proxy speak: the rightmost address that `trusts` does not hold for, or the leftmost
    /// when it holds for all.
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

/// Goes from the right through the hops of all lines of a header, up to the first that is not trusted. `None` when the header
/// is not there, or names nobody.
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
            // From its start, where a quote may open: not of any length.
            if line.len() > room {
                return Err(ForwardedError::Malformed);
            }
            hops::standard(line).ok_or(ForwardedError::Malformed)?
        } else {
            hops::plain_end(line, room)
        };
        room -= line.len().min(room);
        for hop in hops.into_iter().rev() {
            count += 1;
            let Some(hop) = hop else {
                hides = true;
                continue;
            };
            // Whoever is named left of a hop that names nobody may be anybody.
            let is_near = !hides && count <= MAX_HOPS;
            let client = hops::address(hop)
                .filter(|_| is_near)
                .ok_or(ForwardedError::Malformed)?;
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

/// There is no constant for what never was a standard.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

static LISTS: [HeaderName; 2] = [X_FORWARDED_FOR, header::FORWARDED];

/// How many trusted proxies may stand behind each other: more than anybody has, few enough that a header full of their
/// addresses costs nothing.
const MAX_HOPS: usize = 32;

/// How much of one header is taken apart, in bytes, from its end: what so many proxies write, of IPv6 and with all that
/// `Forwarded` has room for.
const MAX_LINE_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests;
