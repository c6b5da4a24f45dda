//! Ids without a log: timestamps and bare offsets.

use super::{gap, id, in_ring_and_history, numbers, offset_of, resume, time_of};
use crate::support::model::TOPIC;

#[tokio::test(start_paused = true)]
async fn without_a_log_the_timestamp_is_the_proof() {
    in_ring_and_history(async |fixture| {
        let good = id(offset_of(fixture, 40) + 1, Some(time_of(fixture, 40)), None);
        assert_eq!(resume(fixture, &good).await, (vec![], numbers(41..=100)));
        let time = time_of(fixture, 70);
        let first = (1..=100).find(|n| time_of(fixture, *n) >= time).unwrap();
        let offset = offset_of(fixture, 40) + 1;
        let expected = gap(offset, offset_of(fixture, first), "unproven");
        assert_eq!(
            resume(fixture, &id(offset, Some(time), None)).await,
            (expected, numbers(first..=100))
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_offset_alone_is_good_in_range_and_the_end_beyond() {
    in_ring_and_history(async |fixture| {
        let id_at = |offset| id(offset, None, None);
        assert_eq!(
            resume(fixture, &id_at(offset_of(fixture, 41))).await,
            (vec![], numbers(41..=100))
        );
        let end = fixture.model.lock().partitions[0].end;
        assert_eq!(
            resume(fixture, &id_at(9_999)).await,
            (gap(9_999, end, "past_end"), vec![])
        );
        assert_eq!(resume(fixture, &id_at(end)).await, (vec![], vec![]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_timestamp_alone_never_has_a_gap() {
    in_ring_and_history(async |fixture| {
        let time = time_of(fixture, 70);
        let first = (1..=100).find(|n| time_of(fixture, *n) >= time).unwrap();
        let id = format!(r#"[{{"topic":"{TOPIC}","partition":0,"timestamp":{time}}}]"#);
        assert_eq!(resume(fixture, &id).await, (vec![], numbers(first..=100)));
        let late = format!(
            r#"[{{"topic":"{TOPIC}","partition":0,"timestamp":{}}}]"#,
            i64::MAX / 2
        );
        assert_eq!(resume(fixture, &late).await, (vec![], vec![]));
    })
    .await;
}
