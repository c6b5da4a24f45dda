//! Search for a time in a log by bisection over pages, for brokers that cannot look up times.
//!
//! Not here: how the pages are read (`pool::pages`).

use std::{future::Future, ops::Range, sync::Arc};

use crate::{
    event::Event,
    partition::{Bounds, HistoryError, Page},
    position::{Offset, Timestamp},
};

/// Returns the first record at or after `time` within `bounds`, provided that timestamps rise along the log.
///
/// librdkafka's in-process brokers answer "none" for every time. So do some real brokers.
pub(super) async fn first_at<F>(
    bounds: Bounds,
    time: Timestamp,
    mut page: impl FnMut(Offset) -> F,
) -> Result<Option<Offset>, HistoryError>
where
    F: Future<Output = Result<Arc<Page>, HistoryError>>,
{
    // Every record below `low` is older. `found` is the first known record that is not, and lies at or behind `high`.
    let (mut low, mut high, mut found) = (bounds.start, bounds.end, None);
    while low < high {
        let middle = low + (high - low) / 2;
        let first = page(middle).await?;
        let start = first.range().start.max(low);
        // A hole says nothing about the records on either side of it. The next record behind it does.
        let Some(found_page) = first_dated(first, low..high, &mut page).await? else {
            high = start.min(middle);
            continue;
        };
        let mut dated = dated(&found_page, low..high);
        let oldest = dated.next();
        match oldest
            .into_iter()
            .chain(dated)
            .find(|event| event.timestamp >= time)
        {
            Some(event) => {
                found = Some(event.offset);
                if start <= low || oldest.is_some_and(|oldest| oldest.offset < event.offset) {
                    break;
                }
                high = start.min(middle);
            }
            None => low = found_page.next().max(middle + 1),
        }
    }
    Ok(found)
}

/// Returns the timestamp of the last record within `bounds` that has one, if that record is within [`MAX_HOLE_PAGES`] pages of
/// the end.
pub(super) async fn newest<F>(
    bounds: Bounds,
    mut page: impl FnMut(Offset) -> F,
) -> Result<Option<Timestamp>, HistoryError>
where
    F: Future<Output = Result<Arc<Page>, HistoryError>>,
{
    let mut end = bounds.end;
    for _ in 0..MAX_HOLE_PAGES {
        if end <= bounds.start {
            break;
        }
        let page = page(end - 1).await?;
        if let Some(event) = dated(&page, bounds.start..bounds.end).next_back() {
            return Ok(Some(event.timestamp));
        }
        end = page.range().start.min(end - 1);
    }
    Ok(None)
}

/// Returns the first page, from `page` on, that has a record with a timestamp at one of `offsets`.
async fn first_dated<F>(
    mut page: Arc<Page>,
    offsets: Range<Offset>,
    mut read: impl FnMut(Offset) -> F,
) -> Result<Option<Arc<Page>>, HistoryError>
where
    F: Future<Output = Result<Arc<Page>, HistoryError>>,
{
    loop {
        if dated(&page, offsets.clone()).next().is_some() {
            return Ok(Some(page));
        }
        let at = page.next();
        if at >= offsets.end {
            return Ok(None);
        }
        page = read(at).await?;
        if page.next() <= at {
            return Ok(None);
        }
    }
}

/// Returns the events at `offsets` that have a timestamp.
fn dated(page: &Page, offsets: Range<Offset>) -> impl DoubleEndedIterator<Item = &Event> {
    let (from, to) = (page.index_of(offsets.start), page.index_of(offsets.end));
    page.events()[from..to]
        .iter()
        .filter(|event| event.timestamp >= 0)
}

/// Pages searched backwards for the newest record, past transaction markers and compacted offsets.
const MAX_HOLE_PAGES: usize = 4;

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready};

    use super::*;
    use crate::{
        event::{Encoding, Record},
        partition::PageBuilder,
    };

    /// A page of ten offsets. Every third has a record, with ten times its offset as the timestamp.
    fn page(offset: Offset) -> Arc<Page> {
        page_with(offset, |offset| (offset % 3 == 0).then_some(offset * 10))
    }

    /// A page of ten offsets, with a record wherever `time` returns a timestamp.
    fn page_with(offset: Offset, time: impl Fn(Offset) -> Option<Timestamp>) -> Arc<Page> {
        let start = offset - offset % 10;
        let mut page = PageBuilder::new(start, Encoding::default());
        for (offset, timestamp) in (start..start + 10).filter_map(|offset| Some((offset, time(offset)?))) {
            let _ = page.push(&Record {
                timestamp,
                ..Record::bare(offset, None)
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

    /// Returns the timestamp of the record at an offset, if there is one.
    type TimeOfOffset = fn(Offset) -> Option<Timestamp>;

    /// Holes from compaction and markers, and records without a timestamp, on both sides of every bisection step.
    #[tokio::test]
    async fn a_hole_is_not_taken_for_older_records() {
        let bounds = Bounds {
            start: 0,
            end: 1000,
            epoch: None,
        };
        let logs: [(&str, TimeOfOffset); 5] = [
            ("all but the first tenth", |offset| {
                (offset < 100).then_some(offset)
            }),
            ("all but the last tenth", |offset| {
                (offset >= 900).then_some(offset)
            }),
            ("the middle", |offset| {
                (!(200..800).contains(&offset)).then_some(offset)
            }),
            ("all but two", |offset| {
                matches!(offset, 3 | 996).then_some(offset)
            }),
            ("times of most", |offset| {
                Some(if offset % 97 == 5 { offset } else { -1 })
            }),
        ];
        for (hole, log) in logs {
            for time in 0..1100 {
                let mut dated = (0..1000).filter_map(|offset| Some((offset, log(offset)?)));
                let expected = dated.find(|(_, at)| *at >= time).map(|(offset, _)| offset);
                let found = first_at(bounds, time, |offset| ready(Ok(page_with(offset, log)))).await;
                assert_eq!(found, Ok(expected), "{hole} missing, {time}");
            }
        }
    }

    #[tokio::test]
    async fn the_newest_time_is_found_before_a_hole_at_the_end() {
        let bounds = Bounds {
            start: 0,
            end: 1000,
            epoch: None,
        };
        for (last, expected) in [(999, Some(999)), (975, Some(975)), (100, None)] {
            let log = |offset: Offset| (offset <= last).then_some(offset);
            let found = newest(bounds, |offset| ready(Ok(page_with(offset, log)))).await;
            assert_eq!(found, Ok(expected), "{last}");
        }
    }
}
