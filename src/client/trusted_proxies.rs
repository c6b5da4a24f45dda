//! Whose word on who asks is taken, and where that word stands.

use http::{HeaderMap, HeaderName};

use super::{
    ClientAddr, PeerAddr, TrustedNetworks, UnidentifiedClient,
    forwarded::{CandidateAddrs, ForwardedError, ForwardedHeaders},
    hops,
};

/// The proxies that are trusted, and how they say for whom they speak.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    trusted: TrustedNetworks,
    source: ClientAddrSource,
}

/// Where a trusted proxy says for whom it speaks.
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
    /// Peers that are `trusted` are believed what they say there.
    pub fn new(trusted: TrustedNetworks, source: ClientAddrSource) -> Self {
        Self { trusted, source }
    }

    /// Whether this is one of them.
    pub fn trusts(&self, client: ClientAddr) -> bool {
        let holds = |address| self.trusted.networks().iter().any(|net| net.contains(&address));
        client.address().is_some_and(holds)
    }

    /// Who sent a request with `headers` that came from `peer`.
    ///
    /// # Errors
    /// When a proxy does not say for whom, or not so that it can be understood.
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

    /// The addresses in the headers that are believed.
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

/// The one address in this header. It must be there once, because whoever sets it overwrites it.
fn single_address(headers: &HeaderMap, name: &HeaderName) -> Result<ClientAddr, ForwardedError> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next().ok_or(ForwardedError::Missing)?;
    if lines.next().is_some() {
        return Err(ForwardedError::Repeated);
    }
    hops::address(line.as_bytes().trim_ascii()).ok_or(ForwardedError::Malformed)
}

/// How many addresses, and lines, of one header are looked at when it is not understood: as many as proxies may stand behind
/// each other.
const MAX_CANDIDATES: usize = 32;

/// How much of one header is looked at then, in bytes, from its end, where a proxy's own words stand.
const MAX_EXAMINED_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: &str = "192.0.2.66:4711";
    const PROXY: &str = "10.0.0.1:4711";

    /// Who asks when these lines come from `peer`, and `X-Client-IP` of 10/8 is believed.
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
