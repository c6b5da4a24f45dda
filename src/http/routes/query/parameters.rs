//! The query parameters of a stream, each parsed by itself.
//!
//! Not here: their names (`catalog`), and how they combine with the header `Last-Event-ID` (the parent module).

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::Uri;

use crate::{
    catalog::{NameMeaning, Parameter, QueryNames, Selection, decoded},
    filter::{Filter, FilterBuilder},
    http::{
        error::Error,
        routes::{checkpoint, since},
    },
    position::{IdForm, Timestamp},
    subscription::ContentCoding,
};

/// A query, in one pass over its pairs. Pairs without a meaning, of which there may be thousands, are not kept.
pub(super) struct StreamParameters<'a> {
    /// The values of the parameters that can be given once, by [`Parameter`].
    own: [ParameterValue<'a>; PARAMETERS],
    /// The first id that is not blank.
    last_event_id: Option<Cow<'a, str>>,
    /// Whether the request has the header `Last-Event-ID`.
    has_header_id: bool,
    /// The fields of events that can be named as parameters, whether all of the streams have them, and their values.
    fields: Vec<(&'a (Arc<str>, bool), ParameterValue<'a>)>,
}

/// The value of one name, not decoded yet.
#[derive(Clone, Copy, Default)]
struct ParameterValue<'a> {
    value: Option<&'a str>,
    is_repeated: bool,
}

impl<'a> StreamParameters<'a> {
    /// Reads the query of `uri`. Unknown names are ignored. `has_header_id` says whether the request has an id in its header.
    ///
    /// # Errors
    /// When a name differs from a known one only in case, dashes and underscores: ignoring it would start another stream than
    /// the client meant. A request with an id is not refused for that: it was answered before, and the name may be one of a field that a
    /// reload has added, or of a parameter of a newer version.
    pub(super) fn read(uri: &'a Uri, selection: &'a Selection, has_header_id: bool) -> Result<Self, Error> {
        let fields = &selection.filter_fields;
        let mut misspelling = None;
        let mut parameters = Self {
            own: Default::default(),
            last_event_id: None,
            has_header_id,
            fields: fields.iter().map(|it| (it, ParameterValue::default())).collect(),
        };
        let Some(query) = uri.query().filter(|query| !query.is_empty()) else {
            return Ok(parameters);
        };
        let names = QueryNames::of(fields.iter().map(|(field, _)| &**field));
        for pair in Pairs::of(query, names.shortest()) {
            let (length, meaning) = names.read(pair);
            let (name, value) = pair.split_at(length);
            let value = value.strip_prefix('=').unwrap_or_default();
            match meaning {
                NameMeaning::Nothing => {}
                // A pair without a name.
                _ if name.is_empty() => {}
                NameMeaning::Field(index) => parameters.fields[index].1.add(value),
                NameMeaning::Parameter(Parameter::LastEventId) => parameters.add_id(value),
                NameMeaning::Parameter(parameter) => parameters.own[parameter as usize].add(value),
                NameMeaning::Misspelt(meant) => _ = misspelling.get_or_insert((name, meant)),
            }
        }
        match misspelling {
            Some((name, meant)) if !parameters.resumes() => Err(misspelt(name, meant)),
            _ => Ok(parameters),
        }
    }

    /// Returns whether the request has an id, by which it takes up a stream that it had before.
    fn resumes(&self) -> bool {
        let from = self.own[Parameter::From as usize].value;
        let has_from = from.is_some_and(|from| !decoded(from).trim_ascii().is_empty());
        self.has_header_id || self.last_event_id.is_some() || has_from
    }

    /// Keeps the first id that is not blank.
    fn add_id(&mut self, value: &'a str) {
        if self.last_event_id.is_none() && !value.is_empty() {
            self.last_event_id = Some(decoded(value)).filter(|id| !id.as_bytes().trim_ascii().is_empty());
        }
    }

