//! Positions in partitions, and their text form: the ids of events, which clients send back as `Last-Event-ID`.
//!
//! A [`Position`] says for each partition of a client's streams where the client stands. [`decode()`] reads one from the text
//! of an id, and [`IdWriter`] writes the ids of one subscription.
//!
//! ```
//! use riverhead::position::{IdForm, IdWriter, LogPosition, PartitionPosition, decode};
//!
//! let at = |offset| {
//!     PartitionPosition::At(LogPosition { offset, timestamp: Some(1_790_487_705_415), log: None, epoch: None })
//! };
//! let mut ids = IdWriter::new(IdForm::Json, [("edits".into(), 0, at(41))]);
//! ids.set(0, &at(42));
//! let mut id = Vec::new();
//! ids.write(&mut id);
//! assert_eq!(id, br#"[{"topic":"edits","partition":0,"offset":42,"timestamp":1790487705415}]"#);
//!
//! let position = decode(&id)?;
//! assert_eq!(position.entries[0].place, at(42));
//! # Ok::<(), riverhead::position::DecodeError>(())
//! ```
//!
//! Not here: whether a position is still true of the log. That takes the log (`subscription::resume`).

mod bounds;
mod byte_template;
mod compact;
mod decode;
mod default_start;
mod end_mark;
mod error;
mod id_slot;
mod id_writer;
mod json;
#[cfg(test)]
mod properties;
mod restriction;
pub(crate) mod sorting;
mod tags;
mod text_slice;
mod topics;
mod types;

pub use bounds::{MAX_COMPACT_ENTRIES, MAX_ENTRIES, MAX_ID_BYTES};
pub use decode::{decode, decode_marked, is_end_id};
pub use default_start::default_start_position;
pub use end_mark::write_end_id;
pub use error::{DecodeError, EntryError};
pub use id_writer::IdWriter;
pub use restriction::{
    IdScope, MAX_SHARES, NO_PARTITION, OwnPartitions, PartitionList, Restriction, RestrictionTag, Share,
};
pub use tags::KeptTags;
pub use text_slice::TextSlice;
pub use topics::{TaggedTopic, TopicSet};
pub use types::{
    EndMark, Epoch, LogPosition, LogTag, Offset, PartitionPosition, Partitions, Position, PositionEntry,
    Timestamp, TopicKey,
};

/// The text form in which ids are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IdForm {
    /// The JSON array; the compact form if the array would be longer than 4 KiB.
    #[default]
    Json,
    /// The compact form (`?id=compact`).
    Compact,
}
