//! Writing the ids of one subscription, one after each event.

use std::sync::Arc;

use super::{
    IdForm, PartitionPosition,
    bounds::{MAX_COMPACT_ENTRIES, MAX_ID_BYTES},
    byte_template::ByteTemplate,
    compact::CompactText,
    id_slot::{IdSlot, writable},
    json,
};

/// Writes the ids of one subscription.
///
/// An id is written for every event of every client, and from one to the next one partition has moved. So the text is
/// kept, moving a partition re-renders that partition alone, and writing is one copy.
///
/// Ids are ASCII without spaces or line breaks. [`decode`](super::decode()) reads back all that are
/// [readable](Self::is_readable): those of 1,000 partitions are, of 1,200 usually.
#[derive(Clone, Debug)]
pub struct IdWriter {
    slots: Vec<IdSlot>,
    /// `None` when the compact form was asked for.
    ///
    /// Nor when it would be too long whatever the places: to keep it would cost more than all else.
    json: Option<ByteTemplate>,
    /// What is written, when it is there: asked for, or the JSON has become too long.
    compact: Option<CompactText>,
    scratch: Vec<u8>,
}

impl IdWriter {
    /// Ids in `form` over these partitions, in this order, which should be that of (topic, partition): it is the order of
    /// the entries, and partitions of one topic that stand together are what makes the compact form compact. Topics are
    /// legal Kafka names, partitions are not negative, and none comes twice.
    pub fn new(
        form: IdForm,
        partitions: impl IntoIterator<Item = (Arc<str>, i32, PartitionPosition)>,
    ) -> Self {
        let slots: Vec<_> = partitions.into_iter().map(IdSlot::new).collect();
        let mut scratch = Vec::new();
        let mut id_writer = Self {
            json: (form == IdForm::Json && may_be_json(&slots)).then(|| json_of(&slots, &mut scratch)),
            compact: None,
            slots,
            scratch,
        };
        id_writer.choose_form();
        id_writer
    }

    /// Moves the partition that came as number `index`, from 0.
    ///
    /// # Panics
    /// When there were not so many.
    pub fn set(&mut self, index: usize, place: &PartitionPosition) {
        let place = writable(*place);
        let before = std::mem::replace(&mut self.slots[index].place, place);
        if let Some(json) = &mut self.json {
            self.scratch.clear();
            json::write_place(&place, &mut self.scratch);
            json.replace(index, &self.scratch);
        }
        if let Some(compact) = &mut self.compact {
            compact.set(&self.slots, index, &before);
        }
        self.choose_form();
    }

    /// Moves all partitions, in the order in which they came: each of them as [`set`](Self::set) does, and never at more than the
    /// cost of a new one. A partition whose log becomes known, or a newer time, can move all that is written.
    pub fn set_all(&mut self, places: impl Iterator<Item = PartitionPosition>) {
        let moved = |(slot, place): (&IdSlot, PartitionPosition)| {
            Some(writable(place)).filter(|place| *place != slot.place)
        };
        let moved: Vec<_> = self.slots.iter().zip(places).map(moved).collect();
        if moved.iter().flatten().count() <= FEW {
            for (index, place) in moved.iter().enumerate() {
                place.iter().for_each(|place| self.set(index, place));
            }
            return;
        }
        for (slot, place) in self.slots.iter_mut().zip(moved) {
            slot.place = place.unwrap_or(slot.place);
        }
        if self.json.is_some() {
            self.json = Some(json_of(&self.slots, &mut self.scratch));
        }
        self.compact = None;
        self.choose_form();
    }

    /// Whether the id is one that [`decode`](super::decode()) takes. Any other must not be sent: a client that comes back with
    /// it would be refused for good.
    pub fn is_readable(&self) -> bool {
        match &self.compact {
            Some(compact) => compact.text().len() <= MAX_ID_BYTES && self.slots.len() <= MAX_COMPACT_ENTRIES,
            // It is short, and so has few entries.
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
            self.compact = Some(CompactText::new(&self.slots));
        }
    }
}

/// Whether the JSON of these partitions can be short enough, wherever they stand.
fn may_be_json(slots: &[IdSlot]) -> bool {
    let bytes = slots.iter().map(|slot| slot.topic.len() + LEAST_JSON_BYTES);
    bytes.sum::<usize>() <= MAX_JSON_BYTES
}

fn json_of(slots: &[IdSlot], scratch: &mut Vec<u8>) -> ByteTemplate {
    let mut json = ByteTemplate::default();
    json.push_fixed(b"[");
    for (index, slot) in slots.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let IdSlot { topic, partition, .. } = slot;
        json.push_fixed(format!("{comma}{{\"topic\":\"{topic}\",\"partition\":{partition}").as_bytes());
        scratch.clear();
        json::write_place(&slot.place, scratch);
        json.push_slot(scratch);
        json.push_fixed(b"}");
    }
    json.push_fixed(b"]");
    json
}

/// The longest JSON id, in bytes. Clients send it back in one header line, for which common proxies have 8 KiB, URL
/// encoded in a query by some.
const MAX_JSON_BYTES: usize = 4096;

/// How many partitions are moved one by one.
const FEW: usize = 4;

/// What an entry has at least beside the name of its topic, in bytes.
const LEAST_JSON_BYTES: usize = r#"{"topic":"","partition":0,"offset":0}"#.len();

#[cfg(test)]
mod tests;
