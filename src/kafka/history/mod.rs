//! Reads of what is not in memory: a reader for each broker, one read for all who want the same page; and questions to
//! leaders, which a client of their own asks.

mod backoffs;
mod cache;
mod fair_queue;
mod fetcher_limit;
mod fetchers;
mod log_key;
mod offset_queries;
mod partition_fetcher;
mod pool;
mod pool_core;
mod rate_limiter;
mod readers;
mod request_queue;
mod stale_answers;
mod time_index;
mod time_search;
mod worker;

pub(super) use self::pool::HistoryPool;
pub(super) use crate::partition::MAX_HISTORY_READERS;
