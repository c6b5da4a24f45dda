//! Trusted proxies, and the header in which they name the client.

use http::{HeaderMap, HeaderName};

use super::{
    CandidateAddrs, ClientAddr, ForwardedError, ForwardedHeaders, PeerAddr, TrustedNetworks,
    UnidentifiedClient, hops,
};

/// The proxies that are trusted, and how they name the client.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    trusted: TrustedNetworks,
    source: ClientAddrSource,
}

/// Where a trusted proxy names the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAddrSource {
    /// In lists of hops.
    ForwardedHeaders(ForwardedHeaders),
    /// In this header, and nowhere else.
    Header(HeaderName),
}

impl Default for ClientAddrSource {
    fn default() -> Self {
        Self::ForwardedHeaders(ForwardedHeaders::default())
    }
}

impl TrustedProxies {
    /// Creates the rule: a peer in `trusted` is believed what `source` says.
    pub fn new(trusted: TrustedNetworks, source: ClientAddrSource) -> Self {
        Self { trusted, source }
    }

    /// Returns whether this is the address of a trusted proxy.
    pub fn trusts(&self, client: ClientAddr) -> bool {
        let holds = |address| self.trusted.networks().iter().any(|net| net.contains(&address));
        client.address().is_some_and(holds)
    }

    /// Returns the client of a request with `headers` that came from `peer`.
    ///
    /// # Errors
    /// [`UnidentifiedClient`] if a proxy does not name the client, or not in a form that is understood.
    pub fn client(&self, peer: PeerAddr, headers: &HeaderMap) -> Result<ClientAddr, UnidentifiedClient> {
        let own = ClientAddr::from(peer);
        if !self.trusts(own) {
            return Ok(own);
        }
        let client = match &self.source {
            ClientAddrSource::ForwardedHeaders(lists) => lists.client(headers, |client| self.trusts(client)),
            ClientAddrSource::Header(name) => single_address(headers, name),
        };
        client.map_err(|why| UnidentifiedClient {
            client: ClientAddr::behind(peer),
            why,
            candidates: self.candidates(headers),
        })
    }

    /// Returns the addresses in the headers that are believed.
    fn candidates(&self, headers: &HeaderMap) -> CandidateAddrs {
        let names = match &self.source {
            ClientAddrSource::ForwardedHeaders(lists) => lists.headers(),
            ClientAddrSource::Header(name) => std::slice::from_ref(name),
        };
        let of_header = |name| {
            let lines = headers.get_all(name).iter().rev().take(MAX_CANDIDATES);
            let ends = lines.scan(MAX_EXAMINED_BYTES, |room, line| {
                let end = hops::end_of(line.as_bytes(), *room);
                *room -= end.len();
                Some(end)
            });
            ends.flat_map(hops::addresses_in).take(MAX_CANDIDATES)
        };
        CandidateAddrs(names.iter().flat_map(of_header).collect())
    }
}

/// Returns the one address in this header. The header must be there once, because a proxy that sets it overwrites it.
fn single_address(headers: &HeaderMap, name: &HeaderName) -> Result<ClientAddr, ForwardedError> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next().ok_or(ForwardedError::Missing)?;
    if lines.next().is_some() {
        return Err(ForwardedError::Repeated);
    }
    hops::address(line.as_bytes().trim_ascii()).ok_or(ForwardedError::Malformed)
}

/// How many addresses and lines of one header are looked at if it is not understood: as many as proxies may be chained.
const MAX_CANDIDATES: usize = 32;

/// How many bytes of one header are looked at then, from its end, where the proxy's own words are.
const MAX_EXAMINED_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: &str = "192.0.2.66:4711";
    const PROXY: &str = "10.0.0.1:4711";

    /// Returns the client when these lines come from `peer`, and `X-Client-IP` of 10/8 is believed.
    fn asks(peer: &str, lines: &[(&'static str, &str)]) -> Result<String, String> {
        let header = HeaderName::from_static("x-client-ip");
        let trusted = TrustedNetworks::new(&["10.0.0.0/8".parse().unwrap()]);
        let proxies = TrustedProxies::new(trusted, ClientAddrSource::Header(header));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let client = proxies.client(PeerAddr(peer.parse().unwrap()), &headers);
        client
            .map(|client| client.to_string())
            .map_err(|unidentified| format!("{}: {}", unidentified.client, unidentified.why))
    }

    #[test]
    fn the_header_that_was_agreed_on_says_who_asks() {
        for (value, client) in [
            ("198.51.100.7", "198.51.100.7"),
            (" 198.51.100.7 ", "198.51.100.7"),
            ("198.51.100.7:4711", "198.51.100.7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("[2001:db8::1]:443", "2001:db8::1"),
        ] {
            assert_eq!(
                asks(PROXY, &[("x-client-ip", value)]),
                Ok(client.into()),
                "{value}"
            );
        }
    }

    #[test]
    fn no_other_header_counts_beside_it() {
        let others = [
            ("x-forwarded-for", "203.0.113.5"),
            ("forwarded", "for=203.0.113.5"),
        ];
        assert_eq!(
            asks(PROXY, &others),
            Err("somebody behind 10.0.0.1: missing".into())
        );
        let lines = [others[0], ("x-client-ip", "198.51.100.7"), others[1]];
        assert_eq!(asks(PROXY, &lines), Ok("198.51.100.7".into()));
    }

    #[test]
    fn what_is_said_twice_or_not_understood_makes_somebody_behind_the_proxy() {
        for value in [
            "unknown",
            "",
            "198.51.100.7, 203.0.113.5",
            "198.51.100",
            "UNKNOWN",
        ] {
            assert_eq!(
                asks(PROXY, &[("x-client-ip", value)]),
                Err("somebody behind 10.0.0.1: malformed".into()),
                "{value}"
            );
        }
        let twice = [("x-client-ip", "198.51.100.7"), ("x-client-ip", "198.51.100.7")];
        assert_eq!(
            asks(PROXY, &twice),
            Err("somebody behind 10.0.0.1: repeated".into())
        );
    }

    #[test]
    fn all_that_is_named_where_it_counts_is_told() {
        let header = HeaderName::from_static("x-client-ip");
        let lines = [
            ("x-client-ip", "192.0.2.1, 192.0.2.2"),
            ("x-client-ip", "192.0.2.3"),
        ];
        let mut headers: HeaderMap = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        headers.append("x-forwarded-for", "192.0.2.4".parse().unwrap());
        headers.append("x-client-ip", "192.0.2.3".parse().unwrap());
        let proxies = TrustedProxies::new(
            TrustedNetworks::new(&["10.0.0.1/32".parse().unwrap()]),
            ClientAddrSource::Header(header),
        );
        let unidentified = proxies
            .client(PeerAddr(PROXY.parse().unwrap()), &headers)
            .unwrap_err();
        assert!(unidentified.candidates.0.contains(&[192, 0, 2, 3].into()));
        assert!(!unidentified.candidates.0.contains(&[192, 0, 2, 4].into()));
        let many = vec!["192.0.2.9"; 3000].join(",");
        headers.insert("x-client-ip", many.parse().unwrap());
        let unidentified = proxies
            .client(PeerAddr(PROXY.parse().unwrap()), &headers)
            .unwrap_err();
        assert_eq!(unidentified.candidates.0.len(), MAX_CANDIDATES);
    }

    #[test]
    fn a_stranger_cannot_say_it() {
        assert_eq!(
            asks(STRANGER, &[("x-client-ip", "198.51.100.7")]),
            Ok("192.0.2.66".into())
        );
    }
}
