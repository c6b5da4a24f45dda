//! What a client asks of its streams, beside their names: where to go on, and how.

mod parameters;

use std::time::Duration;

use http::{HeaderMap, Uri};

use self::parameters::StreamParameters;
use crate::{
    catalog::Selection,
    filter::Filter,
    http::error::Error,
    metrics::StartPoint,
    position::{self, IdForm, Position, PositionEntry, Timestamp, TopicKey, default_start_position},
    subscription::ContentCoding,
};

/// What a client asks of its streams.
#[derive(Debug)]
pub(in crate::http) struct StreamQuery {
    /// Where to go on.
    pub(in crate::http) position: Option<Position>,
    /// From when on, without a position.
    pub(in crate::http) since: Option<Timestamp>,
    /// Which events it wants.
    pub(in crate::http) filter: Option<Filter>,
    /// How ids are written.
    pub(in crate::http) form: IdForm,
    /// How the stream is packed.
    pub(in crate::http) coding: ContentCoding,
    /// Whether a gap is a failure.
    pub(super) fails_on_gap: bool,
    /// Whether marked records are shown: a probe asks for its own.
    pub(in crate::http) shows_canaries: bool,
    /// After how long without an event it wants to be told where it stands.
    pub(in crate::http) checkpoint: Option<Duration>,
}

impl StreamQuery {
    /// Reads it. `now` is the time of the request.
    ///
    /// # Errors
    /// When any part of it is wrong: what cannot be understood is never guessed.
    pub(in crate::http) fn read(
        headers: &HeaderMap,
        uri: &Uri,
        selection: &Selection,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let parameters = StreamParameters::read(uri, selection)?;
        let since = parameters.since()?;
        let id = last_event_id(headers).or_else(|| parameters.last_event_id());
        let (position, since) = match id {
            Some(id) => resolve_position(position::decode(id)?, since, selection, now)?,
            None => (None, since),
        };
        Ok(Self {
            position,
            since,
            filter: parameters.filter()?,
            form: parameters.form()?,
            coding: parameters.coding()?,
            fails_on_gap: parameters.fails_on_gap()?,
            shows_canaries: parameters.shows_canaries()?,
            checkpoint: parameters.checkpoint()?,
        })
    }

    /// Where it begins, in a word.
    pub(in crate::http) fn start(&self) -> StartPoint {
        match (&self.position, self.since) {
            (Some(_), _) => StartPoint::Id,
            (None, Some(_)) => StartPoint::Since,
            (None, None) => StartPoint::Live,
        }
    }
}

/// The header; blank is absent, since a client that has seen no event yet sends it empty when it comes back.
fn last_event_id(headers: &HeaderMap) -> Option<&[u8]> {
    let ids = headers.get_all("last-event-id").into_iter();
    ids.map(|id| id.as_bytes().trim_ascii()).find(|id| !id.is_empty())
}

/// Keeps what of an id concerns the request's topics, and what then takes the place of `since`.
fn resolve_position(
    id: Position,
    since: Option<Timestamp>,
    selection: &Selection,
    now: Timestamp,
) -> Result<(Option<Position>, Option<Timestamp>), Error> {
    let mut entries = id.entries;
    let mut topics = vec![TopicScope::Foreign; entries.len()];
    for (of, own) in [
        (TopicScope::Former, &selection.former_topics),
        (TopicScope::Requested, &selection.topics),
    ] {
        let ranges = own.entries_of_each(&entries).into_iter();
        // One by one: most are of one partition.
        ranges.flatten().for_each(|entry| topics[entry] = of);
    }
    let of = |of: TopicScope| {
        let entries = entries.iter().zip(&topics);
        entries
            .filter(move |(_, topic)| **topic == of)
            .map(|(entry, _)| entry)
    };
    if topics.contains(&TopicScope::Foreign) {
        return Err(not_available(of(TopicScope::Foreign), selection));
    }
    // Of topics that the streams no longer have, the successors go on at the same time.
    let successors = default_start_position(of(TopicScope::Former).map(|entry| entry.place), now);
    let successors = successors.map(|place| place.time().unwrap_or(0));
    if topics.contains(&TopicScope::Former) {
        let mut topics = topics.iter();
        entries.retain(|_| topics.next() == Some(&TopicScope::Requested));
    }
    if entries.is_empty() {
        return Ok((None, successors.or(since)));
    }
    Ok((Some(Position { entries }), successors))
}

/// Which topics an entry of an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TopicScope {
    /// Those of the request.
    Requested,
    /// Those that its streams once had.
    Former,
    /// None of these.
    Foreign,
}

fn not_available<'e>(foreign: impl Iterator<Item = &'e PositionEntry>, selection: &Selection) -> Error {
    let mut last = None;
    let topics = foreign.filter(|entry| last.replace(&entry.topic) != Some(&entry.topic));
    let requested = topics.take(MAX_LISTED).map(|entry| match &entry.topic {
        TopicKey::Name(name) => name.to_string(),
        TopicKey::Tag(tag) => format!("a topic with the tag {tag:08x}"),
    });
    let requested = requested.collect();
    Error::TopicNotAvailable {
        requested,
        available: selection.topics.names().map(ToString::to_string).collect(),
    }
}

/// The most topics that an answer names of those that it refuses.
const MAX_LISTED: usize = 32;

#[cfg(test)]
mod tests;
