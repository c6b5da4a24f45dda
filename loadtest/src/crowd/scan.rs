//! Finds whole events in the bytes of a socket, with no more work than finding their ends.
//!
//! The bytes still contain chunk frames. That is harmless: servers put frames between events or between
//! lines, and this module searches within lines.

use memchr::memmem;

/// A whole event or another block of lines, as received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventBlock<'a>(&'a [u8]);

/// Calls `each` for every event that ends in `carry` and `fresh`. The rest after the last one is kept in
/// `carry`.
pub(crate) fn scan(carry: &mut Vec<u8>, fresh: &[u8], mut each: impl FnMut(EventBlock<'_>)) {
    let mut fresh = fresh;
    if !carry.is_empty() {
        let Some(end) = end_of_carried(carry, fresh) else {
            return carry.extend_from_slice(fresh);
        };
        carry.extend_from_slice(&fresh[..end]);
        take_all(carry, &mut each);
        carry.clear();
        fresh = &fresh[end..];
    }
    let taken = take_all(fresh, &mut each);
    carry.extend_from_slice(&fresh[taken..]);
}

/// Returns the index in `fresh` after the end of the event that begins in `carry`.
fn end_of_carried(carry: &[u8], fresh: &[u8]) -> Option<usize> {
    if carry.ends_with(b"\n") && fresh.starts_with(b"\n") {
        return Some(1);
    }
    memmem::find(fresh, b"\n\n").map(|at| at + 2)
}

/// Returns how many bytes the events took.
fn take_all(bytes: &[u8], mut each: impl FnMut(EventBlock<'_>)) -> usize {
    let mut taken = 0;
    while let Some(end) = memmem::find(&bytes[taken..], b"\n\n") {
        each(EventBlock(&bytes[taken..taken + end]));
        taken += end + 2;
    }
    taken
}

impl<'a> EventBlock<'a> {
    /// Returns the `n` of the data, `{"n":17,...}`.
    pub(crate) fn number(self) -> Option<u64> {
        let rest = self.behind(br#"data: {"n":"#)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        matches!(rest.iter().find(|byte| !byte.is_ascii_digit()), Some(b',' | b'}')).then_some(number)
    }

    /// Returns the id.
    pub(crate) fn id(self) -> Option<&'a [u8]> {
        let rest = self.behind(b"\nid: ")?;
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        Some(&rest[..end])
    }

    /// Returns whether the event is a gap.
    pub(crate) fn is_gap(self) -> bool {
        self.behind(b"event: gap").is_some()
    }

    fn behind(self, what: &[u8]) -> Option<&'a [u8]> {
        let at = memmem::find(self.0, what)?;
        Some(&self.0[at + what.len()..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: &[u8] = b"5\r\n:ok\n\n\r\n2a\r\nevent: message\nid: [{\"n\":9}]\ndata: {\"n\":17,\"pad\":\"x\"}\n\n\r\n\
        e\r\nevent: message\n\r\n9\r\nid: [8]\n\r\n10\r\ndata: {\"n\":18}\n\n\r\n2\r\n:\n\r\n1d\r\nevent: gap\ndata: {}\n\n\r\n5\r\nevent";

    fn seen(parts: &[&[u8]]) -> Vec<(Option<u64>, Option<Vec<u8>>, bool)> {
        let (mut carry, mut seen) = (Vec::new(), Vec::new());
        for part in parts {
            scan(&mut carry, part, |block| {
                seen.push((block.number(), block.id().map(<[u8]>::to_vec), block.is_gap()));
            });
        }
        seen
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        let expected = vec![
            (None, None, false),
            (Some(17), Some(b"[{\"n\":9}]".to_vec()), false),
            (Some(18), Some(b"[8]".to_vec()), false),
            (None, None, true),
        ];
        for cut in 0..WIRE.len() {
            let (head, tail) = WIRE.split_at(cut);
            assert_eq!(seen(&[head, tail]), expected, "cut at {cut}");
        }
        let bytes: Vec<_> = WIRE.chunks(1).collect();
        assert_eq!(seen(&bytes), expected, "cut everywhere");
    }
}
