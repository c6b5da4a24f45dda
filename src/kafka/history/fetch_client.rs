//! The client and the size of the fetches with which a partition is read.

use super::run_client::RunPermit;
use crate::kafka::client::{
    config::{FETCH_BYTES, RUN_AFTER, RUN_FETCH_BYTES},
    raw::KafkaReader,
};

/// The client that fetches a partition.
pub(super) enum FetchClient {
    /// The reader's own, with fetches of [`FETCH_BYTES`].
    Own(KafkaReader),
    /// The one for runs, with fetches of [`RUN_FETCH_BYTES`].
    Run(RunPermit),
}

/// How a partition is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FetchSize {
    /// With fetches of [`FETCH_BYTES`], each when it is asked for.
    Small,
    /// With fetches of [`RUN_FETCH_BYTES`].
    Run,
}

impl FetchClient {
    pub(super) fn reader(&self) -> &KafkaReader {
        match self {
            Self::Own(reader) => reader,
            Self::Run(permit) => &permit.reader,
        }
    }

    /// Returns the size of its fetches.
    pub(super) fn size(&self) -> FetchSize {
        match self {
            Self::Own(_) => FetchSize::Small,
            Self::Run(_) => FetchSize::Run,
        }
    }
}

impl FetchSize {
    /// Returns the size of the fetches for a page behind `run` bytes that were read in a row. Large ones are for those who read on,
    /// and for a crowd, if they fit.
    pub(super) fn of(run: usize, is_crowd: bool, fits: impl FnOnce() -> bool) -> Self {
        match (run >= RUN_AFTER || is_crowd) && fits() {
            true => Self::Run,
            false => Self::Small,
        }
    }

    /// Returns the bytes that a fetch asks for.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Small => FETCH_BYTES,
            Self::Run => RUN_FETCH_BYTES,
        }
    }

    /// Returns whether a fetch that brought `came` bytes shows that a batch of the producer is likely to cost more than a fetch for
    /// nothing now and then. A fetch that brings more than it asks for has one batch. One that brings much less ends in a batch,
    /// which the broker has cut.
    pub(super) fn shows_large_batches(self, came: usize) -> bool {
        came > self.bytes() || came + LARGE_BATCH < self.bytes()
    }

    /// Returns the bytes that the partition may hold fetched ahead: what was taken from librdkafka's queue, which pins whole
    /// responses, and one fetch or one record more.
    pub(super) fn ahead(self) -> usize {
        match self {
            Self::Small => 2 * FETCH_BYTES,
            Self::Run => 3 * RUN_FETCH_BYTES,
        }
    }
}

/// Bytes of a large batch of a producer. About every fourth time that librdkafka is stopped with an empty queue, it has begun a fetch
/// of 224 KiB.
const LARGE_BATCH: usize = 56 << 10;
