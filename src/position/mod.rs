//! Where a client stands in the partitions of its streams, and the text that says so (`id`, `Last-Event-ID`).
//!
//! Not here: whether a position is still true of the log. That takes the log (`subscription::start`).

mod types;

pub use types::{Entry, Epoch, LogTag, Mark, Offset, Partitions, Place, Position, Timestamp, TopicKey};
