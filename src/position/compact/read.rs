//! The reader of the compact form. Every length is checked against the remaining bytes before memory is allocated for it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use memchr::memchr;

use super::{CEILING_SHIFT, END_TAG, EntryKind, LogField, MARKER, RESTRICTED_VERSION, VERSION};
use crate::position::{
    DecodeError, EndMark, LogPosition, LogTag, MAX_SHARES, PartitionPosition, Partitions, PositionEntry,
    RestrictionTag, Share, Timestamp, TopicKey, bounds::MAX_COMPACT_ENTRIES, restriction::ScopeBuilder,
};

/// The entries of an id, of which reads it is, and the mark of an end if it bears one.
pub(in crate::position) type Decoded = (Vec<PositionEntry>, ScopeBuilder, Option<EndMark>);

/// Parses a compact id, or several with commas between them. Several together do not bear the mark of an end.
pub(in crate::position) fn decode(text: &[u8]) -> Result<Decoded, DecodeError> {
    let mut scope = ScopeBuilder::default();
    // Most texts are one id, of which each byte would be looked at.
    let first = memchr(b',', text).unwrap_or(text.len());
    let (mut entries, mut mark) = decode_one(&text[..first], &mut scope)?;
    let others = text
        .get(first + 1..)
        .map(|others| others.split(|byte| *byte == b','));
    for (count, id) in (1..).zip(others.into_iter().flatten()) {
        if count == MAX_SHARES {
            return Err(DecodeError::TooManyEntries);
        }
        mark = None;
        entries.extend(decode_one(id, &mut scope)?.0);
        if entries.len() > MAX_COMPACT_ENTRIES {
            return Err(DecodeError::TooManyEntries);
        }
    }
    Ok((entries, scope, mark))
}

fn decode_one(
    text: &[u8],
    scope: &mut ScopeBuilder,
) -> Result<(Vec<PositionEntry>, Option<EndMark>), DecodeError> {
    let (version, binary) = binary(text)?;
    let mut reader = CompactReader::of(&binary);
    scope.add(reader.restriction_of(version)?);
    reader.read()?;
    let mark = match reader.end_tags {
        0 => None,
        1 => Some(EndMark::First),
        _ => Some(EndMark::Second),
    };
    Ok((reader.entries, mark))
}

/// Splits the bytes of an id after the name of the restriction, if it has one. Returns its version too.
pub(super) fn split_restriction(text: &[u8]) -> Result<(&'static [u8], Vec<u8>, usize), DecodeError> {
    let (version, binary) = binary(text)?;
    let mut reader = CompactReader::of(&binary);
    reader.restriction_of(version)?;
    let length = binary.len() - reader.rest.len();
    Ok((version, binary, length))
}

/// Returns the version of an id, and its bytes.
fn binary(text: &[u8]) -> Result<(&'static [u8], Vec<u8>), DecodeError> {
    let versioned = text.strip_prefix(MARKER).ok_or(DecodeError::Damaged)?;
    let of_version = |version| Some((version, versioned.strip_prefix(version)?));
    let (version, text) = of_version(RESTRICTED_VERSION)
        .or_else(|| of_version(VERSION))
        .ok_or(DecodeError::UnknownVersion)?;
    let binary = URL_SAFE_NO_PAD.decode(text).map_err(|_| DecodeError::Damaged)?;
    Ok((version, binary))
}

struct CompactReader<'a> {
    rest: &'a [u8],
    /// The ceiling of the timestamps, in ms.
    ceiling: u64,
    entries: Vec<PositionEntry>,
    /// How many topics were the mark of an end.
    end_tags: usize,
}

/// The values that the entries of one topic share.
struct TopicHeader {
    tag: u32,
    log: Option<LogTag>,
    numbered: bool,
}

impl<'a> CompactReader<'a> {
    fn of(binary: &'a [u8]) -> Self {
        Self {
            rest: binary,
            ceiling: 0,
            entries: Vec::new(),
            end_tags: 0,
        }
    }

