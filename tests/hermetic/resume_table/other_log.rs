//! Ids of a log that is gone: recreated topics and other clusters.

use std::time::Duration;

use riverhead::position::{IdForm, LogTag};

use super::{fixture, gap, id, in_ring_and_history, numbers, offset_of, received, resume, tag, time_of};
use crate::support::model::{ModelFixture, TOPIC};

#[tokio::test(start_paused = true)]
async fn a_recreated_topic_is_read_from_its_start() {
    for records in [10, 200] {
        let fixture = fixture();
        let id = id(95, None, Some((tag(&fixture), Some(0))));
        fixture.recreate(records);
        fixture.tail(0);
        let end = 100 + records as u64;
        assert_eq!(
            resume(&fixture, &id).await,
            (gap(95, 0, "recreated"), numbers(101..=end))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_of_another_cluster_goes_by_its_timestamp() {
    in_ring_and_history(async |fixture| {
        let foreign = LogTag::new("elsewhere", &[0; 16]);
        let time = time_of(fixture, 43);
        let first = (1..=100).find(|n| time_of(fixture, *n) >= time).unwrap();
        let id = id(7_000, Some(time), Some((foreign, Some(0))));
        let expected = gap(7_000, offset_of(fixture, first), "other_cluster");
        assert_eq!(resume(fixture, &id).await, (expected, numbers(first..=100)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_id_of_another_cluster_without_a_timestamp_goes_on_at_the_end() {
    let fixture = fixture();
    let id = id(7, None, Some((LogTag::new("elsewhere", &[0; 16]), Some(0))));
    let end = fixture.model.lock().partitions[0].end;
    assert_eq!(
        resume(&fixture, &id).await,
        (gap(7, end, "other_cluster"), vec![])
    );
}

#[tokio::test(start_paused = true)]
async fn a_live_client_moves_to_another_cluster_by_the_time_of_its_last_record() {
    let fixture = fixture();
    let mut subscription = fixture.subscribe(Some("[]"), IdForm::Json);
    assert!(received(&mut subscription).await.1.is_empty());
    fixture.write(0, 10);
    assert_eq!(received(&mut subscription).await, (vec![], numbers(101..=110)));
    let last = offset_of(&fixture, 110) + 1;
    fixture.fail_over(1_000);
    fixture.write(0, 10);
    let time = time_of(&fixture, 110);
    let first = (1..=110).find(|n| time_of(&fixture, *n) >= time).unwrap();
    let expected = gap(last, offset_of(&fixture, first), "failover");
    assert_eq!(
        received(&mut subscription).await,
        (expected, numbers(first..=120))
    );
}

#[tokio::test(start_paused = true)]
async fn where_brokers_set_the_timestamps_a_move_repeats_the_overlap() {
    let fixture = fixture();
    let log = fixture.source.directory.get(TOPIC, 0).unwrap();
    log.set_overlap(Duration::from_millis(5));
    let foreign = LogTag::new("elsewhere", &[0; 16]);
    let time = time_of(&fixture, 60);
    let first = (1..=100).find(|n| time_of(&fixture, *n) >= time - 5).unwrap();
    assert!(first < 60);
    let id = id(7_000, Some(time), Some((foreign, Some(0))));
    let expected = gap(7_000, offset_of(&fixture, first), "other_cluster");
    assert_eq!(resume(&fixture, &id).await, (expected, numbers(first..=100)));
}

#[tokio::test(start_paused = true)]
async fn a_live_client_that_has_read_nothing_yet_loses_nothing_by_a_move() {
    let fixture = ModelFixture::new(1);
    let mut subscription = fixture.subscribe(
        Some(r#"[{"topic":"edits","partition":0,"offset":-2}]"#),
        IdForm::Json,
    );
    assert_eq!(received(&mut subscription).await, (vec![], vec![]));
    fixture.model.lock().produce(0, 5);
    fixture.fail_over(1_000);
    fixture.write(0, 5);
    assert_eq!(
        received(&mut subscription).await,
        (gap(0, 1_000, "failover"), numbers(1..=10))
    );
}
