//! The page that covers an offset: from the cache, or read from its broker.

use std::sync::Arc;

use super::HistoryPool;
use crate::{
    client::ClientKey,
    kafka::{
        client::config::PAGE_BYTES,
        history::{
            cache::Lookup,
            request_queue::{PageRead, PageRequest, PageResult},
        },
    },
    partition::{HistoryError, Page, PartitionLog},
    position::Offset,
};

impl HistoryPool {
    pub(super) async fn find_page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        client: ClientKey,
    ) -> Result<Arc<Page>, HistoryError> {
        let mut began: Option<Offset> = None;
        // Behind what was read so far, also if the cache had no room for it.
        let mut reached = Offset::MIN;
        loop {
            if log.is_replaced() {
                return Err(HistoryError::Replaced);
            }
            let damage = &self.core.shared.damage;
            damage.set_leader(log, self.core.shared.leaders.leader(log.partition()));
            if let Some(range) = damage.range_at(log, offset) {
                return Ok(Arc::new(Page::unreadable(range)));
            }
            let found = self.core.cache.lock().find(log, offset);
            let (from, to) = match found {
                Lookup::Hit(page) => return Ok(self.core.count_hit(page)),
                Lookup::Below => return Err(HistoryError::OutOfRange),
                Lookup::Miss { from, to } => damage.clip(log, (from.max(reached), to)),
            };
            // Who gets no further asks again after a pause, as after a silence; here it would be a loop without one.
            if began.replace(from).is_some_and(|began| from <= began) {
                return Err(HistoryError::Unavailable);
            }
            let request = PageRequest {
                log: Arc::clone(log),
                from,
                to,
            };
            // Before the read: what the ring sheds meanwhile does not show that there is more than the answer says.
            let was_history = log.is_history(offset);
            match self.read(request, client).await {
                Ok(PageRead::Page { page, at_log_end }) => {
                    reached = page.next();
                    match page.next() {
                        next if next > offset => {
                            self.core.stale.record_fresh(log.partition());
                            return Ok(page);
                        }
                        // The tail has read on from there, so there is more.
                        _ if at_log_end && was_history => return Err(self.report_stale(log)),
                        next if at_log_end && next == offset => return Ok(page),
                        _ if at_log_end => return Err(HistoryError::OutOfRange),
                        _ => {}
                    }
                }
                Ok(PageRead::Unreadable) => {}
                Err(HistoryError::OutOfRange) => {
                    // A page begins on its grid, and the log may begin behind that.
                    let start = self.find_bounds(log).await?.start;
                    if start <= from {
                        return Err(HistoryError::OutOfRange);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Has the page behind this one read while its reader has nothing else to do: a client that reads on comes for it when its
    /// socket has taken this one.
    pub(super) fn read_ahead(&self, log: &Arc<PartitionLog>, page: &Page) {
        // Large records are not read for nobody.
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

    async fn read(&self, request: PageRequest, client: ClientKey) -> PageResult {
        let partition = request.log.partition();
        if self.core.backoffs.is_backing_off(partition) {
            return Err(HistoryError::Unavailable);
        }
        let reader = self.reader(partition).ok_or(HistoryError::Unavailable)?;
        let (answer, joined) = reader
            .request(request, client)
            .map_err(|_| HistoryError::Unavailable)?;
        self.core.count_join(joined);
        answer.await.unwrap_or(Err(HistoryError::Unavailable))
    }
}
