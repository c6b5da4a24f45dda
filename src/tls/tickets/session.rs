//! What is read of a session in a ticket: the certificate that the client has shown.
//!
//! The format is that of rustls (`ServerSessionValue`), which does not tell it. A session in another one is not resumed.

use std::time::SystemTime;

use crate::tls::certificate::has_expired;

/// Whether a session may be resumed now: its client has shown no certificate, or one that has not expired.
pub(super) fn is_resumable(session: &[u8], now: SystemTime) -> bool {
    match shown_certificate(session) {
        Some(Some(certificate)) => !has_expired(certificate, now),
        Some(None) => true,
        None => false,
    }
}

/// Returns the client's own certificate, without the rest of its chain, if it has shown one. Returns `None` if the session cannot be
/// read.
fn shown_certificate(mut session: &[u8]) -> Option<Option<&[u8]>> {
    let rest = &mut session;
    // The name that the client asked for.
    if flag(rest)? {
        variable(rest, 1)?;
    }
    fixed(rest, VERSION_AND_SUITE)?;
    // The secret, and whether it is an extended one.
    variable(rest, 1)?;
    fixed(rest, 1)?;
    if !flag(rest)? {
        return Some(None);
    }
    let mut chain = variable(rest, 3)?;
    variable(&mut chain, 3).map(Some)
}

fn flag(rest: &mut &[u8]) -> Option<bool> {
    match fixed(rest, 1)? {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

/// Takes bytes behind their length, which is a number of this many bytes.
fn variable<'a>(rest: &mut &'a [u8], length_bytes: usize) -> Option<&'a [u8]> {
    let length = fixed(rest, length_bytes)?;
    let length = length
        .iter()
        .fold(0, |length, byte| (length << 8) | usize::from(*byte));
    fixed(rest, length)
}

fn fixed<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// The length of the version and the cipher suite, in bytes.
const VERSION_AND_SUITE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// A session with this chain.
    fn session(chain: &[&[u8]]) -> Vec<u8> {
        let with_length = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat();
        let chain: Vec<u8> = chain
            .iter()
            .flat_map(|certificate| with_length(certificate))
            .collect();
        let shown = match chain.is_empty() {
            true => vec![0],
            false => [&[1][..], &*with_length(&chain)].concat(),
        };
        let head = &b"\x01\x04name\x03\x04\x13\x02\x03key\x01"[..];
        [head, &*shown, b"\x00the rest"].concat()
    }

    #[test]
    fn the_first_certificate_of_the_chain_is_found() {
        assert_eq!(shown_certificate(&session(&[])), Some(None));
        let long = vec![7; 70_000];
        for own in [b"own".as_slice(), b"", &long] {
            assert_eq!(shown_certificate(&session(&[own])), Some(Some(own)));
            assert_eq!(shown_certificate(&session(&[own, b"issuer"])), Some(Some(own)));
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_resumed() {
        let whole = session(&[b"own"]);
        for length in 0..whole.len() - b"\x00the rest".len() {
            assert_eq!(shown_certificate(&whole[..length]), None, "{length} bytes");
        }
        assert!(!is_resumable(&whole, SystemTime::now()), "what is no certificate");
        assert!(is_resumable(&session(&[]), SystemTime::now()));
        let mut rng = fastrand::Rng::with_seed(3);
        for length in 0..1000 {
            let rubbish: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            let _ = is_resumable(&rubbish, SystemTime::now());
        }
    }
}
