//! The verdict that `on_gap=fail` waits for.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::BoxFuture;
use riverhead::{
    client::ClientKey,
    partition::{Bounds, History, HistoryError, Page, PartitionLog},
    position::{IdForm, LogTag},
};

use super::{fixture, gap, id, received, tag};
use crate::support::model::Model;

#[tokio::test(start_paused = true)]
async fn the_verdict_for_on_gap_fail() {
    let fixture = fixture();
    let mut exact = fixture.subscribe(Some(&id(41, None, Some((tag(&fixture), Some(0))))), IdForm::Json);
    assert_eq!(poll_fn(|context| exact.poll_gap_check(context)).await, Ok(()));
    fixture.recreate(1);
    let old = LogTag::new("model", &[0; 16]);
    let mut lost = fixture.subscribe(Some(&id(41, None, Some((old, Some(0))))), IdForm::Json);
    let gap = poll_fn(|context| lost.poll_gap_check(context)).await.unwrap_err();
    assert_eq!(gap.reason.as_str(), "recreated");
}

#[tokio::test(start_paused = true)]
async fn the_verdict_passes_a_hole_and_finds_what_cannot_be_read_behind_it() {
    let fixture = fixture();
    let from = fixture.model.lock().partitions[0].end + 1;
    // A marker.
    fixture.model.lock().partitions[0].end = from;
    fixture.damage(0, 10);
    fixture.write(0, 1);
    let before = id(from - 1, None, Some((tag(&fixture), Some(0))));
    // From memory, and from the brokers.
    for _ in 0..2 {
        let mut subscription = fixture.subscribe(Some(&before), IdForm::Json);
        let gap = poll_fn(|context| subscription.poll_gap_check(context))
            .await
            .unwrap_err();
        assert_eq!((gap.requested, gap.resumed), (Some(from), Some(from + 10)));
        fixture.tail_lags(0);
    }
    // A record comes first, before the damaged range.
    let near = id(from - 2, None, Some((tag(&fixture), Some(0))));
    let mut subscription = fixture.subscribe(Some(&near), IdForm::Json);
    assert_eq!(
        poll_fn(|context| subscription.poll_gap_check(context)).await,
        Ok(())
    );
    let (gaps, _) = received(&mut subscription).await;
    assert_eq!(gaps, gap(from, from + 10, "unreadable"));
}

#[tokio::test(start_paused = true)]
async fn the_verdict_waits_until_a_place_that_nobody_has_read_is_looked_at() {
    let mut fixture = fixture();
    let from = fixture.model.lock().partitions[0].end;
    fixture.damage(0, 10);
    fixture.tail_lags(0);
    let search = Arc::new(SearchingBrokers {
        brokers: fixture.model.clone(),
        damage: from,
        tries: AtomicUsize::default(),
    });
    fixture.source.history = search.clone();
    let mut subscription = fixture.subscribe(
        Some(&id(from, None, Some((tag(&fixture), Some(0))))),
        IdForm::Json,
    );
    let gap = poll_fn(|context| subscription.poll_gap_check(context))
        .await
        .unwrap_err();
    assert_eq!(gap.reason.as_str(), "unreadable");
    assert!(search.tries.load(Ordering::Relaxed) >= SearchingBrokers::IN_VAIN);
}

/// Brokers with an unreadable range that is not known at first.
struct SearchingBrokers {
    brokers: Model,
    damage: i64,
    tries: AtomicUsize,
}

impl SearchingBrokers {
    /// This many reads return nothing while the range is searched.
    const IN_VAIN: usize = 3;
}

impl History for SearchingBrokers {
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        offset: i64,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        if offset == self.damage && self.tries.fetch_add(1, Ordering::Relaxed) < Self::IN_VAIN {
            return Box::pin(async { Err(HistoryError::Unavailable) });
        }
        self.brokers.page(log, offset, client)
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        self.brokers.bounds(log)
    }

    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: i64,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<i64>, HistoryError>> {
        self.brokers.first_at(log, time, client)
    }
}
