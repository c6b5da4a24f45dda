//! The writer of the compact form, which keeps the text up to date while partitions move.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{CEILING_SHIFT, EntryKind, MARKER, RESTRICTED_VERSION, VERSION};
use crate::position::{
    LogPosition, LogTag, PartitionPosition, RestrictionTag, Timestamp, TopicKey, byte_template::ByteTemplate,
    id_slot::IdSlot,
};

/// A compact id that is kept up to date.
#[derive(Clone, Debug, Default)]
pub(crate) struct CompactText {
    /// Names the restriction of the read, if it has one.
    restriction: Option<RestrictionTag>,
    text: String,
    binary: ByteTemplate,
    base: BaseValues,
    scratch: Vec<u8>,
}

/// The values that entries are written relative to. If they change, all entries are written anew.
#[derive(Clone, Debug, Default)]
struct BaseValues {
    /// The newest timestamp of all entries.
    newest: Option<Timestamp>,
    /// For each slot, the log of its topic.
    logs: Vec<Option<LogTag>>,
}

impl CompactText {
    pub(crate) fn new(restriction: Option<RestrictionTag>, slots: &[IdSlot]) -> Self {
        let mut text = Self {
            restriction,
            ..Self::default()
        };
        text.rebuild(slots);
        text
    }

    pub(crate) fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Updates the id for the slot at `index`, whose position was `before`.
    pub(crate) fn set(&mut self, slots: &[IdSlot], index: usize, before: &PartitionPosition) {
        let position = &slots[index].position;
        let ceiling = self.base.ceiling();
        self.base.follow(slots, before, position);
        if ceiling != self.base.ceiling() || log(before) != log(position) {
            return self.rebuild(slots);
        }
        self.scratch.clear();
        self.base.write_position(index, position, &mut self.scratch);
        let changed = self.binary.replace(index, &self.scratch);
        self.encode_from(changed);
    }

    fn rebuild(&mut self, slots: &[IdSlot]) {
        self.base = BaseValues::of(slots);
        self.binary.clear();
        self.write_head(slots);
        let mut begin = 0;
        for topic in slots.chunk_by(|a, b| a.topic == b.topic) {
            self.write_topic(begin, topic);
            begin += topic.len();
        }
        self.encode_from(0);
    }

    fn write_head(&mut self, slots: &[IdSlot]) {
        let topics = slots.chunk_by(|a, b| a.topic == b.topic).count() as u64;
        let cluster = self.base.cluster();
        self.scratch.clear();
        if let Some(restriction) = self.restriction {
            write_restriction(restriction, &mut self.scratch);
        }
        write_varint(topics << 1 | u64::from(cluster.is_some()), &mut self.scratch);
        write_varint(self.base.ceiling() >> CEILING_SHIFT, &mut self.scratch);
        if let Some(cluster) = cluster {
            self.scratch.extend_from_slice(&cluster.to_be_bytes()[1..]);
        }
        self.binary.push_fixed(&self.scratch);
    }

    /// Writes the slots of one topic. `begin` is the index of the first of them among all slots.
    fn write_topic(&mut self, begin: usize, slots: &[IdSlot]) {
        let numbered = !slots.iter().map(|slot| slot.partition).eq(0..slots.len() as i32);
        self.write_topic_head(begin, slots, numbered);
        for (index, slot) in slots.iter().enumerate() {
            self.scratch.clear();
            if numbered {
                write_varint(slot.partition.max(0) as u64, &mut self.scratch);
                self.binary.push_fixed(&self.scratch);
                self.scratch.clear();
            }
            self.base
                .write_position(begin + index, &slot.position, &mut self.scratch);
            self.binary.push_slot(&self.scratch);
        }
    }

    fn write_topic_head(&mut self, begin: usize, slots: &[IdSlot], numbered: bool) {
        let log = self.base.logs[begin];
        let own_cluster = log
            .map(LogTag::cluster_bits)
            .filter(|own| self.base.cluster() != Some(*own));
        let flags =
            u64::from(own_cluster.is_some()) << 2 | u64::from(log.is_some()) << 1 | u64::from(numbered);
        self.scratch.clear();
        let tag = TopicKey::tag_of(&slots[0].topic);
        self.scratch.extend_from_slice(&tag.to_be_bytes());
        write_varint((slots.len() as u64) << 3 | flags, &mut self.scratch);
        if let Some(cluster) = own_cluster {
            self.scratch.extend_from_slice(&cluster.to_be_bytes()[1..]);
        }
        if let Some(log) = log {
            self.scratch
                .extend_from_slice(&log.topic_bits().to_be_bytes()[3..]);
        }
        self.binary.push_fixed(&self.scratch);
    }

