//! Positions inside and behind ranges that cannot be read.

use riverhead::position::{IdForm, LogTag};

use super::{cut_off_at_50, fixture, gap, id, numbers, offset_of_90, received, resume, tag};
use crate::support::model::{ModelFixture, TOPIC};

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
