//! The ends of a bounded read: where it ends in each partition.
//!
//! An end is a position, like the one at which a read begins, and is determined by the same rules. So a read up to a time or an id
//! ends exactly where another one from there begins.
//!
//! Not here: the rules (`resume`), and the read itself (`lane::bounded`).

mod bounds;
mod hole_search;
mod partition_end;
mod positions;

pub use bounds::{ReadBounds, ReadEnd};

pub(super) use partition_end::PartitionEnd;
pub(super) use positions::EndPositions;
