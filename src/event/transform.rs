//! What may be done to a record before it becomes an event.
//!
//! Not here: what a configuration has done to it (`redaction`).

use std::fmt;

use super::{EncodeError, HeadersBuf, Record};

/// What is done to each record of a topic before it becomes an event: everything that is built from the event sees only what
/// is left of the record.
pub trait Transform: fmt::Debug + Send + Sync {
    /// Returns what is left of a record. It lies in `buffers` as far as it differs from the record.
    ///
    /// # Errors
    /// Fails if the record cannot be read as far as this needs. Nothing of it may be kept then.
    fn apply<'r>(
        &self,
        record: &Record<'r>,
        origin: RecordOrigin<'_>,
        buffers: &'r mut TransformBuffers,
    ) -> Result<Transformed<'r>, EncodeError>;
}

/// The partition that a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordOrigin<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
}

/// What a [`Transform`] has made of a record.
#[derive(Clone, Copy, Debug)]
pub enum Transformed<'r> {
    /// Nobody gets the record. Positions move past it.
    Dropped,
    /// This is left of it.
    Kept {
        /// What is left.
        record: Record<'r>,
        /// Whether something of it was removed or blanked.
        is_redacted: bool,
    },
}

/// Reusable memory for what is left of one record after another.
#[derive(Debug, Default)]
pub struct TransformBuffers {
    /// The value that is left.
    pub value: Vec<u8>,
    /// The value before the last of several steps.
    pub spare: Vec<u8>,
    /// The headers that are left.
    pub headers: HeadersBuf,
}

/// How many records a transform has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransformCounts {
    /// Records that nobody gets.
    pub dropped: u64,
    /// Records of which something was removed or blanked.
    pub redacted: u64,
}
