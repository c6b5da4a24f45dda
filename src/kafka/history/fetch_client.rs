//! The client and the size of the fetches with which a partition is read.

use super::run_client::RunPermit;
use crate::kafka::client::{
    config::{FETCH_BYTES, RUN_FETCH_BYTES},
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
    /// Returns the bytes that a fetch asks for.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Small => FETCH_BYTES,
            Self::Run => RUN_FETCH_BYTES,
        }
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
