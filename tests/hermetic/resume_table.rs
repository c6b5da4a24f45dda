//! The resume table, row by row, with a model of the brokers. `tests/real` checks the same with real ones.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use riverhead::{
    client::ClientKey,
    partition::{Bounds, History, HistoryError, Page, PartitionLog},
    position::{IdForm, LogTag},
    sse::SseMessage,
    subscription::Subscription,
};

use crate::support::model::{Model, ModelFixture, TOPIC, all};

/// Creates a topic of one partition with the records 1..=100 at the offsets 0..=105 (a marker follows every
/// 17th record). The tail has read them, and all are still in its ring.
fn fixture() -> ModelFixture {
    let fixture = ModelFixture::new(1);
    fixture.write(0, 100);
    fixture
}

/// Returns an id whose record before `offset` was written under `epoch`, in the log with this tag.
fn id(offset: i64, timestamp: Option<i64>, log: Option<(LogTag, Option<i32>)>) -> String {
    let timestamp = timestamp
        .map(|time| format!(r#","timestamp":{time}"#))
        .unwrap_or_default();
    let log = log.map(|(tag, epoch)| match epoch {
        Some(epoch) => format!(r#","log":"{tag}.{epoch}""#),
        None => format!(r#","log":"{tag}""#),
    });
    let log = log.unwrap_or_default();
    format!(r#"[{{"topic":"{TOPIC}","partition":0,"offset":{offset}{timestamp}{log}}}]"#)
}

/// Returns the gaps and the numbers that a client receives if it resumes with `id`.
async fn resume(fixture: &ModelFixture, id: &str) -> (Vec<serde_json::Value>, Vec<u64>) {
    received(&mut fixture.subscribe(Some(id), IdForm::Json)).await
}

/// Returns the gaps and numbers that a client receives until nothing more arrives.
async fn received(subscription: &mut Subscription) -> (Vec<serde_json::Value>, Vec<u64>) {
    let (gaps, events): (Vec<_>, Vec<_>) = all(subscription)
        .await
        .into_iter()
        .partition(|message| message.event == "gap");
    let value = |message: SseMessage| serde_json::from_str::<serde_json::Value>(&message.data).unwrap();
    let numbers = events
        .into_iter()
        .map(|event| value(event)["n"].as_u64().unwrap())
        .collect();
    (gaps.into_iter().map(value).collect(), numbers)
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

fn gap(requested: i64, resumed: i64, reason: &str) -> Vec<serde_json::Value> {
    vec![serde_json::json!({
        "topic": TOPIC, "partition": 0, "requested": requested, "resumed": resumed, "reason": reason
    })]
}

/// Returns the offset of the record with this number.
fn offset_of(fixture: &ModelFixture, n: u64) -> i64 {
    fixture.model.lock().partitions[0]
        .records
        .iter()
        .find(|record| record.n == n)
        .unwrap()
        .offset
}

fn time_of(fixture: &ModelFixture, n: u64) -> i64 {
    fixture.model.lock().partitions[0]
        .records
        .iter()
        .find(|record| record.n == n)
        .unwrap()
        .time
}

fn tag(fixture: &ModelFixture) -> LogTag {
    fixture.model.lock().tag()
}

/// Runs a check with the records in the ring, and again with the records in history only.
async fn in_ring_and_history(check: impl AsyncFn(&ModelFixture)) {
    let fixture = fixture();
    check(&fixture).await;
    fixture.tail_lags(0);
    check(&fixture).await;
}

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

/// 89 records and 5 markers are before it, and the id is after it.
fn offset_of_90() -> i64 {
    89 + 5 + 1
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

#[tokio::test(start_paused = true)]
async fn a_partition_that_the_id_lacks_is_read_from_its_start() {
    let fixture = fixture();
    fixture.add_partition();
    fixture.tail(1);
    let id = id(offset_of(&fixture, 100) + 1, None, Some((tag(&fixture), Some(0))));
    assert_eq!(resume(&fixture, &id).await, (vec![], numbers(101..=105)));
}

#[tokio::test(start_paused = true)]
async fn a_partition_added_under_a_live_client_is_read_from_its_start() {
    let fixture = fixture();
    let mut subscription = fixture.subscribe(None, IdForm::Json);
    assert_eq!(all(&mut subscription).await, vec![]);
    fixture.add_partition();
    fixture.tail(1);
    let messages = all(&mut subscription).await;
    assert_eq!(messages.len(), 5);
    assert!(
        messages[4]
            .id
            .as_ref()
            .unwrap()
            .contains(r#""partition":1,"offset":6"#)
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_gone_is_told() {
    let fixture = fixture();
    let id = format!(
        r#"[{{"topic":"{TOPIC}","partition":0,"offset":-1}},{{"topic":"{TOPIC}","partition":9,"offset":5}}]"#
    );
    let (gaps, numbers) = resume(&fixture, &id).await;
    assert_eq!(numbers, Vec::<u64>::new());
    assert_eq!(gaps[0]["reason"], "partition_gone");
    assert_eq!(gaps[0]["partition"], 9);
}

#[tokio::test(start_paused = true)]
async fn a_mute_leader_holds_up_only_its_own_partition_and_the_id_stays_honest() {
    let fixture = fixture();
    fixture.add_partition();
    fixture.tail(1);
    fixture.tail_lags(0);
    fixture.model.lock().partitions[0].mute = true;
    let id = format!(
        r#"[{{"topic":"{TOPIC}","partition":0,"offset":41}},{{"topic":"{TOPIC}","partition":1,"offset":0}}]"#
    );
    let mut subscription = fixture.subscribe(Some(&id), IdForm::Json);
    let messages = all(&mut subscription).await;
    assert_eq!(messages.len(), 5);
    let last = messages[4].id.as_ref().unwrap();
    assert!(last.contains(r#""partition":0,"offset":41}"#), "verbatim: {last}");
    fixture.model.lock().partitions[0].mute = false;
    assert_eq!(all(&mut subscription).await.len(), 61);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_holds_and_its_entries_are_carried() {
    let fixture = ModelFixture::new(0);
    let source = riverhead::subscription::LogSource {
        directory: riverhead::partition::LogDirectory::new(),
        history: fixture.source.history.clone(),
    };
    let fixture = ModelFixture {
        source,
        model: fixture.model,
    };
    let mut subscription = fixture.subscribe(Some(&id(41, Some(5), None)), IdForm::Json);
    assert_eq!(all(&mut subscription).await, vec![]);
    assert!(subscription.is_held());
}

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

#[tokio::test(start_paused = true)]
async fn a_client_that_was_given_nothing_before_what_cannot_be_read_is_told_of_a_log_cut_off_before_it() {
    let fixture = fixture();
    let from = fixture.model.lock().partitions[0].end;
    fixture.damage(0, 10);
    fixture.tail(0);
    // An offset that the client was told without a record.
    let mut subscription =
        fixture.subscribe(Some(&id(from, None, Some((tag(&fixture), None)))), IdForm::Json);
    let told = received(&mut subscription).await;
    assert_eq!(told, (gap(from, from + 10, "unreadable"), vec![]));
    cut_off_at_50(&fixture);
    let told = received(&mut subscription).await;
    assert_eq!(told, (gap(from + 10, 50, "truncated"), numbers(101..=200)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_all_unreadable_and_is_cut_off_whole_is_told_of() {
    let fixture = ModelFixture::new(1);
    fixture.damage(0, 10);
    fixture.tail(0);
    let start = format!(r#"[{{"topic":"{TOPIC}","partition":0,"offset":-2}}]"#);
    let mut subscription = fixture.subscribe(Some(&start), IdForm::Json);
    let told = received(&mut subscription).await;
    assert_eq!(told, (gap(0, 10, "unreadable"), vec![]));
    fixture.truncate(0, 0, 20);
    let told = received(&mut subscription).await;
    assert_eq!(told, (gap(10, 0, "truncated"), numbers(1..=20)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_cut_off_twice_before_a_record_comes_is_told_of_twice() {
    let fixture = fixture();
    let id = id(offset_of_90(), None, Some((tag(&fixture), Some(0))));
    let mut subscription = fixture.subscribe(Some(&id), IdForm::Json);
    assert_eq!(received(&mut subscription).await, (vec![], numbers(91..=100)));
    for (requested, resumed) in [(105, 52), (52, 26), (26, 0)] {
        fixture.truncate(0, if resumed > 0 { 50 } else { 0 }, 0);
        let told = received(&mut subscription).await;
        assert_eq!(told, (gap(requested, resumed, "truncated"), vec![]));
    }
    fixture.truncate(0, 0, 100);
    assert_eq!(received(&mut subscription).await, (vec![], numbers(101..=200)));
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

/// Creates a log of epoch 0 that was truncated at 50 and continues under epoch 2, with this many unreadable
/// offsets and then records.
fn unreadable_from_50(offsets: i64, records: usize) -> (ModelFixture, LogTag) {
    let fixture = fixture();
    {
        let mut brokers = fixture.model.lock();
        let partition = &mut brokers.partitions[0];
        partition.records.retain(|record| record.offset < 50);
        (partition.end, partition.epoch) = (50, 2);
    }
    fixture.damage(0, offsets);
    fixture.tail_lags(0);
    fixture.write(0, records);
    let tag = tag(&fixture);
    (fixture, tag)
}

#[tokio::test(start_paused = true)]
async fn a_place_in_what_cannot_be_read_is_not_taken_for_proven_under_a_later_leader() {
    let (fixture, tag) = unreadable_from_50(100, 10);
    let gaps = |place| [gap(place, 50, "unproven"), gap(50, 150, "unreadable")].concat();
    for place in [95, 150] {
        let id = id(place, None, Some((tag, Some(0))));
        assert_eq!(resume(&fixture, &id).await, (gaps(place), numbers(101..=110)));
    }
    let same = id(150, None, Some((tag, Some(2))));
    assert_eq!(resume(&fixture, &same).await, (vec![], numbers(101..=110)));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_before_the_first_record_of_the_newer_epoch_is_told() {
    let (fixture, tag) = unreadable_from_50(20, 100);
    let id = id(offset_of_90(), None, Some((tag, Some(0))));
    let gaps = [gap(offset_of_90(), 50, "truncated"), gap(50, 70, "unreadable")].concat();
    assert_eq!(resume(&fixture, &id).await, (gaps, numbers(101..=200)));
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

/// Makes another leader whose log ends at 50, and then writes 100 records.
fn cut_off_at_50(fixture: &ModelFixture) {
    let mut brokers = fixture.model.lock();
    let partition = &mut brokers.partitions[0];
    partition.records.retain(|record| record.offset < 50);
    partition.damaged.clear();
    (partition.end, partition.epoch) = (50, 2);
    brokers.produce(0, 100);
    let end = brokers.partitions[0].end;
    drop(brokers);
    fixture.publish(0, end);
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
