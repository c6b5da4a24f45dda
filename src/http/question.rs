//! What a client asks of its streams, beside their names: where to go on, and how.

mod parameters;
mod topics;

use std::time::Duration;

use http::{HeaderMap, Uri};

use self::{parameters::Parameters, topics::Topics};
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
    let (topics, former_topics) = (
        Topics::of(&selection.topics),
        Topics::of(&selection.former_topics),
    );
    let asked = |entry: &Entry| topics.has(&entry.topic);
    let (entries, others): (Vec<_>, Vec<_>) = id.entries.into_iter().partition(asked);
    let (former, foreign): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|entry| former_topics.has(&entry.topic));
    if !foreign.is_empty() {
        return Err(not_available(&foreign, selection));
    }
    // Of topics that the streams no longer have, the successors go on at the same time.
    let successors = place_elsewhere(former.iter().map(|entry| entry.place), now);
    let successors = successors.map(|place| place.time().unwrap_or(0));
    if entries.is_empty() {
        return Ok((None, successors.or(since)));
    }
    Ok((Some(Position { entries }), successors))
}

fn not_available(foreign: &[Entry], selection: &Selection) -> Error {
    let topics = foreign.chunk_by(|a, b| a.topic == b.topic);
    let asked = topics.take(MOST_TOLD).filter_map(|entries| entries.first());
    let asked = asked.map(|entry| match &entry.topic {
        TopicKey::Name(name) => name.to_string(),
        TopicKey::Tag(tag) => format!("a topic with the tag {tag:08x}"),
    });
    let asked = asked.collect();
    Error::TopicNotAvailable {
        asked,
        available: selection.topics.iter().map(ToString::to_string).collect(),
    }
}

/// The most topics that an answer names of those that it refuses.
const MOST_TOLD: usize = 32;

#[cfg(test)]
mod tests;