    fn read(&mut self) -> Result<(), DecodeError> {
        let head = self.varint()?;
        self.ceiling = self.ceiling()?;
        let cluster = if head & 1 == 1 {
            Some(self.bits::<3>()?)
        } else {
            None
        };
        for left in (1..=self.count(head >> 1)?).rev() {
            self.topic(cluster, left)?;
        }
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Damaged)
        }
    }

    /// Reads the name of the restriction, if ids of this version have one.
    fn restriction_of(&mut self, version: &[u8]) -> Result<Option<RestrictionTag>, Damaged> {
        match version == RESTRICTED_VERSION {
            true => self.restriction().map(Some),
            false => Ok(None),
        }
    }

    /// Reads the name of the restriction.
    fn restriction(&mut self) -> Result<RestrictionTag, Damaged> {
        match number(self.varint()?)? {
            0 => Ok(RestrictionTag::List(self.bits::<4>()? as u32)),
            of => {
                let share = Share::new(number(self.varint()?)?, of);
                share.map(RestrictionTag::Share).ok_or(Damaged)
            }
        }
    }

    /// Reads the next of the `left` topics that are not read yet.
    fn topic(&mut self, cluster: Option<u64>, left: usize) -> Result<(), DecodeError> {
        let tag = self.bits::<4>()? as u32;
        let head = self.varint()?;
        let cluster = if head >> 2 & 1 == 1 {
            Some(self.bits::<3>()?)
        } else {
            cluster
        };
        let topic = TopicHeader {
            tag,
            log: if head >> 1 & 1 == 1 {
                Some(self.log(cluster)?)
            } else {
                None
            },
            numbered: head & 1 == 1,
        };
        let partitions = self.count(head >> 3)?;
        self.end_tags += usize::from(partitions == 0 && tag == END_TAG);
        if partitions > MAX_COMPACT_ENTRIES - self.entries.len() {
            return Err(DecodeError::TooManyEntries);
        }
        // Reserves as if each topic that follows had as many partitions. An entry takes at least one byte.
        let likely = partitions.saturating_mul(left).min(self.rest.len());
        self.entries
            .reserve(likely.min(MAX_COMPACT_ENTRIES - self.entries.len()));
        for index in 0..partitions {
            let entry = self.entry(&topic, index)?;
            self.entries.push(entry);
        }
        Ok(())
    }

    fn entry(&mut self, topic: &TopicHeader, index: usize) -> Result<PositionEntry, Damaged> {
        let partition = if topic.numbered {
            self.varint()?
        } else {
            index as u64
        };
        Ok(PositionEntry {
            topic: TopicKey::Tag(topic.tag),
            partitions: Partitions::One(number(partition)?),
            place: self.position(topic)?,
        })
    }

    fn position(&mut self, topic: &TopicHeader) -> Result<PartitionPosition, Damaged> {
        let head = self.varint()?;
        let epoch = head >> 4;
        let kind = EntryKind::from_code(head & 15).ok_or(Damaged)?;
        match kind {
            EntryKind::At { log, timestamp } => self
                .log_position(topic, log, timestamp, epoch)
                .map(PartitionPosition::At),
            _ if epoch != 0 => Err(Damaged),
            EntryKind::Earliest => Ok(PartitionPosition::Earliest),
            EntryKind::Latest => Ok(PartitionPosition::Latest),
            EntryKind::Since => self.timestamp().map(PartitionPosition::Since),
        }
    }

    fn log_position(
        &mut self,
        topic: &TopicHeader,
        log: LogField,
        timestamp: bool,
        epoch: u64,
    ) -> Result<LogPosition, Damaged> {
        let log = match log {
            LogField::None if epoch != 0 => return Err(Damaged),
            LogField::None => None,
            LogField::Topics => Some(topic.log.ok_or(Damaged)?),
            LogField::Own => {
                let cluster = self.bits::<3>()?;
                Some(self.log(Some(cluster))?)
            }
        };
        Ok(LogPosition {
            log,
            epoch: epoch.checked_sub(1).map(number).transpose()?,
            offset: number(self.varint()?)?,
            timestamp: if timestamp { Some(self.timestamp()?) } else { None },
        })
    }

    fn log(&mut self, cluster: Option<u64>) -> Result<LogTag, Damaged> {
        let topic = self.bits::<5>()?;
        let cluster = cluster.ok_or(Damaged)?;
        let tag = LogTag::from_bits(cluster as u32, topic);
        // Only 36 of the 40 bits count.
        if tag.topic_bits() == topic {
            Ok(tag)
        } else {
            Err(Damaged)
        }
    }

    fn ceiling(&mut self) -> Result<u64, Damaged> {
        let units = self.varint()?;
        // One unit beyond the largest timestamp.
        let highest = 1 << (u64::BITS - 1 - CEILING_SHIFT);
        if units <= highest {
            Ok(units << CEILING_SHIFT)
        } else {
            Err(Damaged)
        }
    }

    fn timestamp(&mut self) -> Result<Timestamp, Damaged> {
        let below = self.varint()?;
        number(self.ceiling.checked_sub(below).ok_or(Damaged)?)
    }

    /// Returns `count` if that many items can follow. Each item has at least one byte.
    fn count(&self, count: u64) -> Result<usize, Damaged> {
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest.len())
            .ok_or(Damaged)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Damaged> {
        match self.rest {
            // Most have one byte.
            [byte @ 0..=0x7f, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    /// Reads a varint of any length.
    fn long_varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0;
        for (shift, byte) in (0..u64::BITS).step_by(7).zip(self.rest) {
            let digit = u64::from(byte & 0x7f);
            let overflows = digit << shift >> shift != digit;
            let overlong = *byte == 0 && shift > 0;
            if overflows || overlong {
                break;
            }
            value |= digit << shift;
            if *byte < 0x80 {
                self.rest = &self.rest[shift as usize / 7 + 1..];
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    /// Reads the next `N` bytes, at most eight, as a number.
    #[inline]
    fn bits<const N: usize>(&mut self) -> Result<u64, Damaged> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Damaged)?;
        self.rest = rest;
        let mut number = [0; 8];
        number[8 - N..].copy_from_slice(bytes);
        Ok(u64::from_be_bytes(number))
    }
}

/// Converts `value` to the type that it has in a position.
fn number<T: TryFrom<u64>>(value: u64) -> Result<T, Damaged> {
    T::try_from(value).map_err(|_| Damaged)
}

/// The id was cut off or altered. An error without a value, because the reader returns thousands of results, which are returned in
/// registers.
struct Damaged;

impl From<Damaged> for DecodeError {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}
