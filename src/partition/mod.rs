//! Partition logs: the newest records of each partition in memory, shared by all clients. Every client is a set of
//! cursors over them.
//!
//! One writer (`kafka::tail`) appends pages to a [`PartitionLog`]; any number of readers hold a [`Cursor`] into it.
//! Records that have left its ring are read through [`History`], which `kafka` implements. The [`LogDirectory`] holds
//! the current log of each partition.
//!
//! ```
//! use riverhead::{
//!     event::{Encoding, Headers, Record},
//!     partition::{LogRead, PageBuilder, PartitionLog, TopicPartition},
//!     position::LogTag,
//! };
//!
//! let partition = TopicPartition { topic: "edits".into(), partition: 0 };
//! let log = PartitionLog::new(partition, LogTag::new("cluster", &[1; 16]), Encoding::default(), 7);
//! let mut page = PageBuilder::new(7, Encoding::default());
//! page.push(&Record {
//!     offset: 7,
//!     timestamp: 1_790_487_705_415,
//!     epoch: 3,
//!     key: None,
//!     headers: Headers::default(),
//!     value: Some(b"{}"),
//!     canary: false,
//! })?;
//! log.append(page.finish(8));
//!
//! assert!(matches!(log.read(7), LogRead::Page(page) if page.events()[0].offset == 7));
//! assert!(matches!(log.read(8), LogRead::Ahead));
//! assert!(matches!(log.read(6), LogRead::Below), "older records are history");
//! # Ok::<(), riverhead::event::EncodeError>(())
//! ```
//!
//! Not here: reading from Kafka (`kafka`), merging partitions for a client (`subscription`), and the encoding of
//! records (`event`).

mod cursor;
mod directory;
mod history;
mod log;
mod occupancy;
mod page;
mod page_builder;
mod page_ring;
mod settings;
mod shared_waker;
mod topic_hasher;
mod topic_partition;

pub use cursor::{Cursor, CursorStep};
pub use directory::{LogDirectory, TopicStatus};
pub use history::{Bounds, History, HistoryError, HistoryFuture};
pub use log::{LogRead, PartitionLog};
pub use page::Page;
pub use page_builder::PageBuilder;
pub use settings::{MAX_HISTORY_READERS, MemorySettings, history_records, tail_records};
pub use shared_waker::{SharedWaker, WaitList, WakerSet};
pub use topic_partition::TopicPartition;
