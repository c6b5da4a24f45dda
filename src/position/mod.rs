//! Where a client stands in the partitions of its streams, and the text that says so (`id`, `Last-Event-ID`).
//!
//! Not here: whether a position is still true of the log. That takes the log (`subscription::start`).

mod bounds;
mod byte_template;
mod compact;
mod decode;
mod default_start;
mod error;
mod id_slot;
mod id_writer;
mod json;
#[cfg(test)]
mod properties;
pub(crate) mod sorting;
mod tags;
mod topics;
mod types;

pub use bounds::{MAX_COMPACT_ENTRIES, MAX_ENTRIES, MAX_ID_BYTES};
pub use decode::decode;
pub use default_start::default_start_position;
pub use error::{DecodeError, EntryError};
pub use id_writer::IdWriter;
pub use tags::keep_tags;
pub use topics::{TaggedTopic, TopicSet};
pub use types::{
    Epoch, LogPosition, LogTag, Offset, PartitionPosition, Partitions, Position, PositionEntry, Timestamp,
    TopicKey,
};

/// How ids are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IdForm {
    /// The JSON array; compact when it would pass 4 KiB.
    #[default]
    Json,
    /// The short form (`?id=compact`).
    Compact,
}
