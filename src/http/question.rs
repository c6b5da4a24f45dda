//! What a client asks of its streams, beside their names: where to go on, and how.

mod topics;

use std::{sync::Arc, time::Duration};

use axum::extract::Query;
use http::{HeaderMap, Uri};

use self::topics::Topics;
use super::{checkpoint, error::Error, since};
use crate::{
    catalog::{LAST_EVENT_ID, Selection, near_miss},
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
            filter: parameters.filter(selection)?,
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

/// The query, decoded.
struct Parameters<'a> {
    pairs: Vec<(String, String)>,
    /// The fields that can be named beside the parameters.
    fields: &'a [(Arc<str>, bool)],
}

impl<'a> Parameters<'a> {
    /// # Errors
    /// When a name differs from a known one so little that it is a slip: to ignore it would begin another stream than was
    /// meant. Any other name is somebody else's.
    fn read(uri: &Uri, selection: &'a Selection) -> Result<Self, Error> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Error::BadParameter(error.to_string()))?;
        let fields = &selection.filter_fields;
        let names = fields.iter().map(|(field, _)| &**field);
        let slip = pairs
            .iter()
            .find_map(|(name, _)| Some((name, near_miss(name, names.clone())?)));
        match slip {
            Some((name, meant)) => Err(Error::BadParameter(format!(
                "there is no '{name}'; did you mean '{meant}'?"
            ))),
            None => Ok(Self { pairs, fields }),
        }
    }

    fn since(&self) -> Result<Option<Timestamp>, Error> {
        match self.one("since")? {
            None | Some("") => Ok(None),
            Some(text) => match since::parse(text) {
                Some(time) => Ok(Some(time)),
                None => Err(Error::BadSince(text.to_owned())),
            },
        }
    }

    fn last_event_id(&self) -> Option<&[u8]> {
        let is_id = |name: &str| LAST_EVENT_ID.contains(&name) && !self.is_field(name);
        let ids = self.pairs.iter().filter(|(name, _)| is_id(name));
        ids.map(|(_, id)| id.as_bytes().trim_ascii())
            .find(|id| !id.is_empty())
    }

    /// Whether a field has this name.
    fn is_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| **field == *name)
    }

    /// All that is asked of events: `filter`, and the fields that the streams let be named.
    fn filter(&self, selection: &Selection) -> Result<Option<Filter>, Error> {
        let mut filter = match self.one("filter")? {
            None | Some("") => None,
            Some(text) => Some(Filter::parse(text)?),
        };
        for (field, by_all) in &selection.filter_fields {
            let Some(values) = self.only(field)? else { continue };
            if !by_all {
                let why = format!("'{field}' is not a field that each of these streams can be filtered by");
                return Err(Error::BadParameter(why));
            }
            let values: Vec<_> = values.split(',').collect();
            let asked = Filter::one_of(field, &values)?;
            filter = Some(match filter {
                Some(filter) => filter.and(&asked)?,
                None => asked,
            });
        }
        Ok(filter)
    }

    fn form(&self) -> Result<IdForm, Error> {
        match self.one("id")? {
            None | Some("json") => Ok(IdForm::Json),
            Some("compact") => Ok(IdForm::Compact),
            Some(_) => Err(Error::BadParameter("'id' is 'json' or 'compact'".to_owned())),
        }
    }

    /// Not by `Accept-Encoding`, which browsers and libraries send unasked, also those that cannot read a stream so.
    fn coding(&self) -> Result<Coding, Error> {
        match self.one("encoding")? {
            None | Some("identity") => Ok(Coding::Identity),
            Some("gzip") => Ok(Coding::Gzip),
            Some(_) => Err(Error::BadParameter("'encoding' is 'gzip', or absent".to_owned())),
        }
    }

    fn fails_on_gap(&self) -> Result<bool, Error> {
        match self.one("on_gap")? {
            None => Ok(false),
            Some("fail") => Ok(true),
            Some(_) => Err(Error::BadParameter("'on_gap' is 'fail', or absent".to_owned())),
        }
    }

    fn shows_canaries(&self) -> Result<bool, Error> {
        match self.one("canary")? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Error::BadParameter("'canary' is 'true' or 'false'".to_owned())),
        }
    }

    fn checkpoint(&self) -> Result<Option<Duration>, Error> {
        let Some(text) = self.one("checkpoint")? else {
            return Ok(None);
        };
        let wait = checkpoint::parse(text);
        wait.map(Some)
            .ok_or_else(|| Error::BadParameter(checkpoint::EXPECTED.to_owned()))
    }

    /// The value of a parameter, unless a field has its name.
    fn one(&self, wanted: &str) -> Result<Option<&str>, Error> {
        if self.is_field(wanted) {
            return Ok(None);
        }
        self.only(wanted)
    }

    /// What this name is given, which must be once.
    fn only(&self, wanted: &str) -> Result<Option<&str>, Error> {
        let mut values = self.pairs.iter().filter(|(name, _)| name == wanted);
        match (values.next(), values.next()) {
            (first, None) => Ok(first.map(|(_, value)| value.as_str())),
            _ => Err(Error::BadParameter(format!("'{wanted}' is given more than once"))),
        }
    }
}

/// The most topics that an answer names of those that it refuses.
const MOST_TOLD: usize = 32;

#[cfg(test)]
mod tests;
