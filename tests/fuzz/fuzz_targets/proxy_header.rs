//! Any beginning of a connection: parsing it as a PROXY header never panics, and follows the specification.
//!
//! The model follows the text of the specification, section 2.2. The header is parsed by the `ppp` crate.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use riverhead::client::{InvalidProxyHeader, PeerAddr, ProxyHeader};

fuzz_target!(|bytes: &[u8]| {
    let told = read(bytes);
    assert_eq!(told.ok(), expected(bytes), "{bytes:?}");
    let _ = ProxyHeader::read(bytes);
    if bytes.starts_with(b"PROXY") {
        assert_eq!(told, Err(InvalidProxyHeader), "version 1 is not read");
    }
    if let Some(length) = bytes.first_chunk().and_then(|fixed| ProxyHeader::remaining_len(fixed).ok()) {
        assert!(length <= LONGEST);
        let whole = &bytes[..bytes.len().min(ProxyHeader::FIXED_LEN + length)];
        assert_eq!(read(whole), told, "what follows the header is no part of it");
        for cut in [0, ProxyHeader::FIXED_LEN - 1, whole.len() - 1] {
            assert_eq!(
                read(&whole[..cut.min(whole.len() - 1)]),
                Err(InvalidProxyHeader),
                "half a header"
            );
        }
    }
});

/// Reads as a connection does: first the fixed part, then as many bytes as that says.
fn read(bytes: &[u8]) -> Result<ProxyHeader, InvalidProxyHeader> {
    let fixed = bytes.first_chunk().ok_or(InvalidProxyHeader)?;
    let whole = ProxyHeader::FIXED_LEN + ProxyHeader::remaining_len(fixed)?;
    ProxyHeader::read(bytes.get(..whole).ok_or(InvalidProxyHeader)?)
}

fn expected(bytes: &[u8]) -> Option<ProxyHeader> {
    let (fixed, rest) = bytes.split_first_chunk::<16>()?;
    let [signature @ .., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if signature != *b"\r\n\r\n\0\r\nQUIT\n" || length > LONGEST {
        return None;
    }
    let rest = rest.get(..length)?;
    match command {
        // "The receiver must accept this connection as valid and must [...] discard the protocol block including the family".
        0x20 => return Some(ProxyHeader::Local),
        0x21 => {}
        _ => return None,
    }
    // "Receivers must drop connections presenting unexpected values here."
    if family >> 4 > 3 || family & 15 > 2 {
        return None;
    }
    let (octets, source): (usize, fn(&[u8]) -> IpAddr) = match family >> 4 {
        1 => (4, |rest| IpAddr::from(*rest.first_chunk::<4>().expect("four"))),
        2 => (16, |rest| {
            IpAddr::from(*rest.first_chunk::<16>().expect("sixteen"))
        }),
        3 => return (length >= 216).then_some(ProxyHeader::Local),
        _ => return Some(ProxyHeader::Local),
    };
    let port = rest.get(2 * octets..2 * octets + 4)?;
    let port = u16::from_be_bytes([port[0], port[1]]);
    Some(ProxyHeader::Proxied(PeerAddr(SocketAddr::new(source(rest), port))))
}

/// The most bytes after the fixed part that riverhead reads.
const LONGEST: usize = 2048;
