//! The query parameter `ticket`, which is a secret: finding it, and hiding it in what is logged or sent back.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Returns the values of the parameter, as they are written.
pub(super) fn values(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        is_ticket(name).then_some(value)
    })
}

/// Returns the target with the values of the parameter hidden.
pub(super) fn masked(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else {
        return Cow::Borrowed(target);
    };
    if values(query).next().is_none() {
        return Cow::Borrowed(target);
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_ticket(name) => Cow::Owned(format!("{name}={HIDDEN}")),
        _ => Cow::Borrowed(pair),
    });
    Cow::Owned(format!("{path}?{}", pairs.collect::<Vec<_>>().join("&")))
}

/// Whether this is the name of the parameter, or so close to it that the value is one.
fn is_ticket(name: &str) -> bool {
    let letters = percent_decode_str(name).filter(|byte| !b"-_".contains(byte));
    letters.map(|byte| byte.to_ascii_lowercase()).eq(NAME.bytes())
}

const NAME: &str = "ticket";
const HIDDEN: &str = "...";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_hidden_however_it_is_written() {
        for (target, expected) in [
            ("/v2/stream/a", "/v2/stream/a"),
            ("/v2/stream/a?since=1", "/v2/stream/a?since=1"),
            ("/a?ticket=secret", "/a?ticket=..."),
            ("/a?x=1&ticket=secret&y=2", "/a?x=1&ticket=...&y=2"),
            ("/a?t%69cket=secret", "/a?t%69cket=..."),
            ("/a?Ticket=secret&ticket=secret", "/a?Ticket=...&ticket=..."),
            ("/a?tickets=1", "/a?tickets=1"),
        ] {
            assert_eq!(masked(target), expected);
        }
        assert_eq!(values("a=1&ticket=x&ticket=").collect::<Vec<_>>(), ["x", ""]);
    }
}
