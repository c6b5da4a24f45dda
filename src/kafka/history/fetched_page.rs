//! The result of a read: a page, or why there is none.

use rdkafka::types::RDKafkaErrorCode;

use crate::{
    partition::{Page, PageBuilder},
    position::Offset,
};

/// Result of a read.
#[derive(Debug)]
pub(super) struct FetchedPage {
    /// The page. It covers the log up to where the next read continues.
    pub(super) page: Page,
    /// The log ended behind the page.
    pub(super) at_log_end: bool,
    /// The page ended early for its size.
    pub(super) is_cut: bool,
    /// Bytes of the keys, headers and values in the page.
    pub(super) bytes: usize,
    /// A record of this log has a timestamp set by its broker (`LogAppendTime`).
    pub(super) is_log_append_time: bool,
    /// The items behind the page in the queue cannot be trusted.
    pub(super) is_broken: bool,
}

/// Why a read returned no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchError {
    /// The broker says that the first offset is out of range.
    OutOfRange,
    /// Nothing came in time.
    TimedOut,
    /// librdkafka says that there is data, and that it cannot be read.
    Unreadable(RDKafkaErrorCode),
    /// Any other fault of the partition.
    Fault(RDKafkaErrorCode),
}

impl FetchedPage {
    /// Finishes a page that covers the log up to `next`.
    pub(super) fn new(page: PageBuilder, next: Offset, bytes: usize) -> Self {
        Self {
            page: page.finish(next),
            at_log_end: false,
            is_cut: false,
            bytes,
            is_log_append_time: false,
            is_broken: false,
        }
    }

    /// Finishes a page that ends with its last record.
    pub(super) fn of(page: PageBuilder, bytes: usize) -> Self {
        let next = page.next();
        Self::new(page, next, bytes)
    }

    pub(super) fn broken(self) -> Self {
        Self {
            is_broken: true,
            ..self
        }
    }

    pub(super) fn cut(self) -> Self {
        Self { is_cut: true, ..self }
    }

    pub(super) fn ending(self) -> Self {
        Self {
            at_log_end: true,
            ..self
        }
    }
}

impl FetchError {
    pub(super) fn of(code: RDKafkaErrorCode) -> Self {
        match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Self::OutOfRange,
            code => Self::Fault(code),
        }
    }
}
