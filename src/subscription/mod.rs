//! One client's cursors over all partitions of its streams: one order, one position, finished bytes; and the lanes, in which
//! all who want the same share them.
//!
//! Not here: sockets, deadlines and heartbeats (`http::delivery`).

mod batch;
mod batch_builder;
mod filter_state;
mod gap;
mod lane;
mod log_source;
#[cfg(test)]
mod no_history;
mod oversize;
mod partition_reader;
mod partition_set;
mod read_context;
mod reader;
mod request;
mod resume;
mod snapshot;
mod start_positions;
mod topic_states;
mod tracker;
mod unwritten_offsets;
mod view;

pub use batch::{Batch, DeflateChunk};
pub use gap::{Gap, GapReason};
pub use lane::{
    BatchLimit, BatchRun, GroupCursor, GroupUpdate, LaneId, LaneSubscriber, Lanes, ResetHandle, StallGuard,
    UnwrittenBytes,
};
pub use log_source::LogSource;
pub use reader::Subscription;
pub use request::SubscribeRequest;
pub use unwritten_offsets::UnwrittenOffsets;
pub use view::{ContentCoding, EventFormat, StreamView};

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::partition::TopicPartition;

    pub(crate) use super::lane::tests::Stage;

    /// One that a client is told of.
    pub(crate) fn gap() -> Gap {
        Gap {
            partition: TopicPartition {
                topic: "edits".into(),
                partition: 0,
            },
            requested: Some(1),
            resumed: Some(9),
            reason: GapReason::Expired,
        }
    }
}
