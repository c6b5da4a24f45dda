//! The parameter `partitions`: which partitions are read, and which ids go with it.

use std::ops::Range;

use super::{Admitted, parameters::StreamParameters};
use crate::{
    catalog::{Parameter, Selection},
    http::error::Error,
    position::{
        IdScope, NO_PARTITION, OwnPartitions, PartitionPosition, Partitions, PositionEntry, Restriction,
        RestrictionTag, Timestamp, TopicSet, default_start_position,
    },
};

/// Returns which partitions a client reads, if it does not read all.
///
/// # Errors
/// When the value is neither a share nor a list of partitions, or names a topic that the streams do not have and never had.
pub(super) fn restriction(
    parameters: &StreamParameters<'_>,
    selection: &Selection,
) -> Result<Option<Restriction>, Error> {
    let Some(text) = parameters.single(Parameter::Partitions)? else {
        return Ok(None);
    };
    let restriction = Restriction::parse(&text).ok_or_else(|| Error::BadParameter(EXPECTED.to_owned()))?;
    if let Restriction::List(list) = &restriction {
        let own = [&selection.topics, &selection.former_topics];
        let is_foreign = |topic: &&_| own.iter().all(|topics| !topics.contains(topic));
        if let Some(topic) = list.topics().map(|topic| &**topic).find(is_foreign) {
            let why = format!("'partitions' names the topic '{topic}', which these streams do not have");
            return Err(Error::BadParameter(why));
        }
    }
    Ok(Some(restriction))
}

/// Returns the topics to read: of a list, those that it names.
pub(super) fn topics(selection: &Selection, restriction: Option<&Restriction>) -> TopicSet {
    let topics = &selection.topics;
    match restriction {
        Some(restriction @ Restriction::List(_)) => {
            topics.filter(|topic| match restriction.of_topic(topic) {
                OwnPartitions::Listed(listed) => !listed.is_empty(),
                OwnPartitions::All | OwnPartitions::Remainder(..) => true,
            })
        }
        _ => topics.clone(),
    }
}

/// Checks that an id with this scope has the positions of all partitions that are read.
///
/// # Errors
/// 409 if it has not. Those that it lacks would be read from their start, or not from where the client is.
pub(super) fn check_scope(scope: IdScope, restriction: Option<&Restriction>) -> Result<(), Error> {
    let asked = restriction.map(Restriction::tag);
    let why = match scope {
        IdScope::Whole => return Ok(()),
        IdScope::Part(tag) if asked == Some(tag) => return Ok(()),
        IdScope::Part(RestrictionTag::Share(share)) => format!(
            "the id is of a read with 'partitions={share}'. Send it with the same 'partitions', or send the ids of all \
             {} shares, joined",
            share.of()
        ),
        IdScope::Part(RestrictionTag::List(_)) => {
            "the id is of a read of a list of partitions. Send it with the same 'partitions'".to_owned()
        }
        IdScope::Incomplete(missing) => {
            format!("the id is made of the ids of several shares, without that of {missing}")
        }
        IdScope::Mixed => "the id is made of ids of reads that do not belong together".to_owned(),
    };
    Err(Error::OtherPartitions(why))
}

/// Returns what concerns the partitions that are read of an id that concerns these topics.
pub(super) fn admit(
    (position, ranges, since): Admitted,
    topics: &TopicSet,
    restriction: &Restriction,
    now: Timestamp,
) -> Admitted {
    let Some(mut position) = position else {
        return (None, ranges, since);
    };
    let ranges = topics.entries_of_each(&position.entries);
    let mut kept = kept_entries(&position.entries, topics, &ranges, restriction);
    if kept.iter().all(|is_kept| *is_kept) {
        return (Some(position), Some(ranges), since);
    }
    // Topics that the id lacks start at the newest time in all of it.
    let places = position.entries.iter().map(|entry| entry.place);
    let newest = default_start_position(places.chain(since.map(PartitionPosition::Since)), now);
    let since = newest.map(|place| place.time().unwrap_or(0));
    keep_topics(&mut position.entries, &mut kept, &ranges);
    let mut kept = kept.into_iter();
    position.entries.retain(|_| kept.next() == Some(true));
    match position.entries.is_empty() {
        true => (None, None, since),
        false => (Some(position), None, since),
    }
}

/// Returns for each entry whether it concerns the partitions that are read.
fn kept_entries(
    entries: &[PositionEntry],
    topics: &TopicSet,
    ranges: &[Range<usize>],
    restriction: &Restriction,
) -> Vec<bool> {
    let mut kept = vec![false; entries.len()];
    for (topic, range) in topics.iter().zip(ranges) {
        let own = restriction.of_topic(topic);
        for index in range.clone() {
            kept[index] |= is_read(entries[index].partitions, own);
        }
    }
    kept
}

/// Returns whether an id's entry for these partitions concerns a read that has these of the topic.
pub(super) fn is_read(partitions: Partitions, own: OwnPartitions<'_>) -> bool {
    match partitions {
        Partitions::All | Partitions::One(NO_PARTITION) => true,
        Partitions::One(partition) => own.contains(partition),
    }
}

/// Makes the last entry of each topic that would lose all of them one for no partition, and keeps it. The topic was known, so
/// partitions that it has now and had not then are read from their start.
fn keep_topics(entries: &mut [PositionEntry], kept: &mut [bool], ranges: &[Range<usize>]) {
    for range in ranges {
        if let Some(last) = range.clone().last()
            && !kept[range.clone()].contains(&true)
        {
            entries[last].partitions = Partitions::One(NO_PARTITION);
            entries[last].place = PartitionPosition::Earliest;
            kept[last] = true;
        }
    }
}

/// What a value must be.
const EXPECTED: &str =
    "'partitions' must be 'k/n' with 1 <= k <= n <= 64, or up to 256 partitions as in 'TOPIC:0,TOPIC:3'";
