//! Finding a time in a log whose broker cannot: by bisection over pages.

use std::{future::Future, sync::Arc};

use crate::{
    partition::{Bounds, HistoryError, Page},
    position::{Offset, Timestamp},
};

/// The first record at or after `time` within `bounds`, as far as timestamps rise along the log.
///
/// librdkafka's in-process brokers answer "none" for every time; some odd real ones do, too.
pub(super) async fn first_at<F>(
    bounds: Bounds,
    time: Timestamp,
    mut page: impl FnMut(Offset) -> F,
) -> Result<Option<Offset>, HistoryError>
where
    F: Future<Output = Result<Arc<Page>, HistoryError>>,
{
    // Every record below `low` is older; `found` is the first known that is not, and stands at or behind `high`.
    let (mut low, mut high, mut found) = (bounds.start, bounds.end, None);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = page(middle).await?;
        let first = page.index_of(low);
        let events = &page.events()[first..];
        match events.iter().position(|event| event.timestamp >= time) {
            Some(at) => {
                found = Some(events[at].offset);
                if at > 0 || page.range().start <= low {
                    break;
                }
                high = page.range().start;
            }
            None => low = page.next().max(middle + 1),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready};

    use super::*;
    use crate::{
        event::{Encoding, Headers, Record},
        partition::PageBuilder,
    };

    /// A page of ten offsets; every third has a record, at ten times its offset.
    fn page(offset: Offset) -> Arc<Page> {
        let start = offset - offset % 10;
        let mut page = PageBuilder::new(start, Encoding::default());
        for offset in (start..start + 10).filter(|offset| offset % 3 == 0) {
            let _ = page.push(&Record {
                offset,
                timestamp: offset * 10,
                epoch: 0,
                key: None,
                headers: Headers::default(),
                value: None,
                canary: false,
            });
        }
        Arc::new(page.finish(start + 10))
    }

    #[tokio::test]
    async fn every_time_is_found_where_a_plain_scan_finds_it() {
        let bounds = Bounds {
            start: 7,
            end: 1000,
            epoch: None,
        };
        for time in 0..10_000 {
            let expected = (7..1000).find(|offset| offset % 3 == 0 && offset * 10 >= time);
            let reads = Cell::new(0);
            let found = first_at(bounds, time, |offset| {
                reads.set(reads.get() + 1);
                ready(Ok(page(offset)))
            });
            assert_eq!(found.await, Ok(expected), "{time}");
            assert!(reads.get() <= 8, "{time}: {} reads", reads.get());
        }
    }
}
