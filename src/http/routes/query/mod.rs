//! The query of a request for streams, with the id and the format in its headers: where to resume, and how to deliver.
//!
//! Not here: the names of the streams, which are in the path (`stream`).

mod bounds;
mod fields;
mod parameters;
mod partitions;

use std::{ops::Range, time::Duration};

use http::{HeaderMap, Uri};

use self::{bounds::RequestIds, parameters::StreamParameters};
use super::{checkpoint, negotiation::format_of};
use crate::{
    catalog::{Parameter, Selection, decoded},
    filter::FilterBuilder,
    http::error::Error,
    metrics::StartPoint,
    position::{Position, PositionEntry, Timestamp, TopicKey, TopicSet, default_start_position},
    subscription::{ReadBounds, StreamView},
};

/// What a client asks of its streams, validated.
#[derive(Debug)]
pub(in crate::http) struct StreamQuery {
    /// The topics to read: those of the streams, or some of them.
    pub(in crate::http) topics: TopicSet,
    /// The position to resume at.
    pub(in crate::http) position: Option<Position>,
    /// The indices of its entries that are of each topic of the streams. `None` if they are not known.
    pub(in crate::http) ranges: Option<Vec<Range<usize>>>,
    /// The time to start at if there is no position, in milliseconds since the Unix epoch. With a position, the time at which
    /// topics start that it does not name.
    pub(in crate::http) since: Option<Timestamp>,
    /// Where the read ends. `None` if it has no end.
    pub(in crate::http) bounds: Option<ReadBounds>,
    /// Whether the read has ended before: it has an end, and the id of one.
    pub(super) is_over: bool,
    /// How the client wants its events. A probe also asks for its own canary records.
    pub(in crate::http) view: StreamView,
    /// Whether the stream is refused, or ends, at a gap.
    pub(super) fails_on_gap: bool,
    /// Whether the client can meet an `event: end`: it asked for a read with an end, or ignores types of events that it does not
    /// listen to.
    pub(super) may_meet_end: bool,
    /// After how long without an event a client that may lack an id gets a checkpoint.
    pub(in crate::http) checkpoint: Option<Duration>,
}

impl StreamQuery {
    /// Reads the query and the headers `Last-Event-ID` and `Accept`. `filter` has the conditions that hold whatever the query says. `now`
    /// is the time of the request, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When any part is invalid: nothing is guessed.
    pub(in crate::http) fn read(
        headers: &HeaderMap,
        uri: &Uri,
        selection: &Selection,
        filter: FilterBuilder,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let parameters = StreamParameters::read(uri, selection, last_event_id(headers).is_some())?;
        let since = parameters.since()?;
        let restriction = partitions::restriction(&parameters, selection)?;
        let topics = partitions::topics(selection, restriction.as_ref());
        let mut bounds = bounds::read(&parameters, selection, (&topics, restriction.as_ref()), now)?;
        let from = parameters.single(Parameter::From)?;
        let ids = RequestIds {
            header: last_event_id(headers),
            parameter: parameters.last_event_id(),
            from: from
                .as_ref()
                .map(|id| id.as_bytes().trim_ascii())
                .filter(|id| !id.is_empty()),
        };
        let start = ids.start(&selection.topics, restriction.as_ref())?;
        if let Some(bounds) = &mut bounds {
            bounds.mark = start.next_mark;
        }
        let has_id = start.position.is_some();
        let mut admitted = match start.position {
            Some(id) => {
                partitions::check_scope(id.scope, restriction.as_ref())?;
                resolve_position(id, since, selection, now)?
            }
            None => (None, None, since),
        };
        if let Some(restriction) = &restriction {
            admitted = partitions::admit(admitted, &topics, restriction, now);
        }
        let (position, ranges, since) = admitted;
        let (filter, form, coding) = (
            parameters.filter(filter)?,
            parameters.form()?,
            parameters.coding()?,
        );
        let fails_on_gap = parameters.fails_on_gap()?;
        let view = StreamView {
            format: format_of(headers),
            form,
            coding,
            filter,
            fields: fields::fields(&parameters, selection, has_id)?,
            restriction,
            shows_canaries: parameters.shows_canaries()?,
        };
        Ok(Self {
            topics,
            position,
            ranges,
            since,
            is_over: bounds.is_some() && start.is_end,
            may_meet_end: bounds.is_some() || checkpoint::ignores_types(headers, view.format),
            bounds,
            fails_on_gap,
            checkpoint: checkpoint::wait(parameters.checkpoint()?, headers, view.format)?,
            view,
        })
    }

