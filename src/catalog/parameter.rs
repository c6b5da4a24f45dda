//! The names that a query has for what is asked of a stream, and how fields of events stand to them.

/// The names of the id in a query, for clients that cannot set the header: browsers' polyfills, Mercure's clients, and the
/// header's own name.
pub const LAST_EVENT_ID: [&str; 6] = [
    "lastEventId",
    "lastEventID",
    "last_event_id",
    "Last-Event-ID",
    "last-event-id",
    "evs_last_event_id",
];

/// Those that no field may have.
const RESERVED: [&str; 8] = [
    "since",
    "filter",
    "id",
    "on_gap",
    "encoding",
    "canary",
    "lastEventId",
    "last_event_id",
];

/// Those that came when there were configurations already. On a stream with a field of this name the field keeps it: no
/// upgrade makes a valid configuration invalid.
const LATER: [&str; 5] = [
    "checkpoint",
    "lastEventID",
    "Last-Event-ID",
    "last-event-id",
    "evs_last_event_id",
];

/// Whether no field may have this name.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether a field of this name keeps a parameter's.
pub fn yields_to_fields(name: &str) -> bool {
    LATER.contains(&name)
}

/// The parameter or field that was meant by a name which is neither: one that differs in case, dashes and underscores only.
pub fn near_miss<'a>(name: &str, mut fields: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    // A name that is like none is the rule, and a query has room for thousands.
    let length = letters(name).count();
    let is_like = |own: &str| letters(own).eq(letters(name));
    let parameter = MEANT.iter().find(|(own, _)| own.len() == length && is_like(own));
    let parameter = parameter.map(|(_, parameter)| *parameter);
    let meant = parameter.or_else(|| fields.clone().find(|field| is_like(field)))?;
    let is_known = is_reserved(name) || yields_to_fields(name) || fields.any(|field| field == name);
    (!is_known).then_some(meant)
}

/// The letters of every parameter, and which of those that share them is named.
const MEANT: [(&str, &str); 9] = [
    ("id", "id"),
    ("since", "since"),
    ("ongap", "on_gap"),
    ("filter", "filter"),
    ("canary", "canary"),
    ("encoding", "encoding"),
    ("checkpoint", "checkpoint"),
    ("lasteventid", "lastEventId"),
    ("evslasteventid", "evs_last_event_id"),
];

/// What makes a name the one it is.
fn letters(name: &str) -> impl Iterator<Item = u8> {
    let letters = name.bytes().filter(|byte| !matches!(byte, b'-' | b'_'));
    letters.map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(name: &str, fields: &[&'static str]) -> Option<&'static str> {
        near_miss(name, fields.iter().copied())
    }

    #[test]
    fn names_that_differ_in_case_dashes_and_underscores_are_near() {
        for (name, known) in [
            ("Since", "since"),
            ("SINCE", "since"),
            ("on-gap", "on_gap"),
            ("onGap", "on_gap"),
            ("ID", "id"),
            ("LASTEVENTID", "lastEventId"),
            ("last_eventid", "lastEventId"),
            ("Evs-Last-Event-Id", "evs_last_event_id"),
            ("Checkpoint", "checkpoint"),
        ] {
            assert_eq!(meant(name, &[]), Some(known), "{name}");
        }
        for known in RESERVED.into_iter().chain(LATER) {
            assert_eq!(meant(known, &[]), None, "{known}");
            let slip = format!("{known}_");
            assert!(meant(&slip, &[]).is_some(), "{known} is not in the table");
        }
        for other in ["", "_", "-", "sinces", "sinc", "ids", "utm_source", "\u{130}d"] {
            assert_eq!(meant(other, &[]), None, "{other}");
        }
    }

    #[test]
    fn a_field_is_known_and_goes_before_a_near_miss() {
        assert_eq!(meant("Since", &["Since"]), None);
        assert_eq!(meant("user-id", &["user_id"]), Some("user_id"));
        assert_eq!(meant("user_id", &["user_id"]), None);
    }
}
