//! The query parameter `ticket`, whose value is a secret: finding it, and hiding it in what is sent back or logged.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Returns the values of the parameter in a query, as they are written there. An empty one is none.
pub fn values(query: &str) -> impl Iterator<Item = &str> {
    let values = pairs(query).filter(|(name, _)| percent_decode_str(name).eq(NAME.bytes()));
    values.map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// Hides every ticket in a request target: by the name of the parameter, however it is spelt, and by what tickets begin with.
pub fn mask_target(target: &str) -> Cow<'_, str> {
    let named = target.split_once('?').filter(|(_, query)| {
        let mut names = pairs(query).map(|(name, _)| name);
        names.any(is_misspelt_name)
    });
    let Some((path, query)) = named else {
        return mask_tickets(target);
    };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_misspelt_name(name) => Cow::Owned(format!("{name}={HIDDEN}")),
        _ => Cow::Borrowed(pair),
    });
    let shown = format!("{path}?{}", shown.collect::<Vec<_>>().join("&"));
    Cow::Owned(mask_tickets(&shown).into_owned())
}

/// Hides every ticket in a text, wherever it stands.
pub fn mask_tickets(text: &str) -> Cow<'_, str> {
    let is_of_ticket = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let mut parts = text.split(PREFIX);
    let Some(first) = parts.next().filter(|first| first.len() < text.len()) else {
        return Cow::Borrowed(text);
    };
    let mut shown = first.to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii() && is_of_ticket(c as u8));
        shown.push_str(PREFIX);
        shown.push_str(if rest.len() < part.len() { HIDDEN } else { "" });
        shown.push_str(rest);
    }
    Cow::Owned(shown)
}

/// Returns the names and values of a query that may be those of the parameter. There may be thousands that are too short.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| pair.len() > NAME.len());
    pairs.filter_map(|pair| pair.split_once('='))
}

/// Whether this is the name of the parameter, or differs from it in case, dashes and underscores only.
fn is_misspelt_name(name: &str) -> bool {
    let letters = percent_decode_str(name).filter(|byte| !b"-_".contains(byte));
    letters.map(|byte| byte.to_ascii_lowercase()).eq(NAME.bytes())
}

const NAME: &str = "ticket";

/// What tickets begin with (`auth`).
const PREFIX: &str = "rvt_";

/// What is shown in place of a ticket.
const HIDDEN: &str = "...";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_parameter_is_found_however_its_letters_are_escaped() {
        let found = |query| values(query).collect::<Vec<_>>();
        assert_eq!(found("a=1&ticket=x&t%69cket=%79&ticket=&ticket"), ["x", "%79"]);
        assert!(found("Ticket=x&tickets=x&ticke=x&&=ticket").is_empty());
    }

    #[test]
    fn a_ticket_is_hidden_wherever_it_stands_and_however_its_name_is_spelt() {
        for (target, expected) in [
            ("/v2/stream/a", "/v2/stream/a"),
            ("/v2/stream/a?since=1&x", "/v2/stream/a?since=1&x"),
            ("/a?ticket=secret", "/a?ticket=..."),
            ("/a?x=1&ticket=secret&y=2", "/a?x=1&ticket=...&y=2"),
            ("/a?t%69cket=secret", "/a?t%69cket=..."),
            ("/a?Ticket=secret&TICK-ET=secret", "/a?Ticket=...&TICK-ET=..."),
            ("/a?tickets=1&ticke=1", "/a?tickets=1&ticke=1"),
            ("/a?ticket=secret?x", "/a?ticket=..."),
            ("/a&ticket=rvt_a-b_c", "/a&ticket=rvt_..."),
            (
                "/a?since=rvt_ab.c&filter=%22rvt_ab%22",
                "/a?since=rvt_....c&filter=%22rvt_...%22",
            ),
            ("/rvt_/rvt_rvt_x", "/rvt_/rvt_rvt_..."),
            ("/a%3Fticket%3Drvt_abc", "/a%3Fticket%3Drvt_..."),
        ] {
            assert_eq!(mask_target(target), expected, "{target}");
        }
    }

    proptest! {
        #[test]
        fn nothing_of_a_ticket_is_left(
            before in "[a-z?&=/%_]{0,20}",
            after in "(|[?&=/%.][a-z?&=/%_]{0,20})",
            named in any::<bool>(),
        ) {
            const SECRET: &str = "Xq7Zk1wPx9A4-_";
            let ticket = format!("{}{SECRET}", if named { "?ticket=" } else { "rvt_" });
            let shown = mask_target(&format!("/{}{ticket}{after}", before.replace('?', ""))).into_owned();
            prop_assert!(!shown.contains(SECRET), "{shown}");
        }
    }
}
