//! `since`, and timestamps of ids.

use riverhead::subscription::Subscription;

use super::{START, YEAR_2099, at, in_ring_and_history, numbers, received, seconds, since, write};
use crate::support::{
    gateway::{TestClient, TestGateway},
    model::{ModelFixture, TOPIC, all},
};

#[tokio::test]
async fn a_since_ahead_of_our_clock_finds_the_records_that_bear_that_time() {
    let fixture = ModelFixture::new(1);
    let ahead = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    write(&fixture, 0, &[START, ahead, ahead + 1]);
    let gateway = TestGateway::of(&fixture, |_| {});
    let id = format!(r#"[{{"topic":"{TOPIC}","partition":0,"timestamp":{ahead}}}]"#);
    let asked = [
        (format!("/v2/stream/edits?since={ahead}"), String::new()),
        ("/v2/stream/edits".to_owned(), format!("last-event-id: {id}\r\n")),
    ];
    for (target, headers) in asked {
        let mut client = TestClient::ask(gateway.public, &target, &headers).await;
        let head = client.until(r#"{"n":2}"#).await;
        assert!(!head.contains(r#"{"n":1}"#), "{head}");
        client.until(r#"{"n":3}"#).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_that_nothing_bears_yet_is_the_end_at_the_request() {
    for lags in [false, true] {
        let fixture = ModelFixture::new(1);
        write(&fixture, 0, &seconds(0..10));
        if lags {
            fixture.tail_lags(0);
        }
        let mut subscription = since(&fixture, YEAR_2099, START + 10_000);
        assert_eq!(received(&mut subscription).await, (vec![], vec![]));
        write(&fixture, 0, &[START + 11_000, YEAR_2099]);
        assert_eq!(received(&mut subscription).await, (vec![], numbers(11..=12)));
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_come_while_a_time_is_asked_for_are_not_skipped_by_one_that_bears_it() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..10));
    fixture.model.lock().partitions[0].mute = true;
    let mut subscription = since(&fixture, YEAR_2099, START + 10_000);
    assert_eq!(received(&mut subscription).await, (vec![], vec![]));
    write(&fixture, 0, &[START + 11_000, YEAR_2099, START + 12_000]);
    fixture.model.lock().partitions[0].mute = false;
    assert_eq!(received(&mut subscription).await, (vec![], numbers(11..=13)));
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_time_that_is_still_to_come_leads_on_in_another_cluster() {
    let fixture = ModelFixture::new(2);
    write(&fixture, 0, &seconds(0..10));
    write(&fixture, 1, &seconds(0..3));
    let mut subscription = since(&fixture, YEAR_2099, START + 10_000);
    assert_eq!(received(&mut subscription).await, (vec![], vec![]));
    write(&fixture, 1, &[START + 10_001]);
    let message = all(&mut subscription).await.pop().unwrap();
    let id = message.id.unwrap();
    assert!(!id.contains(&YEAR_2099.to_string()), "{id}");
    write(&fixture, 0, &[START + 11_000]);
    fixture.fail_over(1_000);
    fixture.tail(0);
    let (_, got) = received(&mut at(&fixture, &id, START + 12_000)).await;
    assert!(got.contains(&15), "{got:?} after {id}");
}

#[tokio::test(start_paused = true)]
async fn since_below_all_is_the_start_with_the_records_that_bear_no_time() {
    let times = [vec![-1; 3], seconds(0..5), vec![-1; 2], seconds(5..7)].concat();
    in_ring_and_history(&times, async |fixture| {
        for time in [0, 5, START - 1, START] {
            let got = received(&mut since(fixture, time, START + 20_000)).await;
            assert_eq!(got, (vec![], numbers(1..=12)), "{time}");
        }
        let got = received(&mut since(fixture, START + 2_000, START + 20_000)).await;
        assert_eq!(got, (vec![], numbers(6..=12)));
        // It is not known whether records without a time are older.
        let got = received(&mut since(fixture, START + 5_000, START + 20_000)).await;
        assert_eq!(got, (vec![], numbers(9..=12)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_run_without_times_is_the_start_too() {
    let times = [vec![-1; 200], seconds(0..2)].concat();
    in_ring_and_history(&times, async |fixture| {
        let got = received(&mut since(fixture, 1, START + 20_000)).await;
        assert_eq!(got, (vec![], numbers(1..=202)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn behind_a_record_without_a_time_an_id_still_leads_to_another_cluster() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    let mut subscription = since(&fixture, 0, START + 20_000);
    write(&fixture, 0, &[-1, -1]);
    assert_eq!(received(&mut subscription).await, (vec![], numbers(1..=7)));
    write(&fixture, 0, &[-1, START + 6_000]);
    fixture.model.lock().partitions[0].mute = true;
    let id = id_of(&fixture, &mut subscription, 9).await;
    fixture.fail_over(1_000);
    fixture.model.lock().partitions[0].mute = false;
    write(&fixture, 0, &[-1, START + 7_000]);
    let (gaps, got) = received(&mut at(&fixture, &id, START + 20_000)).await;
    assert_eq!(gaps, ["other_cluster"]);
    assert!(got.ends_with(&[10, 11]), "{got:?} after {id}");
}

/// Returns the last id of a client after the event with this number.
async fn id_of(fixture: &ModelFixture, subscription: &mut Subscription, n: u64) -> String {
    let message = all(subscription).await.pop().unwrap();
    assert_eq!(fixture.model.lock().n, n);
    message.id.unwrap()
}