    /// Encodes the text again behind the first `unchanged` bytes. Three bytes are four characters.
    fn encode_from(&mut self, unchanged: usize) {
        let groups = unchanged / 3;
        let version = match self.restriction {
            None => VERSION,
            Some(_) => RESTRICTED_VERSION,
        };
        let head = MARKER.len() + version.len();
        if self.text.is_empty() {
            self.text
                .extend([MARKER, version].concat().iter().map(|byte| char::from(*byte)));
        }
        self.text.truncate(head + groups * 4);
        URL_SAFE_NO_PAD.encode_string(&self.binary.bytes()[groups * 3..], &mut self.text);
    }
}

impl BaseValues {
    fn of(slots: &[IdSlot]) -> Self {
        let mut logs = Vec::with_capacity(slots.len());
        for topic in slots.chunk_by(|a, b| a.topic == b.topic) {
            let first = topic.iter().find_map(|slot| log(&slot.position));
            logs.extend(topic.iter().map(|_| first));
        }
        Self {
            newest: newest(slots),
            logs,
        }
    }

    /// Updates `newest` for a slot that moved from `before` to `now`. The other slots are read only if the newest one moved back.
    fn follow(&mut self, slots: &[IdSlot], before: &PartitionPosition, now: &PartitionPosition) {
        let was_newest = self.newest.is_some() && timestamp(before) == self.newest;
        self.newest = match timestamp(now).max(self.newest) {
            kept if was_newest && timestamp(now) < kept => newest(slots),
            risen => risen,
        };
    }

    /// Returns the ceiling in ms: the end of the unit that holds the newest timestamp. Returns 0 if there is no timestamp.
    fn ceiling(&self) -> u64 {
        self.newest.map_or(0, |newest| {
            ((newest.max(0) as u64 >> CEILING_SHIFT) + 1) << CEILING_SHIFT
        })
    }

    /// Returns the cluster that is written once for the whole id: that of the first log.
    fn cluster(&self) -> Option<u32> {
        self.logs.iter().flatten().map(|log| log.cluster_bits()).next()
    }

    fn write_position(&self, index: usize, position: &PartitionPosition, out: &mut Vec<u8>) {
        let kind = EntryKind::of(position, self.logs[index]);
        match position {
            PartitionPosition::Earliest | PartitionPosition::Latest | PartitionPosition::Since(_) => {
                write_varint(kind.code(), out)
            }
            PartitionPosition::At(log_position) => write_log_position(log_position, kind, out),
        }
        if let Some(timestamp) = timestamp(position) {
            write_varint(self.ceiling() - timestamp.max(0) as u64, out);
        }
    }
}

fn write_log_position(log_position: &LogPosition, kind: EntryKind, out: &mut Vec<u8>) {
    let epoch = log_position.epoch.map_or(0, |epoch| epoch.max(0) as u64 + 1);
    write_varint(epoch << 4 | kind.code(), out);
    if let (Some(log), true) = (log_position.log, kind.has_own_log()) {
        out.extend_from_slice(&log.cluster_bits().to_be_bytes()[1..]);
        out.extend_from_slice(&log.topic_bits().to_be_bytes()[3..]);
    }
    write_varint(log_position.offset.max(0) as u64, out);
}

/// Writes the name of the restriction of a read.
fn write_restriction(restriction: RestrictionTag, out: &mut Vec<u8>) {
    match restriction {
        RestrictionTag::Share(share) => {
            write_varint(share.of().into(), out);
            write_varint(share.number().into(), out);
        }
        RestrictionTag::List(fingerprint) => {
            write_varint(0, out);
            out.extend_from_slice(&fingerprint.to_be_bytes());
        }
    }
}

pub(super) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn newest(slots: &[IdSlot]) -> Option<Timestamp> {
    slots.iter().filter_map(|slot| timestamp(&slot.position)).max()
}

fn timestamp(position: &PartitionPosition) -> Option<Timestamp> {
    match position {
        PartitionPosition::Since(timestamp) => Some(*timestamp),
        PartitionPosition::At(log_position) => log_position.timestamp,
        PartitionPosition::Earliest | PartitionPosition::Latest => None,
    }
}

fn log(position: &PartitionPosition) -> Option<LogTag> {
    match position {
        PartitionPosition::At(log_position) => log_position.log,
        _ => None,
    }
}
