//! The shared log that every client is a cursor over.
//!
//! One writer (`kafka::tail`) appends to a [`PartitionLog`]; any number of readers stand in it. What has left its ring
//! is read through [`History`], which `kafka` implements. The [`LogDirectory`] says which log is the current one.

mod cursor;
mod directory;
mod history;
mod log;
mod occupancy;
mod page;
mod settings;
mod shared_waker;
mod topic_partition;

pub use cursor::{Cursor, CursorStep};
pub use directory::{LogDirectory, TopicStatus};
pub use history::{Bounds, History, HistoryError};
pub use log::{LogRead, PartitionLog};
pub use page::{Page, PageBuilder};
pub use settings::{MAX_HISTORY_READERS, MemorySettings, history_records, tail_records};
pub use shared_waker::{SharedWaker, WaitList, WakerSet};
pub use topic_partition::TopicPartition;
