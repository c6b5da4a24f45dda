//! Where a client stands in the partitions of its streams, and the text that says so (`id`, `Last-Event-ID`).
//!
//! Not here: whether a position is still true of the log. That takes the log (`subscription::start`).

mod compact;
mod composer;
mod decode;
mod elsewhere;
mod error;
mod json;
mod pieces;
#[cfg(test)]
mod properties;
pub(crate) mod sorting;
mod tags;
mod topics;
mod types;

pub use composer::Composer;
pub use decode::{MAX_COMPACT_ENTRIES, MAX_ENTRIES, MAX_ID_BYTES, decode};
pub use elsewhere::place_elsewhere;
pub use error::{DecodeError, EntryFault};
pub use tags::keep_tags;
pub use topics::{Topic, Topics};
pub use types::{Entry, Epoch, LogTag, Mark, Offset, Partitions, Place, Position, Timestamp, TopicKey};

/// How ids are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IdForm {
    /// The JSON array; compact when it would pass 4 KiB.
    #[default]
    Json,
    /// The short form (`?id=compact`).
    Compact,
}
