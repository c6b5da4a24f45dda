//! The PROXY protocol, version 2: the header that a proxy sends before anything else.
//!
//! Not here: its grammar, which is the `ppp` crate's. This module decides what a header means and how long it may be. See "The
//! PROXY protocol" by Willy Tarreau, section 2.2. Version 1, which is text, is not read: its end would have to be searched for.

use std::net::SocketAddr;

use ppp::v2::{Addresses, Command, Header, PROTOCOL_PREFIX};

use super::PeerAddr;

/// What a proxy says about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The proxy forwards for this peer.
    Proxied(PeerAddr),
    /// The proxy connects for itself (`LOCAL`, a health check), or for an address that is not an Internet address.
    Local,
}

/// The bytes are not a header of version 2, or the header is longer than what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY header of version 2")]
pub struct InvalidProxyHeader;

impl ProxyHeader {
    /// The length in bytes of the fixed part, which tells how many bytes follow.
    pub const FIXED_LEN: usize = 16;

    /// Returns how many bytes follow the fixed part.
    ///
    /// # Errors
    /// [`InvalidProxyHeader`] if these bytes do not begin a header, or more than 2 KiB follow. Addresses take 216 bytes at most,
    /// and what proxies add about TLS some hundred.
    pub fn remaining_len(fixed: &[u8; Self::FIXED_LEN]) -> Result<usize, InvalidProxyHeader> {
        let [.., high, low] = *fixed;
        let rest = usize::from(u16::from_be_bytes([high, low]));
        if fixed.starts_with(PROTOCOL_PREFIX) && rest <= MAX_REMAINING_LEN {
            Ok(rest)
        } else {
            Err(InvalidProxyHeader)
        }
    }

    /// Parses a whole header.
    ///
    /// # Errors
    /// [`InvalidProxyHeader`] if it is none.
    pub fn read(header: &[u8]) -> Result<Self, InvalidProxyHeader> {
        if Self::is_local(header) {
            return Ok(Self::Local);
        }
        let header = Header::try_from(header).map_err(|_| InvalidProxyHeader)?;
        let source: SocketAddr = match (header.command, header.addresses) {
            (Command::Proxy, Addresses::IPv4(ends)) => (ends.source_address, ends.source_port).into(),
            (Command::Proxy, Addresses::IPv6(ends)) => (ends.source_address, ends.source_port).into(),
            // By the standard, a receiver ignores addresses of a family that it does not know.
            _ => return Ok(Self::Local),
        };
        Ok(Self::Proxied(PeerAddr(source)))
    }

    /// Returns whether a proxy connects for itself. Everything after the command, the family included, is then meaningless and
    /// must not be refused, while `ppp` expects addresses of that family.
    fn is_local(header: &[u8]) -> bool {
        let begins = header.strip_prefix(PROTOCOL_PREFIX);
        header.len() >= Self::FIXED_LEN && begins.is_some_and(|rest| rest.first() == Some(&LOCAL))
    }
}

/// Version 2, and the command of health checks.
const LOCAL: u8 = 0x20;

const MAX_REMAINING_LEN: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Builds a header: version and command, family and protocol, and the rest.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    /// Reads as a connection does: first the fixed part, then as many bytes as that says.
    fn read(bytes: &[u8]) -> Result<ProxyHeader, InvalidProxyHeader> {
        let fixed = bytes.first_chunk().ok_or(InvalidProxyHeader)?;
        let whole = ProxyHeader::FIXED_LEN + ProxyHeader::remaining_len(fixed)?;
        ProxyHeader::read(bytes.get(..whole).ok_or(InvalidProxyHeader)?)
    }

    fn proxied(address: &str) -> Result<ProxyHeader, InvalidProxyHeader> {
        Ok(ProxyHeader::Proxied(PeerAddr(address.parse().unwrap())))
    }

    #[test]
    fn a_proxy_speaks_for_a_peer() {
        let four = [198, 51, 100, 7, 10, 0, 0, 1, 0x12, 0x67, 0x1f, 0x90];
        assert_eq!(read(&header(0x21, 0x11, &four)), proxied("198.51.100.7:4711"));
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        six[15] = 1;
        six[33] = 80;
        assert_eq!(read(&header(0x21, 0x21, &six)), proxied("[2001:db8::1]:80"));
        let with_more = [&four[..], &[0x04, 0, 2, 0, 0]].concat();
        assert_eq!(
            read(&header(0x21, 0x11, &with_more)),
            proxied("198.51.100.7:4711")
        );
    }

    #[test]
    fn a_proxy_speaks_for_itself() {
        assert_eq!(read(&header(0x20, 0x00, &[])), Ok(ProxyHeader::Local), "LOCAL");
        assert_eq!(
            read(&header(0x20, 0x11, &[7; 12])),
            Ok(ProxyHeader::Local),
            "LOCAL with addresses"
        );
        assert_eq!(
            read(&header(0x20, 0x11, &[])),
            Ok(ProxyHeader::Local),
            "LOCAL with a family and no addresses"
        );
        assert_eq!(read(&header(0x21, 0x00, &[])), Ok(ProxyHeader::Local), "UNSPEC");
        assert_eq!(
            read(&header(0x21, 0x31, &[0; 216])),
            Ok(ProxyHeader::Local),
            "a socket in the file system"
        );
    }

    #[test]
    fn rubbish_is_refused() {
        assert_eq!(
            read(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"),
            Err(InvalidProxyHeader)
        );
        assert_eq!(
            read(b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n"),
            Err(InvalidProxyHeader)
        );
        assert_eq!(
            read(&header(0x11, 0x11, &[0; 12])),
            Err(InvalidProxyHeader),
            "version 1 in binary"
        );
        assert_eq!(
            read(&header(0x22, 0x11, &[0; 12])),
            Err(InvalidProxyHeader),
            "no such command"
        );
        assert_eq!(
            read(&header(0x21, 0x11, &[0; 11])),
            Err(InvalidProxyHeader),
            "half an address"
        );
        assert_eq!(
            read(&header(0x21, 0x11, &[0; 2049])),
            Err(InvalidProxyHeader),
            "too long"
        );
        assert!(read(&header(0x21, 0x11, &[0; 2048])).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            prefix in any::<bool>(), bytes in vec(any::<u8>(), 0..300)
        ) {
            let begun = if prefix { [PROTOCOL_PREFIX, &bytes].concat() } else { bytes };
            let _ = read(&begun);
            let _ = ProxyHeader::read(&begun);
        }

        #[test]
        fn a_proxy_that_speaks_for_itself_does_so_whatever_follows(family in any::<u8>(), rest in vec(any::<u8>(), 0..2048)) {
            prop_assert_eq!(read(&header(0x20, family, &rest)), Ok(ProxyHeader::Local));
        }

        #[test]
        fn every_ipv4_source_is_told(source in any::<[u8; 4]>(), port in any::<u16>(), more in vec(any::<u8>(), 0..64)) {
            let mut rest = [&source[..], &[10, 0, 0, 1], &port.to_be_bytes(), &[0, 80]].concat();
            rest.extend(more);
            let peer = PeerAddr((source, port).into());
            prop_assert_eq!(read(&header(0x21, 0x11, &rest)), Ok(ProxyHeader::Proxied(peer)));
        }
    }
}
