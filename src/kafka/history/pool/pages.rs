//! Lookup of the page that covers an offset: from the cache, or read from its broker.
//!
//! Not here: the reads themselves (`worker`), and the cache (`cache`).

use std::{sync::Arc, time::Instant};

use super::HistoryPool;
use crate::{
    client::ClientKey,
    kafka::{
        client::config::PAGE_BYTES,
        history::{
            cache::Lookup,
            log_key::key,
            request_queue::{PageRead, PageRequest, PageResult},
        },
    },
    partition::{HistoryError, Page, PartitionLog},
    position::Offset,
};

impl HistoryPool {
    /// Returns the page that covers `offset`. If the log ends at `offset`, returns the page before it.
    /// # Errors
    /// [`HistoryError::OutOfRange`] if the log has no such offset, [`HistoryError::Replaced`] if the log was replaced,
    /// [`HistoryError::Unavailable`] if the broker does not answer or its answer is behind the tail.
    pub(super) async fn find_page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        client: ClientKey,
    ) -> Result<Arc<Page>, HistoryError> {
        let mut last_from: Option<Offset> = None;
        // The end of what was read so far. It counts even if the cache had no space for the page.
        let mut read_until = Offset::MIN;
        loop {
            if log.is_replaced() {
                return Err(HistoryError::Replaced);
            }
            let (from, to) = match self.look_up(log, offset) {
                Lookup::Hit(page) => return Ok(page),
                Lookup::Below => return Err(HistoryError::OutOfRange),
                Lookup::Miss { from, to } => {
                    let damage = &self.core.shared.damage;
                    damage.clip(log, (from.max(read_until), to))
                }
            };
            // A read that made no progress is retried by the caller after a pause, as one without an answer is. Retried here, it
            // would be a loop without a pause.
            if last_from.replace(from).is_some_and(|last_from| from <= last_from) {
                return Err(HistoryError::Unavailable);
            }
            let request = PageRequest {
                log: Arc::clone(log),
                from,
                to,
            };
            // Taken before the read: pages that the ring evicts during the read do not show that the log goes on behind the
            // answer.
            let was_history = log.is_history(offset);
            match self.read(request, client).await {
                Ok(PageRead::Page { page, at_log_end }) => {
                    read_until = page.next();
                    match page.next() {
                        next if next > offset => {
                            self.core.stale.record_fresh(log.partition());
                            return Ok(page);
                        }
                        // The tail has read on from there, so the log has more than this broker says.
                        _ if at_log_end && was_history => return Err(self.report_stale(log)),
                        next if at_log_end && next == offset => return Ok(page),
                        _ if at_log_end => return Err(HistoryError::OutOfRange),
                        _ => {}
                    }
                }
                Ok(PageRead::Unreadable) => {}
                Err(HistoryError::OutOfRange) => {
                    // A page starts at a multiple of the alignment, and the log may start behind that.
                    let bounds = self.find_bounds(log).await?;
                    if (bounds.start..bounds.end).contains(&from) {
                        // The leader has it, so the reader asks another broker, which is behind.
                        return Err(self.report_stale(log));
                    }
                    if bounds.start <= from {
                        return Err(HistoryError::OutOfRange);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks up the page that covers `offset` without asking a broker. A page that was found is counted.
    pub(super) fn look_up(&self, log: &Arc<PartitionLog>, offset: Offset) -> Lookup {
        let damage = &self.core.shared.damage;
        damage.set_leader(log, self.core.shared.leaders.leader(log.partition()));
        if let Some(range) = damage.range_at(log, offset) {
            return Lookup::Hit(Arc::new(Page::unreadable(range)));
        }
        let found = self.core.cache.lock().find(log, offset);
        match found {
            Lookup::Hit(page) => Lookup::Hit(self.core.count_hit(page)),
            other => other,
        }
    }

    /// Requests the page after this one at low priority. A client that reads on asks for it once its socket has taken this one.
    pub(super) fn read_ahead(&self, log: &Arc<PartitionLog>, page: &Page) {
        // Large records are not read without a client that waits for them.
        if !log.is_history(page.next()) || page.bytes() > PAGE_BYTES {
            return;
        }
        let found = self.core.cache.lock().find(log, page.next());
        if let Lookup::Miss { from, to } = found
            && self.core.shared.damage.range_at(log, page.next()).is_none()
            && let Some(reader) = self.reader(log.partition())
        {
            let (from, to) = self.core.shared.damage.clip(log, (from, to));
            reader.request_ahead(PageRequest {
                log: Arc::clone(log),
                from,
                to,
            });
        }
    }

    /// Has one page read by the reader of its broker, and waits for the result.
    async fn read(&self, request: PageRequest, client: ClientKey) -> PageResult {
        let partition = request.log.partition();
        if self.core.backoffs.is_backing_off(partition) {
            return Err(HistoryError::Unavailable);
        }
        let reader = self.reader(partition).ok_or(HistoryError::Unavailable)?;
        self.core.turns.expect(client, key(&request.log), Instant::now());
        let (answer, joined) = reader
            .request(request, client)
            .map_err(|_| HistoryError::Unavailable)?;
        self.core.count_join(joined);
        answer.await.unwrap_or(Err(HistoryError::Unavailable))
    }
}
