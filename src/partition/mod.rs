//! The shared log that every client is a cursor over.
//!
//! One writer (`kafka::tail`) appends to a [`PartitionLog`]; any number of readers stand in it. What has left its ring
//! is read through [`History`], which `kafka` implements. The [`Directory`] says which log is the current one.

mod bell;
mod cursor;
mod directory;
mod history;
mod log;
mod occupancy;
mod page;
mod settings;

pub use bell::{Bell, Bells, Waiters};
pub use cursor::{Cursor, Step};
pub use directory::{Directory, Known, TopicPartition};
pub use history::{Bounds, History, HistoryError};
pub use log::{PartitionLog, Read};
pub use page::{Page, PageBuilder};
pub use settings::{MOST_READERS, Settings, history_records, tail_records};
