//! What a client asks of its streams, beside their names: where to go on, and how.

mod parameters;

use std::time::Duration;

use http::{HeaderMap, Uri};

use self::parameters::Parameters;
use super::error::Error;
use crate::{
    catalog::Selection,
    filter::Filter,
    metrics::StartPlace,
    position::{self, Entry, IdForm, Position, Timestamp, TopicKey, place_elsewhere},
    subscription::Coding,
};

/// What a client asks of its streams.
#[derive(Debug)]
pub(super) struct Question {
    /// Where to go on.
    pub(super) position: Option<Position>,
    /// From when on, without a position.
    pub(super) since: Option<Timestamp>,
    /// Which events it wants.
    pub(super) filter: Option<Filter>,
    /// How ids are written.
    pub(super) form: IdForm,
    /// How the stream is packed.
    pub(super) coding: Coding,
    /// Whether a gap is a failure.
    pub(super) fails_on_gap: bool,
    /// Whether marked records are shown: a probe asks for its own.
    pub(super) shows_canaries: bool,
    /// After how long without an event it wants to be told where it stands.
    pub(super) checkpoint: Option<Duration>,
}

impl Question {
    /// Reads it. `now` is the time of the request.
    ///
    /// # Errors
    /// When any part of it is wrong: what cannot be understood is never guessed.
    pub(super) fn read(
        headers: &HeaderMap,
        uri: &Uri,
        selection: &Selection,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let parameters = Parameters::read(uri, selection)?;
        let since = parameters.since()?;
        let id = last_event_id(headers).or_else(|| parameters.last_event_id());
        let (position, since) = match id {
            Some(id) => admit(position::decode(id)?, since, selection, now)?,
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
    pub(super) fn start(&self) -> StartPlace {
        match (&self.position, self.since) {
            (Some(_), _) => StartPlace::Id,
            (None, Some(_)) => StartPlace::Since,
            (None, None) => StartPlace::Live,
        }
    }
}

/// The header; blank is absent, since a client that has seen no event yet sends it empty when it comes back.
fn last_event_id(headers: &HeaderMap) -> Option<&[u8]> {
    let ids = headers.get_all("last-event-id").into_iter();
    ids.map(|id| id.as_bytes().trim_ascii()).find(|id| !id.is_empty())
}

/// Keeps what of an id concerns the request's topics, and what then takes the place of `since`.
fn admit(
    id: Position,
    since: Option<Timestamp>,
    selection: &Selection,
    now: Timestamp,
) -> Result<(Option<Position>, Option<Timestamp>), Error> {
    let mut entries = id.entries;
    let mut topics = vec![Of::Foreign; entries.len()];
    for (of, own) in [
        (Of::Former, &selection.former_topics),
        (Of::Asked, &selection.topics),
    ] {
        let ranges = own.entries_of_each(&entries).into_iter();
        // One by one: most are of one partition.
        ranges.flatten().for_each(|entry| topics[entry] = of);
    }
    let of = |of: Of| {
        let entries = entries.iter().zip(&topics);
        entries
            .filter(move |(_, topic)| **topic == of)
            .map(|(entry, _)| entry)
    };
    if topics.contains(&Of::Foreign) {
        return Err(not_available(of(Of::Foreign), selection));
    }
    // Of topics that the streams no longer have, the successors go on at the same time.
    let successors = place_elsewhere(of(Of::Former).map(|entry| entry.place), now);
    let successors = successors.map(|place| place.time().unwrap_or(0));
    if topics.contains(&Of::Former) {
        let mut topics = topics.iter();
        entries.retain(|_| topics.next() == Some(&Of::Asked));
    }
    if entries.is_empty() {
        return Ok((None, successors.or(since)));
    }
    Ok((Some(Position { entries }), successors))
}

/// Which topics an entry of an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Those of the request.
    Asked,
    /// Those that its streams once had.
    Former,
    /// None of these.
    Foreign,
}

fn not_available<'e>(foreign: impl Iterator<Item = &'e Entry>, selection: &Selection) -> Error {
    let mut last = None;
    let topics = foreign.filter(|entry| last.replace(&entry.topic) != Some(&entry.topic));
    let asked = topics.take(MOST_TOLD).map(|entry| match &entry.topic {
        TopicKey::Name(name) => name.to_string(),
        TopicKey::Tag(tag) => format!("a topic with the tag {tag:08x}"),
    });
    let asked = asked.collect();
    Error::TopicNotAvailable {
        asked,
        available: selection.topics.names().map(ToString::to_string).collect(),
    }
}

/// The most topics that an answer names of those that it refuses.
const MOST_TOLD: usize = 32;

#[cfg(test)]
mod tests;
