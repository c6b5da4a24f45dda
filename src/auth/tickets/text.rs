//! Tickets as they stand in a URL: `rvt_`, and base64 that needs no escapes there.
//!
//! The prefix lets scanners for leaked secrets find a ticket, and lets us hide one wherever it stands.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{key::TicketKey, ticket::Ticket};
use crate::auth::error::InvalidCredential;

/// Returns the text of a ticket that this key seals. Returns `None` if it would be longer than [`MAX_TEXT`].
pub(in crate::auth) fn seal(key: &TicketKey, ticket: &Ticket) -> Option<String> {
    let content = serde_json::to_vec(ticket).ok()?;
    let mut text = PREFIX.to_owned();
    URL_SAFE_NO_PAD.encode_string(key.seal(&content).ok()?, &mut text);
    Some(text).filter(|text| text.len() <= MAX_TEXT)
}

/// Returns the ticket in a text that one of these keys has sealed.
///
/// # Errors
/// When it is no ticket, is of another key, or was altered.
pub(in crate::auth) fn open<'k>(
    keys: impl Iterator<Item = &'k TicketKey>,
    text: &str,
) -> Result<Ticket, InvalidCredential> {
    let encoded = text.strip_prefix(PREFIX).filter(|_| text.len() <= MAX_TEXT);
    let sealed = encoded.and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok());
    let sealed = sealed.ok_or(InvalidCredential::Malformed)?;
    let mut named = keys.filter(|key| key.is_named_by(&sealed)).peekable();
    named.peek().ok_or(InvalidCredential::UnknownTicketKey)?;
    let content = named.find_map(|key| key.open(&sealed));
    let content = content.ok_or(InvalidCredential::AlteredTicket)?;
    // Only we can have written it, but perhaps a later version of us.
    serde_json::from_slice(&content).map_err(|_| InvalidCredential::Malformed)
}

/// What every ticket begins with.
const PREFIX: &str = "rvt_";

/// The longest ticket, in bytes. It shares the 16 KiB of a request's target with an id, and proxies often take 8 KiB.
const MAX_TEXT: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::tickets::{key::tests::key, ticket::tests::ticket};

    fn opened(keys: &[TicketKey], text: &str) -> Result<Ticket, InvalidCredential> {
        open(keys.iter(), text)
    }

    #[test]
    fn all_keys_open_what_one_of_them_has_sealed() {
        let keys = [key(2), key(1)];
        for own in &keys {
            let text = seal(own, &ticket("a")).unwrap();
            assert!(text.starts_with("rvt_") && text.len() < 500, "{text}");
            assert_eq!(opened(&keys, &text), Ok(ticket("a")));
            let other = opened(&[key(3)], &text);
            assert_eq!(other, Err(InvalidCredential::UnknownTicketKey));
        }
    }

    #[test]
    fn a_ticket_that_would_be_too_long_is_not_made() {
        let fits = ticket(&"a".repeat(2_600));
        let text = seal(&key(1), &fits).unwrap();
        assert!((3_600..=MAX_TEXT).contains(&text.len()), "{}", text.len());
        assert_eq!(opened(&[key(1)], &text), Ok(fits));
        assert_eq!(seal(&key(1), &ticket(&"a".repeat(3_000))), None);
        let long = format!("{text}{}", "A".repeat(MAX_TEXT));
        assert_eq!(opened(&[key(1)], &long), Err(InvalidCredential::Malformed));
    }

    #[test]
    fn what_has_not_the_form_of_a_ticket_is_malformed() {
        let text = seal(&key(1), &ticket("a")).unwrap();
        for bad in [
            "",
            "rvt",
            &text["rvt_".len()..],
            &text.replace("rvt_", "RVT_"),
            &format!("{text}="),
            &format!("{text} "),
            "rvt_!",
        ] {
            assert_eq!(opened(&[key(1)], bad), Err(InvalidCredential::Malformed), "{bad}");
        }
        assert_eq!(
            opened(&[key(1)], "rvt_"),
            Err(InvalidCredential::UnknownTicketKey)
        );
    }

    /// The bits behind the last byte are zero: otherwise four texts would mean the same ticket.
    #[test]
    fn a_ticket_has_one_text() {
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for length in 1..=3 {
            let text = seal(&key(1), &ticket(&"a".repeat(length))).unwrap();
            let (start, last) = text.split_at(text.len() - 1);
            for other in ALPHABET.split("").filter(|other| *other != last) {
                assert!(opened(&[key(1)], &format!("{start}{other}")).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn no_altered_ticket_opens(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]{0,3}", cut in 0..3_usize) {
            let keys = [key(1), key(2)];
            let text = seal(&keys[0], &ticket("a")).unwrap();
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            let altered = format!("{}{with}{}", &text[..at], &text[end..]);
            prop_assume!(altered != text);
            prop_assert!(opened(&keys, &altered).is_err());
        }

        #[test]
        fn whatever_was_sealed_is_read_or_refused(content in "\\{?[ -~]{0,60}|\\{(\"[cgbr]\":([0-9]{1,30}|\"[a-z]*\"|\\{\"[ktsf]\":[^\0]{0,9}\\}),?){0,4}\\}") {
            let sealed = key(1).seal(content.as_bytes()).unwrap();
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed));
            let opened = opened(&[key(1)], &text);
            prop_assert!(opened.is_ok() || opened == Err(InvalidCredential::Malformed));
        }

        #[test]
        fn no_rubbish_opens(text in "(rvt_)?[ -~]{0,400}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let keys = [key(1)];
            prop_assert!(opened(&keys, &text).is_err());
            // With the name of the key before it.
            let mut sealed = keys[0].seal(b"").unwrap();
            sealed.truncate(4);
            sealed.extend(bytes);
            let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed));
            prop_assert!(opened(&keys, &text).is_err());
        }
    }
}
