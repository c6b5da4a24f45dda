//! `event: gap`, and `on_gap=fail`.

use super::{ALL, PATH, Reading, expire, fixture, shared, write};
use crate::support::{
    gateway::{TestGateway, get},
    on_both_sinks,
};

async fn a_client_is_told_of_a_gap_and_goes_on() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (_, id) = Reading::start(&gateway, PATH, ALL).await.take(1).await;
    expire(&fixture);
    let mut reading = Reading::start(&gateway, PATH, &id).await;
    let gap = loop {
        let message = reading.next().await.expect("a gap");
        if message.event == "gap" {
            break message;
        }
    };
    let data: serde_json::Value = serde_json::from_str(&gap.data).unwrap();
    assert_eq!(
        (&data["partition"], &data["reason"]),
        (&0.into(), &"expired".into())
    );
    gateway
        .until_metric("riverhead_gaps_sent_total{reason=\"expired\"}", 1.0)
        .await;
}

async fn who_wants_no_gap_gets_410_and_its_data_instead() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (_, id) = Reading::start(&gateway, PATH, ALL).await.take(1).await;
    expire(&fixture);
    let target = format!("{PATH}?on_gap=fail");
    let answer = get(gateway.public, &target, &format!("last-event-id: {id}\r\n")).await;
    assert_eq!(answer.status, 410, "{answer:?}");
    let body = answer.json();
    assert_eq!(
        (&body["type"], &body["gap"]["reason"]),
        (&"gap".into(), &"expired".into())
    );
    gateway
        .until_metric("riverhead_streams_open{stream=\"edits\"}", 0.0)
        .await;
}

async fn who_wants_no_gap_and_has_none_reads_until_one_comes() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (_, id) = Reading::start(&gateway, PATH, ALL).await.take(1).await;
    let mut reading = Reading::start(&gateway, &format!("{PATH}?on_gap=fail"), &id).await;
    reading.take(39).await;
    fixture.recreate(5);
    let mut last = None;
    while let Some(message) = reading.next().await {
        last = Some(message);
    }
    assert_eq!(last.expect("a gap before the end").event, "gap");
    gateway
        .until_metric(
            "riverhead_streams_ended_total{stream=\"edits\",reason=\"gap\"}",
            1.0,
        )
        .await;
}

async fn a_gap_in_a_lane_ends_the_stream_of_who_wants_none_and_no_other() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (mut strict, mut other) = shared(&gateway, &fixture, &format!("{PATH}?on_gap=fail")).await;
    let mut easy = Reading::start(&gateway, PATH, "").await;
    fixture.recreate(5);
    for reading in [&mut strict, &mut other] {
        let mut last = None;
        while let Some(message) = reading.next().await {
            last = Some(message);
        }
        assert_eq!(last.expect("a gap before the end").event, "gap");
    }
    assert_eq!(easy.next().await.expect("a gap").event, "gap");
    fixture.recreate(5);
    while easy.next().await.expect("events, and one more gap").event != "gap" {}
}

async fn what_cannot_be_read_is_a_gap_in_a_lane_and_ends_nobody_but_who_wants_none() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (mut easy, mut other) = shared(&gateway, &fixture, PATH).await;
    let mut strict = Reading::start(&gateway, &format!("{PATH}?on_gap=fail"), "").await;
    let from = fixture.model.lock().partitions[0].end;
    fixture.damage(0, 10);
    write(&fixture, 3);
    for reading in [&mut easy, &mut other] {
        let (mut gap, mut numbers) = (None, 0);
        while gap.is_none() || numbers < 6 {
            let message = reading.next().await.expect("an event");
            match message.event.as_str() {
                "gap" => assert!(gap.replace(message).is_none(), "one gap only"),
                _ => numbers += 1,
            }
        }
        let gap = gap.expect("a gap");
        assert_eq!(gap.id, None, "the client's last id stays true");
        let data: serde_json::Value = serde_json::from_str(&gap.data).unwrap();
        assert_eq!(data["reason"], "unreadable");
        assert_eq!(
            (&data["requested"], &data["resumed"]),
            (&from.into(), &(from + 10).into())
        );
    }
    let mut gaps = 0;
    while let Some(message) = strict.next().await {
        gaps += usize::from(message.event == "gap");
    }
    assert_eq!(gaps, 1, "the stream ends with the batch of the gap");
}

async fn who_wants_no_gap_and_would_begin_with_what_cannot_be_read_gets_410() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut reading = Reading::start(&gateway, PATH, ALL).await;
    let (_, before) = reading.take(40).await;
    fixture.damage(0, 10);
    write(&fixture, 1);
    let behind = reading.id_behind(2).await;
    let target = format!("{PATH}?on_gap=fail");
    // From memory, and from the brokers.
    for _ in 0..2 {
        let answer = get(gateway.public, &target, &format!("last-event-id: {before}\r\n")).await;
        assert_eq!(answer.status, 410, "{answer:?}");
        let gap = &answer.json()["gap"];
        assert_eq!(gap["reason"], "unreadable", "{gap}");
        fixture.tail_lags(0);
    }
    write(&fixture, 1);
    Reading::start(&gateway, &target, &behind).await.take(2).await;
}

on_both_sinks! {
    #[tokio::test]
    a_client_is_told_of_a_gap_and_goes_on
    who_wants_no_gap_gets_410_and_its_data_instead
    who_wants_no_gap_and_has_none_reads_until_one_comes
    a_gap_in_a_lane_ends_the_stream_of_who_wants_none_and_no_other
    what_cannot_be_read_is_a_gap_in_a_lane_and_ends_nobody_but_who_wants_none
    who_wants_no_gap_and_would_begin_with_what_cannot_be_read_gets_410
}
