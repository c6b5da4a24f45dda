//! Reads with an end over real sockets: `limit`, `until` and `from`, the event at the end, and the status that ends an `EventSource`.

use riverhead::{
    position::{decode, is_end_id},
    sse::SseMessage,
};

use super::{ALL, PATH, Reading, escaped, fixture, sorted, write};
use crate::support::{
    gateway::{TestClient, TestGateway, get},
    model::number,
    on_both_sinks,
};

/// Reads a stream to its end. Returns the numbers, and the event at the end.
async fn read(gateway: &TestGateway, query: &str, id: &str) -> (Vec<u64>, SseMessage) {
    let mut reading = Reading::start(gateway, &format!("{PATH}?{query}"), id).await;
    let mut numbers = Vec::new();
    loop {
        let message = reading.next().await.expect("an end");
        if message.event == "end" {
            assert!(reading.next().await.is_none(), "nothing is behind the end");
            return (numbers, message);
        }
        numbers.push(number(&message.data));
    }
}

fn data(end: &SseMessage) -> serde_json::Value {
    serde_json::from_str(&end.data).unwrap()
}

/// Returns the id of an event.
fn id(message: &SseMessage) -> &str {
    message.id.as_deref().expect("an id")
}

async fn a_limited_read_says_that_it_ends_and_is_counted() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    for form in ["json", "compact"] {
        let (numbers, end) = read(&gateway, &format!("limit=7&id={form}"), ALL).await;
        assert_eq!(numbers.len(), 7);
        let data = data(&end);
        assert_eq!((&data["reason"], &data["events"]), (&"limit".into(), &7.into()));
        assert!(is_end_id(id(&end).as_bytes()));
        let position = match &data["position"] {
            serde_json::Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        assert_eq!(decode(position.as_bytes()), decode(id(&end).as_bytes()));
    }
    let ended = "riverhead_streams_ended_total{stream=\"edits\",reason=\"limit\"}";
    gateway.until_metric(ended, 2.0).await;
    gateway
        .until_metric("riverhead_streams_open{stream=\"edits\"}", 0.0)
        .await;
}

async fn a_read_until_now_ends_without_a_new_event_and_is_counted() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (numbers, end) = read(&gateway, "until=now", ALL).await;
    assert_eq!(sorted(numbers), (1..=40).collect::<Vec<_>>());
    assert_eq!(data(&end)["reason"], "until");
    let ended = "riverhead_streams_ended_total{stream=\"edits\",reason=\"until\"}";
    gateway.until_metric(ended, 1.0).await;
    // Without a position, and so without an event.
    let (numbers, _) = read(&gateway, "until=now", "").await;
    assert_eq!(numbers, [] as [u64; 0]);
}

async fn reads_from_time_to_time_meet_and_an_id_is_an_end() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let times: Vec<_> = fixture.model.lock().partitions[1]
        .records
        .iter()
        .map(|it| it.time)
        .collect();
    let (a, b) = (times[5], times[13]);
    let (mut all, _) = read(&gateway, &format!("since=0&until={a}"), "").await;
    let (middle, end) = read(&gateway, &format!("since={a}&until={b}"), "").await;
    assert!(!all.is_empty() && !middle.is_empty());
    let (again, _) = read(&gateway, &format!("since={a}&until={}", escaped(id(&end))), "").await;
    assert_eq!(again, middle);
    all.extend(middle);
    all.extend(read(&gateway, &format!("since={b}&until=now"), "").await.0);
    assert_eq!(sorted(all), (1..=40).collect::<Vec<_>>());
}

async fn who_asks_for_an_ended_read_again_gets_204_and_goes_on_with_from() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (first, end) = read(&gateway, "limit=15", ALL).await;
    let header = format!("last-event-id: {}\r\n", id(&end));
    let parameter = format!("lastEventId={}", escaped(id(&end)));
    for (query, headers) in [
        ("limit=15".to_owned(), &*header),
        ("until=now".to_owned(), &*header),
        (format!("limit=15&{parameter}"), ""),
        (format!("until=now&{parameter}&encoding=gzip"), ""),
    ] {
        for accept in ["text/event-stream", "application/json"] {
            let headers = format!("{headers}accept: {accept}\r\n");
            let answer = get(gateway.public, &format!("{PATH}?{query}"), &headers).await;
            assert_eq!((answer.status, &*answer.body), (204, ""), "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            assert_eq!(answer.header("content-type"), None);
            assert_eq!(answer.header("content-encoding"), None);
        }
    }
    gateway
        .until_metric("riverhead_streams_open{stream=\"edits\"}", 0.0)
        .await;
    // Behind the end, whatever the header says.
    let from = format!("from={}", escaped(id(&end)));
    for id in ["", id(&end)] {
        let (rest, end) = read(&gateway, &format!("until=now&{from}"), id).await;
        assert_eq!(
            sorted([&first[..], &rest[..]].concat()),
            (1..=40).collect::<Vec<_>>()
        );
        assert_eq!(data(&end)["events"], 25);
    }
    // An ordinary id where nothing is bounded.
    let mut reading = Reading::start(&gateway, PATH, id(&end)).await;
    let (rest, _) = reading.take(25).await;
    assert_eq!(sorted([first, rest].concat()), (1..=40).collect::<Vec<_>>());
}

