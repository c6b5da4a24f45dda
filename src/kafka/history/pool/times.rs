//! Lookup of the first record at or after a time: in pages in memory, by an offset query, or by a search over pages.
//!
//! Not here: the bisection over pages (`time_search`), and the times known from earlier answers (`time_index`).

use std::{net::Ipv4Addr, pin::pin, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::HistoryPool;
use crate::{
    client::ClientKey,
    kafka::history::{cache::Lookup, time_search},
    partition::{HistoryError, LogRead, Page, PartitionLog},
    position::{Offset, Timestamp},
};

impl HistoryPool {
    /// Returns the offset of the first record at or after `time`, `None` if all records are older.
    pub(super) async fn find_time(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> Result<Option<Offset>, HistoryError> {
        // The second query covers records that arrived between the first answer and the look at the newest record.
        for _ in 0..2 {
            if let Some(offset) = self.query_time(log, time, client).await? {
                return Ok(Some(offset));
            }
            if self.newest(log).await?.is_some_and(|newest| newest < time) {
                return Ok(None);
            }
        }
        let bounds = self.find_bounds(log).await?;
        time_search::first_at(bounds, time, |offset| {
            self.find_page(log, offset, own_client_key())
        })
        .await
    }

    /// Returns the timestamp of the newest record, if it is known.
    async fn newest(&self, log: &Arc<PartitionLog>) -> Result<Option<Timestamp>, HistoryError> {
        if let Some(newest) = log.end().timestamp {
            return Ok(Some(newest));
        }
        let bounds = self.find_bounds(log).await?;
        time_search::newest(bounds, |offset| self.find_page(log, offset, own_client_key())).await
    }

    /// Returns the first record at or after `time`, as the leader says or as pages in memory show before it answers. While
    /// thousands of clients wait, the first answers and pages serve most of the others.
    async fn query_time(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> Result<Option<Offset>, HistoryError> {
        if let Some(offset) = self.time_in_memory(log, time) {
            return Ok(Some(offset));
        }
        let mut answer = pin!(self.query(log, |queries, partition, reply| {
            queries.query_time(partition, time, client, reply);
        }));
        let mut pause = FIRST_RECHECK;
        loop {
            if let Ok(found) = timeout(pause, &mut answer).await {
                let offset = found?.offset;
                if let Some(offset) = offset {
                    self.core.cache.lock().note_time(log, time, offset);
                }
                return Ok(offset);
            }
            if let Some(offset) = self.time_in_memory(log, time) {
                return Ok(Some(offset));
            }
            pause = pause.saturating_mul(2);
        }
    }

    /// Returns the first record at or after `time` if memory has it, together with every page between it and a record before
    /// which no record is of that time.
    pub(super) fn time_in_memory(&self, log: &Arc<PartitionLog>, time: Timestamp) -> Option<Offset> {
        let mut at = self.core.cache.lock().before_time(log, time)?;
        for _ in 0..MAX_PAGES_SEARCHED {
            let page = self.page_in_memory(log, at)?;
            let events = page.events().get(page.index_of(at)..)?;
            if let Some(event) = events.iter().find(|event| event.timestamp >= time) {
                self.core.cache.lock().note_time(log, time, event.offset);
                return Some(event.offset);
            }
            at = page.next();
        }
        None
    }

    /// Returns the page that covers `offset`. Returns `None` if neither the ring nor the cache has it, or if it is unreadable.
    fn page_in_memory(&self, log: &Arc<PartitionLog>, offset: Offset) -> Option<Arc<Page>> {
        let page = match log.read(offset) {
            LogRead::Page(page) => page,
            LogRead::Below => match self.core.cache.lock().find(log, offset) {
                Lookup::Hit(page) => page,
                Lookup::Miss { .. } | Lookup::Below => return None,
            },
            LogRead::Ahead | LogRead::Replaced => return None,
        };
        (!page.is_unreadable()).then_some(page)
    }
}

/// Returns the client key under which the gateway's own reads are queued.
pub(in crate::kafka::history) fn own_client_key() -> ClientKey {
    ClientKey::of(Ipv4Addr::UNSPECIFIED.into())
}

/// Delay before a waiting query looks into memory again. It doubles each time.
const FIRST_RECHECK: Duration = Duration::from_millis(50);

/// Pages searched for a time before its leader is asked. Each costs microseconds.
const MAX_PAGES_SEARCHED: usize = 4;
