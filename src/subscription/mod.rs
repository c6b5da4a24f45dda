//! Subscriptions: what one client reads, merged from all partitions of its streams into one sequence of batches, with
//! one position in each id. [`Lanes`] share this work between clients that want the same.
//!
//! A [`SubscribeRequest`] says which topics, from where, and in which [`StreamView`]. A [`Subscription`] merges its
//! partitions for one client. It may be slower than others, start anywhere, and be told of [gaps](Gap). A
//! [`LaneSubscriber`] runs a subscription of its own while it catches up, and reads the batches of a lane after that.
//!
//! Not here: sockets, deadlines and heartbeats (`http::delivery`), and the logs themselves (`partition`).

mod batch;
mod buffer_pool;
mod end_event;
mod ends;
mod filter_state;
mod gap;
mod lane;
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
mod tracker;

pub use batch::{Batch, DeflateChunk};
pub use end_event::{ReadEndReason, end_of_stream};
pub use ends::{ReadBounds, ReadEnd};
pub use gap::{Gap, GapReason};
pub use lane::{
    BatchLimit, BatchRun, BatchSource, BoundedRead, GroupCursor, GroupUpdate, LaneId, LaneSubscriber, Lanes,
    ResetHandle, StallGuard, UnwrittenBytes,
};
pub use read_context::LogSource;
pub use reader::Subscription;
pub use request::{ContentCoding, EventFormat, StreamView, SubscribeRequest};
pub use snapshot::UnwrittenOffsets;

use batch::BatchBuilder;
use end_event::EndEvent;
use partition_reader::{PartitionPoll, PartitionReader};
use read_context::ReadContext;
use resume::{FoundEnd, LogReplaced, RequiredProof, ResumePoint, ResumeResolver};
use snapshot::{ObservedState, PartitionSnapshot, Snapshot, TopicStates};
use tracker::{BytesTracker, MAX_BATCH_BYTES};

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        encoding::Encoding,
        partition::{LogDirectory, PartitionLog, TopicPartition},
        position::LogTag,
    };

    pub(crate) use super::{lane::tests::Stage, no_history::MemoryHistory};

    /// Returns an example of a gap.
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

    /// Returns the offsets of records that have been deleted by now.
    pub(crate) fn deleted_offsets() -> UnwrittenOffsets {
        let log = PartitionLog::new(gap().partition, LogTag::from_bits(1, 1), Encoding::default(), 10);
        LogDirectory::new().set_start(&log, 9);
        UnwrittenOffsets::of([(log, 0..5)].into_iter())
    }
}
