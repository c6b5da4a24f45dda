//! Ids of the same log: the next offset, truncations, epochs and the start.

use riverhead::position::IdForm;

use super::{
    cut_off_at_50, fixture, gap, id, in_ring_and_history, numbers, offset_of, offset_of_90, resume, tag,
    time_of,
};
use crate::support::model::all;

#[tokio::test(start_paused = true)]
async fn same_log_and_epoch_goes_on_exactly() {
    in_ring_and_history(async |fixture| {
        let id = id(
            offset_of(fixture, 40) + 1,
            Some(time_of(fixture, 40)),
            Some((tag(fixture), Some(0))),
        );
        assert_eq!(resume(fixture, &id).await, (vec![], numbers(41..=100)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_marker_before_the_offset_is_a_hole_and_no_gap() {
    in_ring_and_history(async |fixture| {
        let id = id(offset_of(fixture, 18), None, Some((tag(fixture), Some(0))));
        assert_eq!(resume(fixture, &id).await, (vec![], numbers(18..=100)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_compacted_record_before_the_offset_is_no_gap() {
    let fixture = fixture();
    let id = id(offset_of(&fixture, 41), None, Some((tag(&fixture), Some(0))));
    fixture.model.lock().partitions[0]
        .records
        .retain(|record| record.n != 40);
    fixture.tail_lags(0);
    assert_eq!(resume(&fixture, &id).await, (vec![], numbers(41..=100)));
}

#[tokio::test(start_paused = true)]
async fn truncated_and_shorter_waits_at_the_end_and_says_so() {
    let fixture = fixture();
    let id = id(offset_of(&fixture, 90) + 1, None, Some((tag(&fixture), Some(0))));
    fixture.truncate(0, 50, 0);
    let end = fixture.model.lock().partitions[0].end;
    assert_eq!(
        resume(&fixture, &id).await,
        (gap(offset_of_90(), end, "truncated"), vec![])
    );
    fixture.write(0, 3);
    assert_eq!(
        resume(&fixture, &id).await,
        (gap(offset_of_90(), end, "truncated"), numbers(101..=103))
    );
}

#[tokio::test(start_paused = true)]
async fn truncated_and_longer_goes_on_at_the_first_record_of_the_newer_epoch() {
    let fixture = fixture();
    let id = id(offset_of(&fixture, 90) + 1, None, Some((tag(&fixture), Some(0))));
    fixture.truncate(0, 50, 200);
    let first = offset_of(&fixture, 101);
    assert_eq!(
        resume(&fixture, &id).await,
        (gap(offset_of_90(), first, "truncated"), numbers(101..=300))
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_of_a_newer_epoch_than_ours_waits_for_our_leader() {
    let fixture = fixture();
    let id = id(500, None, Some((tag(&fixture), Some(7))));
    let mut subscription = fixture.subscribe(Some(&id), IdForm::Json);
    assert_eq!(all(&mut subscription).await, vec![]);
    assert!(subscription.is_held());
}

#[tokio::test(start_paused = true)]
async fn below_the_log_start_goes_on_at_the_start_and_says_so() {
    in_ring_and_history(async |fixture| {
        let id = id(10, Some(time_of(fixture, 90)), Some((tag(fixture), Some(0))));
        fixture.expire(0, 50);
        fixture.tail_lags(0);
        let start = fixture.model.lock().partitions[0].start;
        let first = fixture.model.lock().partitions[0].records[0].n;
        let (gaps, got) = resume(fixture, &id).await;
        assert_eq!((gaps, got), (gap(10, start, "expired"), numbers(first..=100)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn at_the_log_start_nothing_is_lost() {
    let fixture = fixture();
    fixture.expire(0, 50);
    fixture.tail_lags(0);
    let start = fixture.model.lock().partitions[0].start;
    let first = fixture.model.lock().partitions[0].records[0].n;
    let id = id(start, None, Some((tag(&fixture), Some(0))));
    assert_eq!(resume(&fixture, &id).await, (vec![], numbers(first..=100)));
}

#[tokio::test(start_paused = true)]
async fn records_of_an_older_epoch_behind_the_place_are_not_skipped() {
    let fixture = fixture();
    // The first 50 offsets are from another replica, which led under epoch 1 and has lost an unclean election
    // since.
    let id = id(50, None, Some((tag(&fixture), Some(1))));
    fixture.model.lock().partitions[0].epoch = 2;
    fixture.write(0, 10);
    let next = {
        let brokers = fixture.model.lock();
        let mut records = brokers.partitions[0].records.iter();
        records.find(|record| record.offset >= 50).unwrap().n
    };
    assert_eq!(
        resume(&fixture, &id).await,
        (gap(50, 50, "truncated"), numbers(next..=110))
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_hole_before_the_place_hides_no_newer_epoch() {
    for epoch in [0, 2] {
        let fixture = fixture();
        cut_off_at_50(&fixture);
        {
            let mut brokers = fixture.model.lock();
            let records = brokers.partitions[0].records.iter_mut();
            records
                .filter(|it| it.offset >= 50)
                .for_each(|it| it.epoch = epoch);
            brokers.partitions[0].epoch = epoch;
            // Compaction, or markers of aborted transactions.
            brokers.partitions[0]
                .records
                .retain(|it| !(60..140).contains(&it.offset));
        }
        let id = id(130, None, Some((tag(&fixture), Some(0))));
        let (gaps, got) = resume(&fixture, &id).await;
        match epoch {
            0 => assert!(gaps.is_empty() && got.len() < 20, "{gaps:?} {got:?}"),
            _ => assert_eq!((gaps, got[0]), (gap(130, 50, "truncated"), 101), "{got:?}"),
        }
    }
}