    /// Returns the time to start at, in milliseconds since the Unix epoch.
    pub(super) fn since(&self) -> Result<Option<Timestamp>, Error> {
        match self.single(Parameter::Since)?.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => {
                let time = since::parse(text);
                time.map(Some).ok_or_else(|| Error::BadSince(text.to_owned()))
            }
        }
    }

    /// Returns the id, decoded and without blanks around it.
    pub(super) fn last_event_id(&self) -> Option<&[u8]> {
        self.last_event_id.as_ref().map(|id| id.as_bytes().trim_ascii())
    }

    /// Returns the filter that these conditions, the parameter `filter` and the named fields make together.
    ///
    /// A field that not all of the streams have, or that is given twice, is ignored if the request has an id, as it is when none of the
    /// streams has it: it may have been added to one of them, or removed, since the request was made first.
    pub(super) fn filter(&self, mut parts: FilterBuilder) -> Result<Option<Filter>, Error> {
        match self.single(Parameter::Filter)?.as_deref() {
            None | Some("") => {}
            Some(text) => parts.parse(text)?,
        }
        for ((field, by_all), given) in &self.fields {
            if (!by_all || given.is_repeated) && self.resumes() {
                continue;
            }
            let Some(values) = given.at_most_one(field)? else {
                continue;
            };
            if !by_all {
                let why = format!("'{field}' is not a filter field of every requested stream");
                return Err(Error::BadParameter(why));
            }
            parts.one_of(field, values.split(','))?;
        }
        Ok(parts.compile()?)
    }

    /// Returns the form of the ids.
    pub(super) fn form(&self) -> Result<IdForm, Error> {
        let choices = [("json", IdForm::Json), ("compact", IdForm::Compact)];
        self.choice(Parameter::Id, choices)
    }

    /// Returns the content coding. It is not negotiated by `Accept-Encoding`, which browsers and libraries send unasked, even
    /// those that cannot read a compressed stream as it arrives.
    pub(super) fn coding(&self) -> Result<ContentCoding, Error> {
        let choices = [
            ("identity", ContentCoding::Identity),
            ("gzip", ContentCoding::Gzip),
        ];
        self.choice(Parameter::Encoding, choices)
    }

    /// Returns whether the stream is refused, or ends, at a gap.
    pub(super) fn fails_on_gap(&self) -> Result<bool, Error> {
        match self.single(Parameter::OnGap)?.as_deref() {
            None => Ok(false),
            Some("fail") => Ok(true),
            Some(_) => Err(Error::BadParameter("'on_gap' must be 'fail' or be absent".into())),
        }
    }

    /// Returns whether canary records are shown.
    pub(super) fn shows_canaries(&self) -> Result<bool, Error> {
        self.choice(Parameter::Canary, [("false", false), ("true", true)])
    }

    /// Returns after how long without an event the client wants a checkpoint.
    pub(super) fn checkpoint(&self) -> Result<Option<Duration>, Error> {
        let Some(text) = self.single(Parameter::Checkpoint)? else {
            return Ok(None);
        };
        let wait = checkpoint::parse(&text);
        wait.map(Some)
            .ok_or_else(|| Error::BadParameter(checkpoint::EXPECTED.to_owned()))
    }

    /// Returns which of two values a parameter has. It need not be given, and has the first one then.
    fn choice<T>(&self, parameter: Parameter, choices: [(&str, T); 2]) -> Result<T, Error> {
        let text = self.single(parameter)?;
        let [(one, _), (other, _)] = choices;
        let text = text.as_deref().unwrap_or(one);
        let why = || format!("'{}' must be '{one}' or '{other}'", parameter.name());
        let chosen = choices.into_iter().find(|(own, _)| *own == text);
        chosen
            .map(|(_, value)| value)
            .ok_or_else(|| Error::BadParameter(why()))
    }

    /// Returns the value of a parameter that can be given once.
    pub(super) fn single(&self, parameter: Parameter) -> Result<Option<Cow<'a, str>>, Error> {
        self.own[parameter as usize].at_most_one(parameter.name())
    }
}

/// The pairs of a query that are long enough for a known name. There may be thousands that are not, most of one byte.
struct Pairs<'a> {
    query: &'a str,
    /// The byte at which the next pair begins.
    start: usize,
    /// In bytes.
    shortest: usize,
}

impl<'a> Pairs<'a> {
    /// Returns the pairs of `query` with at least `shortest` bytes.
    fn of(query: &'a str, shortest: usize) -> Self {
        Self {
            query,
            start: 0,
            shortest,
        }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.query.as_bytes();
        while let Some(rest) = bytes.get(self.start..) {
            // A loop over the bytes costs less than a search for each separator.
            let length = rest.iter().position(|byte| *byte == b'&');
            let pair = self.start..self.start + length.unwrap_or(rest.len());
            self.start = pair.end + 1;
            if pair.len() >= self.shortest {
                return Some(&self.query[pair]);
            }
            if self.shortest > 1 {
                self.start += length_of_single_bytes(bytes.get(self.start..)?);
            }
        }
        None
    }
}

/// Returns how many bytes at the start of a query belong to pairs of at most one byte, as far as that shows a block at a time. The
/// byte behind them begins a pair, or is a separator.
fn length_of_single_bytes(query: &[u8]) -> usize {
    let (blocks, _) = query.as_chunks::<BLOCK>();
    let (followers, _) = query.get(1..).unwrap_or_default().as_chunks();
    // Without a branch for each byte, so that one instruction compares many.
    let is_single = |(bytes, followers): (&[u8; BLOCK], &[u8; BLOCK])| {
        let neighbours = bytes.iter().zip(followers);
        neighbours.fold(true, |is_single, (byte, follower)| {
            is_single & ((*byte == b'&') | (*follower == b'&'))
        })
    };
    BLOCK
        * blocks
            .iter()
            .zip(followers)
            .take_while(|both| is_single(*both))
            .count()
}

/// How many bytes of a query are compared at a time.
const BLOCK: usize = 32;

impl<'a> ParameterValue<'a> {
    /// Keeps the first value, and records whether there is another.
    fn add(&mut self, value: &'a str) {
        self.is_repeated = self.value.is_some();
        self.value.get_or_insert(value);
    }

    /// Returns the value, decoded.
    ///
    /// # Errors
    /// When the name was given more than once.
    fn at_most_one(&self, name: &str) -> Result<Option<Cow<'a, str>>, Error> {
        if self.is_repeated {
            return Err(Error::BadParameter(format!("'{name}' is given more than once")));
        }
        Ok(self.value.map(decoded))
    }
}

/// Returns the error for a name that is spelt almost as a known one.
fn misspelt(name: &str, meant: &str) -> Error {
    let name = decoded(name);
    Error::BadParameter(format!("unknown parameter '{name}'; did you mean '{meant}'?"))
}

/// The number of parameters that can be given once.
const PARAMETERS: usize = Parameter::LastEventId as usize;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pair_on_the_border_of_two_blocks_is_not_passed_over() {
        for singles in 0..3 * BLOCK {
            let query = format!("{}xy&", "&a".repeat(singles));
            let expected = if singles == 0 { "xy" } else { "axy" };
            assert_eq!(Pairs::of(&query, 2).next(), Some(expected), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_pair_that_is_long_enough_is_passed_over(query in "[a=&]{0,40}(&|a&){0,80}[a=&]{0,40}", shortest in 0..4_usize) {
            let pairs: Vec<_> = Pairs::of(&query, shortest).collect();
            let expected: Vec<_> = query.split('&').filter(|pair| pair.len() >= shortest).collect();
            prop_assert_eq!(pairs, expected);
        }
    }
}