async fn head_is_answered_as_get_is() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (_, end) = read(&gateway, "limit=1", ALL).await;
    for (query, id, status) in [
        ("limit=1", id(&end), 204),
        ("limit=1", "", 200),
        ("limit=0", "", 400),
        ("until=never", "", 400),
    ] {
        let mut client = TestClient::connect(gateway.public).await;
        let request = format!("HEAD {PATH}?{query} HTTP/1.1\r\nhost: test\r\nlast-event-id: {id}\r\n\r\n");
        client.send(&request).await;
        let head = client.head().await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{query}: {head}"
        );
    }
}

async fn lines_of_json_end_with_a_line_that_has_the_id() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut from = escaped(ALL);
    let mut numbers = Vec::new();
    for (query, reason) in [
        ("limit=30", "limit"),
        ("until=now", "until"),
        ("until=now&limit=1", "until"),
    ] {
        let target = format!("{PATH}?{query}&from={from}");
        let mut client = TestClient::ask(gateway.public, &target, "accept: application/json\r\n").await;
        client.head().await;
        let mut text = String::new();
        loop {
            let chunk = client.chunk().await;
            if chunk.is_empty() {
                break;
            }
            text += &chunk;
        }
        let mut lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        let end: serde_json::Value = serde_json::from_str(lines.pop().unwrap()).unwrap();
        assert_eq!(end["end"]["reason"], reason);
        assert_eq!(end["end"]["events"], lines.len());
        numbers.extend(lines.into_iter().map(number));
        from = escaped(end["end"]["id"].as_str().unwrap());
    }
    assert_eq!(sorted(numbers), (1..=40).collect::<Vec<_>>());
}

async fn a_read_that_is_cut_goes_on_and_ends_where_it_was_to() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let until = read(&gateway, "until=now", ALL).await.1;
    write(&fixture, 20);
    let query = format!("until={}", escaped(id(&until)));
    let mut all = Vec::new();
    let mut last = ALL.to_owned();
    for part in 1..=6 {
        let target = format!("{PATH}?{query}");
        let (numbers, id) = Reading::start(&gateway, &target, &last).await.take(part).await;
        all.extend(numbers);
        last = id;
    }
    let (rest, end) = read(&gateway, &query, &last).await;
    all.extend(rest);
    assert_eq!(sorted(all), (1..=40).collect::<Vec<_>>());
    assert_eq!(decode(id(&end).as_bytes()), decode(id(&until).as_bytes()));
}

async fn who_has_no_end_shares_a_lane_beside_those_who_have_one() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut bounded = Reading::start(&gateway, &format!("{PATH}?limit=60"), ALL).await;
    let (mut first, mut second) = super::shared(&gateway, &fixture, PATH).await;
    assert_eq!(gateway.lanes.count(), 1);
    let written = fixture.model.lock().n as usize;
    write(&fixture, 20);
    let mut numbers = bounded.take(60).await.0;
    assert_eq!(bounded.next().await.unwrap().event, "end");
    assert!(bounded.next().await.is_none());
    numbers.truncate(40);
    assert_eq!(sorted(numbers), (1..=40).collect::<Vec<_>>());
    for reading in [&mut first, &mut second] {
        let (numbers, _) = reading.take(40).await;
        assert!(numbers.iter().all(|n| *n as usize > written));
    }
}

on_both_sinks! {
    #[tokio::test]
    a_limited_read_says_that_it_ends_and_is_counted
    a_read_until_now_ends_without_a_new_event_and_is_counted
    reads_from_time_to_time_meet_and_an_id_is_an_end
    who_asks_for_an_ended_read_again_gets_204_and_goes_on_with_from
    head_is_answered_as_get_is
    lines_of_json_end_with_a_line_that_has_the_id
    a_read_that_is_cut_goes_on_and_ends_where_it_was_to
    who_has_no_end_shares_a_lane_beside_those_who_have_one
}
