//! How an open stream stands to another catalog than the one that admitted it.
//!
//! Not here: the end of a stream (`delivery`).

use std::collections::HashSet;

use super::access;
use crate::{
    catalog::{Catalog, Stream},
    http::open_streams::OpenStream,
    limits::EvictReason,
};

/// Returns why a stream that was admitted by the catalog `before` ends now that `after` is in force. Returns `None` if it goes on.
///
/// A client that comes back with its last id goes on behind it under the rules of `after`.
pub(in crate::http) fn reason_to_end(
    before: &Catalog,
    after: &Catalog,
    open: &OpenStream,
) -> Option<EvictReason> {
    let mut reason = None;
    for name in &open.names {
        // Under its name, or under an alias if it has another name now.
        let (Some(old), Some(new)) = (before.stream(name), after.stream(name)) else {
            return Some(EvictReason::Removed);
        };
        let is_other = old.access != new.access;
        if (is_other || old.only != new.only) && !access::may_read(open.principal.as_ref(), new) {
            reason = Some(EvictReason::AccessEnded);
        } else if gives_others(old, new) || (is_other && open.principal.is_some()) {
            // What its credential must give is known of a stream from its beginning.
            reason.get_or_insert(EvictReason::Changed);
        }
    }
    reason
}

/// Whether a reader gets other records of one than of the other.
fn gives_others(old: &Stream, new: &Stream) -> bool {
    let has_same_topics = || {
        let topics: HashSet<_> = old.topics.iter().collect();
        topics.len() == new.topics.len() && new.topics.iter().all(|topic| topics.contains(topic))
    };
    old.only != new.only || !has_same_topics()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};

    use super::*;
    use crate::{
        auth::tests::principal,
        catalog::{Access, Selection},
        http::delivery::evict::EvictHandle,
    };

    fn catalog(streams: Vec<Stream>) -> Catalog {
        Catalog::new(streams).unwrap()
    }

    fn edits() -> Stream {
        Stream::new("edits", ["a", "b"])
    }

    fn reason(names: &str, after: Vec<Stream>, has_principal: bool) -> Option<EvictReason> {
        let before = catalog(vec![edits(), Stream::new("pages", ["p"])]);
        let Selection { streams, .. } = before.select(names).unwrap();
        let open = OpenStream {
            names: streams.into(),
            principal: has_principal.then(|| Arc::new(principal("one", None))),
            stream: Weak::<EvictHandle>::new(),
        };
        reason_to_end(&before, &catalog(after), &open)
    }

    #[test]
    fn a_stream_goes_on_unless_it_is_gone_or_gives_others() {
        let others = || Stream::new("others", ["x"]);
        let with = |change: fn(&mut Stream)| {
            let mut stream = edits();
            change(&mut stream);
            vec![stream]
        };
        assert_eq!(reason("edits", vec![others(), edits()], false), None);
        assert_eq!(reason("edits", vec![others()], false), Some(EvictReason::Removed));
        assert_eq!(
            reason("edits,pages", vec![edits()], false),
            Some(EvictReason::Removed)
        );
        let changed = Some(EvictReason::Changed);
        let cases: [(fn(&mut Stream), _); 6] = [
            (|it| it.topics.reverse(), None),
            (|it| it.description = "other".into(), None),
            (|it| it.filter_fields = vec!["wiki".into()], None),
            (|it| it.topics.push("c".into()), changed),
            (|it| it.topics.truncate(1), changed),
            (
                |it| {
                    it.aliases = vec![it.name.clone()];
                    it.name = "other".into();
                },
                None,
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(reason("edits", with(change), false), expected);
        }
    }

    #[test]
    fn who_may_not_read_any_more_is_told_so_and_who_may_comes_back() {
        let closed = |scope: &str| {
            let mut stream = edits();
            stream.access = Access::Scopes(vec![scope.into()]);
            vec![stream]
        };
        let ended = Some(EvictReason::AccessEnded);
        assert_eq!(reason("edits", closed("read"), false), ended);
        assert_eq!(reason("edits", closed("other"), true), ended);
        assert_eq!(reason("edits", closed("read"), true), Some(EvictReason::Changed));
        assert_eq!(reason("edits", vec![edits()], true), None);
        let mut filtered = edits();
        filtered.only = Some("tenant = x".into());
        assert_eq!(reason("edits", vec![filtered.clone()], false), ended);
        assert_eq!(reason("edits", vec![filtered], true), Some(EvictReason::Changed));
    }
}
