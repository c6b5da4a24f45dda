//! Clients that share a lane, and filters.

use riverhead::catalog::{Catalog, Stream};

use super::{ALL, PATH, Reading, escaped, fixture, shared, sorted, write};
use crate::support::{
    gateway::{TestGateway, get},
    model::TOPIC,
    on_both_sinks,
};

async fn clients_who_want_the_same_read_the_same_bytes_and_resume_by_the_ids_in_them() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (mut first, mut second) = shared(&gateway, &fixture, PATH).await;
    write(&fixture, 10);
    let (numbers, id) = second.take(20).await;
    assert_eq!(first.take(20).await, (numbers.clone(), id));
    write(&fixture, 10);
    let (mut all, id) = first.take(7).await;
    all.extend(Reading::start(&gateway, PATH, &id).await.take(13).await.0);
    assert_eq!(all, second.take(20).await.0);
}

async fn filtered_clients_read_what_they_asked_for_and_resume_in_the_midst_of_it() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let target = format!("{PATH}?filter={}", escaped("n in (3, 17, 25) or n >= 38"));
    let (first, id) = Reading::start(&gateway, &target, ALL).await.take(3).await;
    let mut reading = Reading::start(&gateway, &target, &id).await;
    let (rest, _) = reading.take(3).await;
    assert_eq!(sorted([first, rest].concat()), [3, 17, 25, 38, 39, 40]);
    write(&fixture, 1);
    assert_eq!(sorted(reading.take(2).await.0), [41, 42]);
}

async fn a_sixth_different_filter_of_one_client_is_refused_and_a_seventh_use_of_one_is_not() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let target = |n| format!("{PATH}?filter=n%3D{n}");
    let mut readings = Vec::new();
    for n in 1..=5 {
        readings.push(Reading::start(&gateway, &target(n), ALL).await);
    }
    readings.push(Reading::start(&gateway, &target(1), ALL).await);
    let answer = get(gateway.public, &target(6), "").await;
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    for (n, reading) in readings.iter_mut().enumerate() {
        assert_eq!(reading.take(1).await.0, [n as u64 % 5 + 1]);
    }
}

async fn streams_in_another_order_and_a_filter_in_other_words_are_the_same_lane() {
    let fixture = fixture();
    let streams = ["edits", "other"].map(|name| Stream::new(name, [TOPIC]));
    let catalog = Catalog::new(streams.to_vec()).unwrap();
    let gateway = TestGateway::over(catalog, fixture.source.clone(), |_| {});
    let mut readings = Vec::new();
    for (streams, filter) in [
        ("edits,other", "n = 3 or n = 17"),
        ("other,edits", "n in (17, 3)"),
        ("edits,edits,other", "not not (n=17 or n=3)"),
    ] {
        let target = format!("/v2/stream/{streams}?filter={}", escaped(filter));
        readings.push(Reading::start(&gateway, &target, ALL).await);
    }
    for reading in &mut readings {
        assert_eq!(sorted(reading.take(2).await.0), [3, 17]);
    }
    assert_eq!(gateway.lanes.count(), 1);
}

on_both_sinks! {
    #[tokio::test]
    clients_who_want_the_same_read_the_same_bytes_and_resume_by_the_ids_in_them
    filtered_clients_read_what_they_asked_for_and_resume_in_the_midst_of_it
    a_sixth_different_filter_of_one_client_is_refused_and_a_seventh_use_of_one_is_not
    streams_in_another_order_and_a_filter_in_other_words_are_the_same_lane
}
