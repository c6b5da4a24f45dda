//! The writer of the ids of one subscription, one id after each event.

use std::sync::Arc;

use super::{
    IdForm, PartitionPosition, RestrictionTag,
    bounds::{MAX_COMPACT_ENTRIES, MAX_ID_BYTES},
    byte_template::ByteTemplate,
    compact::CompactText,
    id_slot::{IdSlot, writable},
    json,
};

/// Writes the ids of one subscription.
///
/// Every event of every client gets an id, and from one event to the next, one partition has moved. So the text is kept, moving
/// a partition renders that partition alone, and writing the id is one copy.
///
/// Ids are ASCII without spaces or line breaks. [`decode`](super::decode()) reads back all ids that are
/// [readable](Self::is_readable): those of 1,000 partitions always are, those of 1,200 usually.
///
/// # Examples
/// ```
/// use riverhead::position::{IdForm, IdWriter, PartitionPosition, decode};
///
/// let start = |partition| ("edits".into(), partition, PartitionPosition::Earliest);
/// let ids = IdWriter::new(IdForm::Compact, [start(0), start(1)]);
/// let mut id = Vec::new();
/// ids.write(&mut id);
/// assert!(id.starts_with(b"~1"));
/// assert_eq!(decode(&id)?.entries.len(), 2);
/// # Ok::<(), riverhead::position::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct IdWriter {
    /// Names the restriction of the read, if it has one.
    restriction: Option<RestrictionTag>,
    slots: Vec<IdSlot>,
    /// The JSON form. `None` if the compact form was asked for.
    ///
    /// Also `None` if the JSON would be too long at any position: keeping it up to date would cost more than everything else.
    json: Option<ByteTemplate>,
    /// The compact form. If it is there, it is the id: it was asked for, or the JSON became too long.
    compact: Option<CompactText>,
    scratch: Vec<u8>,
}

impl IdWriter {
    /// Creates a writer of ids in `form` for these partitions.
    ///
    /// The entries of the ids are in the given order, which should be by topic and partition: the compact form is compact only if
    /// the partitions of one topic are adjacent. Topics must be legal Kafka names, partitions must not be negative, and no
    /// partition may come twice.
    pub fn new(
        form: IdForm,
        partitions: impl IntoIterator<Item = (Arc<str>, i32, PartitionPosition)>,
    ) -> Self {
        Self::restricted(form, None, partitions)
    }

    /// Creates a writer like [`new`](Self::new), of the ids of a read with this restriction.
    pub fn restricted(
        form: IdForm,
        restriction: Option<RestrictionTag>,
        partitions: impl IntoIterator<Item = (Arc<str>, i32, PartitionPosition)>,
    ) -> Self {
        let slots: Vec<_> = partitions.into_iter().map(IdSlot::new).collect();
        let mut id_writer = Self {
            restriction,
            json: None,
            compact: None,
            slots,
            scratch: Vec::new(),
        };
        if form == IdForm::Json && may_be_json(&id_writer.slots) {
            id_writer.json = Some(id_writer.write_json());
        }
        id_writer.choose_form();
        id_writer
    }

    /// Moves the partition with the given index, from 0, in the order of [`new`](Self::new).
    ///
    /// # Panics
    /// If there is no partition with this index.
    pub fn set(&mut self, index: usize, position: &PartitionPosition) {
        let position = writable(*position);
        let before = std::mem::replace(&mut self.slots[index].position, position);
        if let Some(json) = &mut self.json {
            self.scratch.clear();
            json::write_position(&position, &mut self.scratch);
            json.replace(index, &self.scratch);
        }
        if let Some(compact) = &mut self.compact {
            compact.set(&self.slots, index, &before);
        }
        self.choose_form();
    }

    /// Moves all partitions, in the order of [`new`](Self::new).
    ///
    /// The result is that of [`set`](Self::set) for each, at no more than the cost of a new writer. One partition can change the
    /// whole text: if its log becomes known, or if it has the newest time.
    pub fn set_all(&mut self, positions: impl Iterator<Item = PartitionPosition>) {
        let moved = |(slot, position): (&IdSlot, PartitionPosition)| {
            Some(writable(position)).filter(|position| *position != slot.position)
        };
        let moved: Vec<_> = self.slots.iter().zip(positions).map(moved).collect();
        if moved.iter().flatten().count() <= MAX_SINGLE_MOVES {
            for (index, position) in moved.iter().enumerate() {
                position.iter().for_each(|position| self.set(index, position));
            }
            return;
        }
        for (slot, position) in self.slots.iter_mut().zip(moved) {
            slot.position = position.unwrap_or(slot.position);
        }
        if self.json.is_some() {
            self.json = Some(self.write_json());
        }
        self.compact = None;
        self.choose_form();
    }

    /// Returns whether [`decode`](super::decode()) accepts the id. An id that it does not accept must not be sent: a client that
    /// resumes with it would be refused for good.
    pub fn is_readable(&self) -> bool {
        match &self.compact {
            Some(compact) => compact.text().len() <= MAX_ID_BYTES && self.slots.len() <= MAX_COMPACT_ENTRIES,
            // JSON ids are short, and so have few entries.
            None => true,
        }
    }

    /// Appends the id to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match (&self.compact, &self.json) {
            (Some(compact), _) => out.extend_from_slice(compact.text()),
            (None, Some(json)) => out.extend_from_slice(json.bytes()),
            (None, None) => {}
        }
    }

    fn choose_form(&mut self) {
        let fits = self
            .json
            .as_ref()
            .is_some_and(|json| json.bytes().len() <= MAX_JSON_BYTES);
        if fits {
            self.compact = None;
        } else if self.compact.is_none() {
            self.compact = Some(CompactText::new(self.restriction, &self.slots));
        }
    }

    fn write_json(&mut self) -> ByteTemplate {
        let mut json = ByteTemplate::default();
        let end = self
            .restriction
            .map_or_else(|| "}".to_owned(), json::end_of_entry);
        json.push_fixed(b"[");
        for (index, slot) in self.slots.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let IdSlot { topic, partition, .. } = slot;
            json.push_fixed(format!("{comma}{{\"topic\":\"{topic}\",\"partition\":{partition}").as_bytes());
            self.scratch.clear();
            json::write_position(&slot.position, &mut self.scratch);
            json.push_slot(&self.scratch);
            json.push_fixed(end.as_bytes());
        }
        json.push_fixed(b"]");
        json
    }
}

/// Returns whether the JSON of these partitions can be short enough at any position.
fn may_be_json(slots: &[IdSlot]) -> bool {
    let bytes = slots.iter().map(|slot| slot.topic.len() + MIN_ENTRY_BYTES);
    bytes.sum::<usize>() <= MAX_JSON_BYTES
}

/// The longest JSON id, in bytes. Clients send it back in one header line, for which common proxies allow 8 KiB, or in a
/// query, where URL encoding makes it longer.
const MAX_JSON_BYTES: usize = 4096;

/// Up to how many moved partitions are rendered one by one.
const MAX_SINGLE_MOVES: usize = 4;

/// The least length of a JSON entry without the topic name, in bytes.
const MIN_ENTRY_BYTES: usize = r#"{"topic":"","partition":0,"offset":0}"#.len();

#[cfg(test)]
mod tests;
