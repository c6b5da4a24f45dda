//! What a client says of the end of its read.

use std::{num::NonZeroU64, ops::Range};

use crate::position::{EndMark, Position, Timestamp};

/// The bounds of a read. It ends at the first that it comes to.
#[derive(Clone, Debug)]
pub struct ReadBounds {
    /// After how many events.
    pub limit: Option<NonZeroU64>,
    /// Where in the logs.
    pub until: Option<ReadEnd>,
    /// The mark of the id with which it ends.
    pub mark: EndMark,
}

/// Where in the logs a read ends.
#[derive(Clone, Debug)]
pub enum ReadEnd {
    /// At the end of each partition, as its leader reports it when it is asked after the request.
    Now,
    /// Before the first record of each partition that bears this time or a later one.
    Time(Timestamp),
    /// Where a client would continue with this position.
    Position {
        /// The position, with no topics but those of the request.
        position: Position,
        /// For each topic of the request, the range of its entries in the position; `None` if they have not been looked up.
        ranges: Option<Vec<Range<usize>>>,
    },
}
