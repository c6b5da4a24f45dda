//! One client's cursors over all partitions of its streams: one order, one position, finished bytes; and the lanes, in which
//! all who want the same share them.
//!
//! Not here: sockets, deadlines and heartbeats (`http::delivery`).

mod batch_builder;
mod boost;
mod filter_state;
mod gap;
mod lane;
mod merge;
#[cfg(test)]
mod no_history;
mod oversize;
mod partition_reader;
mod partition_set;
mod resume;
mod snapshot;
mod start_positions;
mod tracker;
mod unwritten_offsets;

pub use gap::{Gap, GapReason};
pub use lane::{
    BatchLimit, BatchRun, GroupCursor, GroupUpdate, LaneId, LaneSubscriber, Lanes, ResetHandle, StallGuard,
    UnwrittenBytes,
};
pub use merge::Subscription;
pub use unwritten_offsets::UnwrittenOffsets;

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    client::ClientKey,
    filter::Filter,
    partition::{History, LogDirectory},
    position::{IdForm, Position, Timestamp, TopicSet},
};

/// What every subscription of a process shares.
#[derive(Clone)]
pub struct LogSource {
    /// Which logs are current.
    pub directory: Arc<LogDirectory>,
    /// Reads of what is no longer in memory.
    pub history: Arc<dyn History>,
}

/// What one client asked for.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// The topics of its streams.
    pub topics: TopicSet,
    /// Where it wants to go on; `None` is from now on, or from `since`. Its topics are among `topics`.
    pub position: Option<Position>,
    /// Where topics start that `position` does not speak of: all, when there is none; else a time as those in `position` are.
    pub since: Option<Timestamp>,
    /// How ids are written.
    pub form: IdForm,
    /// What an event looks like.
    pub format: EventFormat,
    /// Whether what many want alike is to be packed for them.
    pub coding: ContentCoding,
    /// Whether records that are marked as a probe's are shown; its position moves past them in either case.
    pub shows_canaries: bool,
    /// Which events it wants; `None` is all.
    pub filter: Option<Filter>,
    /// Who asks: history takes turns by it.
    pub client: ClientKey,
    /// The time of the request: what a partition that is not determined yet starts from.
    pub now: Timestamp,
}

impl SubscribeRequest {
    /// Whether it wants nothing that is past.
    fn is_from_now_on(&self) -> bool {
        self.position.is_none() && self.since.is_none()
    }
}

/// What an event looks like on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EventFormat {
    /// Server-Sent Events.
    #[default]
    Sse,
    /// One JSON document a line.
    Ndjson,
}

/// How the bytes of a stream are packed on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// Not at all.
    #[default]
    Identity,
    /// As gzip.
    Gzip,
}

/// Whole events, ready to be written.
#[derive(Clone, Debug)]
pub struct Batch {
    /// At most 64 KiB, or one event.
    pub bytes: Bytes,
    /// The text of its only event when that is large: it comes behind `bytes`, and behind it comes a line feed. All who send the
    /// event share it.
    pub large: Option<Bytes>,
    /// How many events it holds, gap events not counted.
    pub events: u32,
    /// The gap events it holds.
    pub gaps: Vec<Gap>,
    /// The same bytes, as the packed stream of a lane goes on with them.
    pub packed: Option<DeflateChunk>,
}

impl Batch {
    /// Whether it holds an id. Each does, but one of gaps alone, and one of JSON lines.
    pub fn has_id(&self) -> bool {
        self.events > 0 || self.gaps.is_empty()
    }

    /// How many bytes it is, before any coding.
    pub fn size(&self) -> usize {
        let large = self.large.as_ref().map_or(0, |large| large.len() + 1);
        self.bytes.len() + large
    }

    /// Its bytes, in order; a piece may be empty.
    pub fn pieces(&self) -> impl Iterator<Item = Bytes> {
        let large = self.large.clone().map(|large| [large, Bytes::from_static(b"\n")]);
        [self.bytes.clone()]
            .into_iter()
            .chain(large.into_iter().flatten())
    }

    /// Whether it is small, and the same for all who get it, whatever else they get with it. Behind a gap a stream may end, and
    /// what is packed depends on what was packed before it.
    fn is_plain(&self) -> bool {
        self.gaps.is_empty() && self.packed.is_none() && self.large.is_none()
    }
}

/// A piece of the packed stream of a lane: blocks of deflate, the last of which ends on the edge of a byte.
#[derive(Clone, Debug)]
pub struct DeflateChunk {
    /// They refer to pieces before this one, up to the one that begins the epoch.
    pub bytes: Bytes,
    /// Its number, one more than that of the piece before it.
    pub number: u64,
    /// Whether it begins an epoch: it refers to nothing.
    pub starts_epoch: bool,
}

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