    /// Whether the client may have no id to come back with before the first event: it begins with the next event, or it reads a part
    /// of the partitions, and has an id that is of another part or of all.
    pub(super) fn may_lack_id(&self) -> bool {
        self.start() == StartPoint::Live || self.view.restriction.is_some()
    }

    /// Returns where the stream begins, for the log and the metrics.
    pub(in crate::http) fn start(&self) -> StartPoint {
        match (&self.position, self.since) {
            (Some(_), _) => StartPoint::Id,
            (None, Some(_)) => StartPoint::Since,
            (None, None) => StartPoint::Live,
        }
    }
}

/// Whether a request has an id, whatever it is worth: it takes up a stream again, and does not begin one.
pub(in crate::http) fn has_id(headers: &HeaderMap, uri: &Uri) -> bool {
    let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    let is_name = |name: &str| {
        let (name, ids) = (decoded(name), [Parameter::LastEventId, Parameter::From]);
        ids.iter().any(|id| id.names().any(|own| own == name))
    };
    let is_blank = |value: &str| decoded(value).as_bytes().trim_ascii().is_empty();
    last_event_id(headers).is_some() || pairs.any(|(name, value)| !is_blank(value) && is_name(name))
}

/// Returns the header `Last-Event-ID`. A blank one counts as absent, because a client that has seen no event yet sends it empty
/// when it reconnects.
fn last_event_id(headers: &HeaderMap) -> Option<&[u8]> {
    let ids = headers.get_all("last-event-id").into_iter();
    ids.map(|id| id.as_bytes().trim_ascii()).find(|id| !id.is_empty())
}

/// The part of an id that concerns the request's topics, its ranges as in [`StreamQuery`], and the time that takes the place of the
/// request's `since`.
type Admitted = (Option<Position>, Option<Vec<Range<usize>>>, Option<Timestamp>);

/// Returns the part of an id that concerns the request's topics, and the time that takes the place of `since`.
///
/// # Errors
/// When the id has a topic that the streams do not have and never had.
fn resolve_position(
    id: Position,
    since: Option<Timestamp>,
    selection: &Selection,
    now: Timestamp,
) -> Result<Admitted, Error> {
    let mut entries = id.entries;
    let mut topics = vec![TopicScope::Foreign; entries.len()];
    let former = selection.former_topics.entries_of_each(&entries);
    let requested = selection.topics.entries_of_each(&entries);
    for (of, ranges) in [(TopicScope::Former, &former), (TopicScope::Requested, &requested)] {
        for range in ranges {
            // One by one: most topics have one partition.
            for entry in range.clone() {
                topics[entry] = of;
            }
        }
    }
    let of = |of: TopicScope| {
        let entries = entries.iter().zip(&topics);
        let entries = entries.filter(move |(_, topic)| **topic == of);
        entries.map(|(entry, _)| entry)
    };
    if topics.contains(&TopicScope::Foreign) {
        return Err(not_available(of(TopicScope::Foreign), selection));
    }
    let (mut successors, mut ranges) = (None, Some(requested));
    if topics.contains(&TopicScope::Former) {
        // The successors of topics that the streams no longer have resume at the same time.
        let place = default_start_position(of(TopicScope::Former).map(|entry| entry.place), now);
        successors = place.map(|place| place.time().unwrap_or(0));
        let mut topics = topics.iter();
        entries.retain(|_| topics.next() == Some(&TopicScope::Requested));
        ranges = None;
    }
    Ok(match entries.is_empty() {
        true => (None, None, successors.or(since)),
        false => (
            Some(Position {
                entries,
                scope: id.scope,
            }),
            ranges,
            successors,
        ),
    })
}

/// How the topic of an id's entry stands to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TopicScope {
    /// A topic of the requested streams.
    Requested,
    /// A topic that the requested streams had formerly.
    Former,
    /// Any other topic.
    Foreign,
}

/// Returns the error for an id with foreign topics, which names them.
fn not_available<'e>(foreign: impl Iterator<Item = &'e PositionEntry>, selection: &Selection) -> Error {
    let mut last = None;
    let topics = foreign.filter(|entry| last.replace(&entry.topic) != Some(&entry.topic));
    let requested = topics.take(MAX_LISTED).map(|entry| match &entry.topic {
        TopicKey::Name(name) => name.to_string(),
        TopicKey::Tag(tag) => format!("a topic with the tag {tag:08x}"),
    });
    Error::TopicNotAvailable {
        requested: requested.collect(),
        available: selection.topics.clone(),
    }
}

/// How many of the refused topics an error names at most.
const MAX_LISTED: usize = 32;

#[cfg(test)]
mod tests;
