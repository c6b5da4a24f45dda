//! On-demand reads of offsets that are no longer in memory.
//!
//! A [`HistoryPool`] serves one cluster. It has one reader (a thread with a librdkafka client) for each broker, up to
//! [`MAX_HISTORY_READERS`]; beyond that, brokers share readers. A page that several clients want is read once. Offset queries to leaders go through a client of their
//! own ([`offset_queries`]), so that they never wait for a page.
//!
//! Not here: the tail that reads what is new (`supervisor`), the interface that callers see (`partition::History`), and the
//! choice of the cluster (`failover`).

mod backoffs;
mod cache;
mod fair_queue;
mod fetch_client;
mod fetched_page;
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
mod run_client;
mod stale_answers;
mod time_index;
mod time_search;
mod turns;
mod worker;

pub(super) use self::pool::HistoryPool;
pub(super) use crate::partition::MAX_HISTORY_READERS;
