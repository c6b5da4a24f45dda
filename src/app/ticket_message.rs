//! The message that passes the keys of tickets to a successor, which may be of another version.
//!
//! It has a byte for the version. Then each owner of keys (a listener, for those of its session tickets, or the check of credentials)
//! has a byte for its number, two for the length of its keys, and the keys. The keys themselves are written and read by `tls` and
//! `auth`. A successor that does not know an owner leaves out its keys.

use zeroize::Zeroizing;

/// The keys of one owner.
pub(super) struct TicketKeysOf {
    /// The number of the owner.
    pub(super) owner: u8,
    pub(super) keys: Zeroizing<Vec<u8>>,
}

/// Encodes a message, which is empty without keys.
pub(super) fn encode(all: &[TicketKeysOf]) -> Zeroizing<Vec<u8>> {
    let each = all.iter().map(|one| HEAD_BYTES + one.keys.len());
    // As long as it will be: a buffer that grows leaves copies behind.
    let mut message = Zeroizing::new(Vec::with_capacity(1 + each.sum::<usize>()));
    for TicketKeysOf { owner, keys } in all {
        let Ok(length) = u16::try_from(keys.len()) else {
            continue;
        };
        if message.is_empty() {
            message.push(VERSION);
        }
        message.push(*owner);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(keys);
    }
    message
}

/// Decodes a message. Returns `None` if it is of another version, or was cut off.
pub(super) fn decode(message: &[u8]) -> Option<Vec<TicketKeysOf>> {
    let Some((version, mut rest)) = message.split_first() else {
        return Some(Vec::new());
    };
    let mut all = Vec::new();
    while let Some(([owner, high, low], behind)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (keys, behind) = behind.split_at_checked(length)?;
        all.push(TicketKeysOf {
            owner: *owner,
            keys: Zeroizing::new(keys.to_vec()),
        });
        rest = behind;
    }
    (*version == VERSION && rest.is_empty()).then_some(all)
}

/// The version of the message.
const VERSION: u8 = 1;

/// What stands before the keys of an owner.
const HEAD_BYTES: usize = 3;

/// The longest message that is read, in bytes. Two listeners with three keys each, and the check of credentials with
/// one, have 538.
pub(super) const MAX_MESSAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(all: &[(u8, &[u8])]) -> Zeroizing<Vec<u8>> {
        let all = all.iter().map(|(owner, keys)| TicketKeysOf {
            owner: *owner,
            keys: Zeroizing::new(keys.to_vec()),
        });
        encode(&all.collect::<Vec<_>>())
    }

    fn decoded(message: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
        let all = decode(message)?.into_iter();
        Some(all.map(|one| (one.owner, one.keys.to_vec())).collect())
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let long = vec![7; 600];
        for all in [&[][..], &[(1, &b"keys"[..])], &[(1, &long), (2, b""), (9, b"x")]] {
            let expected: Vec<_> = all.iter().map(|(owner, keys)| (*owner, keys.to_vec())).collect();
            assert_eq!(decoded(&message(all)), Some(expected));
        }
        assert!(message(&[]).is_empty(), "nothing is sent");
    }

    #[test]
    fn a_message_of_another_version_or_one_that_was_cut_off_is_refused() {
        let whole = message(&[(1, b"keys"), (2, b"more")]);
        let ends = [0, 1, HEAD_BYTES + 5, whole.len()];
        for length in 0..whole.len() {
            assert_eq!(
                decoded(&whole[..length]).is_some(),
                ends.contains(&length),
                "{length} bytes"
            );
        }
        let mut other = whole.clone();
        other[0] = 2;
        assert_eq!(decoded(&other), None);
    }
}
