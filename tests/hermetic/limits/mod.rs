//! The limits, over real sockets.

mod kinds;
mod reload;
mod room;

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, join_all};
use riverhead::{
    client::ClientKey,
    event::Encoding,
    http::settings::HttpSettings,
    limits::settings::{LimitSettings, NetworkLimits},
    partition::{Bounds, History, HistoryError, LogDirectory, Page, PartitionLog, TopicPartition},
    position::{LogTag, Offset, Timestamp},
    subscription::LogSource,
};

use crate::support::{
    gateway::{TestClient, TestGateway, catalog, get, nothing},
    on_both_sinks,
};

const ADMITTED: &str = "riverhead_streams_admitted";
const OVER_CLIENT: &str = "riverhead_refusals_total{reason=\"client_streams\"}";
const OVER_RATE: &str = "riverhead_refusals_total{reason=\"request_rate\"}";
const STREAM: &str = "/v2/stream/recentchange";

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// Returns limits of this many streams per client, with enough requests for a test.
fn streams(per_client: u32) -> LimitSettings {
    LimitSettings {
        streams_per_client: number(per_client),
        requests_per_minute: number(1_000_000),
        request_burst: number(1_000_000),
        ..LimitSettings::default()
    }
}

fn gateway(limits: LimitSettings, change: impl FnOnce(&mut HttpSettings)) -> TestGateway {
    TestGateway::limited(catalog(), nothing(), limits, change)
}

/// Requests a stream with these header lines. Returns the connection and the status.
async fn ask(mut client: TestClient, headers: &str) -> (TestClient, String) {
    let request = format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\n{headers}\r\n");
    client.send(&request).await;
    let status = client.head().await[9..12].to_owned();
    (client, status)
}

async fn from(source: [u8; 4], gateway: &TestGateway) -> (TestClient, String) {
    ask(TestClient::from(source, gateway.public).await, "").await
}

/// Requests a stream until it gets one: a released slot becomes free sooner or later.
async fn admitted(gateway: &TestGateway) -> TestClient {
    gateway.until_metric(ADMITTED, 0.0).await;
    let (client, status) = from([127, 0, 0, 1], gateway).await;
    assert_eq!(status, "200");
    client
}

async fn one_address_gets_its_limit_exactly_and_another_is_served() {
    let gateway = gateway(streams(4), |_| {});
    let crowd = join_all((0..100).map(|_| from([127, 0, 0, 1], &gateway)));
    let neighbour = async {
        let (mut client, status) = from([127, 0, 0, 2], &gateway).await;
        assert_eq!(status, "200");
        let first = client.exactly(10).await;
        (client, first)
    };
    let (crowd, (_neighbour, first)) = tokio::join!(crowd, neighbour);
    assert_eq!(first, "5\r\n:ok\n\n\r\n");
    let let_in = crowd.iter().filter(|(_, status)| status == "200").count();
    let refused = crowd.iter().filter(|(_, status)| status == "429").count();
    assert_eq!((let_in, refused), (4, 96));
    assert_eq!(gateway.metric(ADMITTED).await, 5.0);
    assert_eq!(gateway.metric(OVER_CLIENT).await, 96.0);
    drop(crowd);
    gateway.until_metric(ADMITTED, 1.0).await;
}

async fn a_full_host_keeps_a_place_for_who_has_none() {
    let limits = LimitSettings {
        streams_total: number(4),
        ..streams(4)
    };
    let gateway = gateway(limits, |_| {});
    let mut crowd = Vec::new();
    for expected in ["200", "200", "200", "503"] {
        let (client, status) = from([127, 0, 0, 1], &gateway).await;
        assert_eq!(status, expected);
        crowd.push(client);
    }
    assert_eq!(from([127, 0, 0, 2], &gateway).await.1, "200");
}

async fn a_slot_comes_back_however_a_stream_ends() {
    let gateway = gateway(streams(1), |settings| {
        settings.hold_limit = Duration::from_millis(50)
    });
    // Kafka does not answer, so the gateway ends the stream.
    let mut ended_by_us = admitted(&gateway).await;
    ended_by_us.rest().await;
    admitted(&gateway).await.reset();
    drop(admitted(&gateway).await);
    admitted(&gateway).await;
}

async fn who_sees_the_end_of_its_stream_is_let_in_at_once() {
    let gateway = gateway(streams(1), |settings| {
        settings.hold_limit = Duration::from_millis(20)
    });
    for _ in 0..10 {
        let (mut client, status) = from([127, 0, 0, 1], &gateway).await;
        assert_eq!(status, "200");
        client.rest().await;
    }
}

async fn requests_that_are_wrong_hold_nothing_and_give_nothing_back() {
    let gateway = gateway(streams(2), |_| {});
    let _held = from([127, 0, 0, 1], &gateway).await;
    for _ in 0..500 {
        let answer = get(gateway.public, STREAM, "last-event-id: rubbish\r\n").await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(gateway.metric(ADMITTED).await, 1.0);
    let _second = from([127, 0, 0, 1], &gateway).await;
    let (_, status) = from([127, 0, 0, 1], &gateway).await;
    assert_eq!(status, "429");
}

async fn whoever_begins_no_stream_takes_no_slot() {
    let gateway = gateway(streams(1), |_| {});
    let _held = from([127, 0, 0, 1], &gateway).await;
    for method in ["HEAD", "OPTIONS"] {
        let mut client = TestClient::connect(gateway.public).await;
        let request = format!("{method} {STREAM} HTTP/1.1\r\nhost: test\r\n\r\n");
        client.send(&request).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    assert_eq!(gateway.metric(ADMITTED).await, 1.0);
}

async fn a_panic_gives_its_slot_back() {
    let gateway = TestGateway::limited(catalog(), panicking(), streams(1), |_| {});
    for (panics, parameters) in [(1.0, "?since=2020-01-01&on_gap=fail"), (2.0, "?since=2020-01-01")] {
        let _client = TestClient::stream(gateway.public, &format!("/v2/stream/revision{parameters}")).await;
        gateway.until_metric("riverhead_http_panics_total", panics).await;
        gateway.until_metric(ADMITTED, 0.0).await;
    }
    admitted(&gateway).await;
}

async fn a_spoofed_header_does_not_make_another_client() {
    let gateway = gateway(streams(1), |_| {});
    let _held = from([127, 0, 0, 1], &gateway).await;
    for spoofed in [
        "x-forwarded-for: 198.51.100.1\r\n",
        "forwarded: for=198.51.100.1\r\n",
    ] {
        let (_, status) = ask(TestClient::connect(gateway.public).await, spoofed).await;
        assert_eq!(status, "429", "{spoofed}");
    }
}

async fn behind_a_trusted_proxy_each_client_has_its_own_limit() {
    let gateway = gateway(streams(1), |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    });
    let mut held = Vec::new();
    for (line, expected) in [
        ("x-forwarded-for: 198.51.100.1\r\n", "200"),
        ("x-forwarded-for: 198.51.100.2, 10.0.0.3\r\n", "200"),
        ("x-forwarded-for: 203.0.113.9, 198.51.100.1\r\n", "429"),
        ("x-forwarded-for: 2001:db8::1\r\n", "200"),
        ("forwarded: for=\"[2001:db8::2]:443\"\r\n", "429"),
        ("", "200"),
        ("x-forwarded-for: unknown\r\n", "429"),
    ] {
        let (client, status) = ask(TestClient::connect(gateway.public).await, line).await;
        assert_eq!(status, expected, "{line}");
        held.push(client);
    }
    assert_eq!(gateway.metric("riverhead_http_unforwarded_total").await, 2.0);
}

async fn who_asks_too_often_is_told_when_to_come_back_and_probes_go_on() {
    let limits = LimitSettings {
        requests_per_minute: number(1),
        request_burst: number(3),
        ..LimitSettings::default()
    };
    let gateway = gateway(limits, |_| {});
    for (target, status) in [
        ("/", 200),
        ("/nowhere", 404),
        ("/v2/stream/nope", 400),
        (STREAM, 429),
    ] {
        assert_eq!(get(gateway.public, target, "").await.status, status, "{target}");
    }
    let refused = get(gateway.public, "/", "").await;
    assert_eq!(refused.json()["type"], "too_many_requests");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=66).contains(&seconds), "{seconds}");
    for probe in ["/livez", "/readyz"] {
        assert_eq!(get(gateway.public, probe, "").await.status, 200);
        assert_eq!(get(gateway.admin, probe, "").await.status, 200);
    }
    assert_eq!(gateway.metric(OVER_RATE).await, 2.0);
    assert_eq!(from([127, 0, 0, 2], &gateway).await.1, "200");
}

async fn a_client_in_a_hot_loop_is_answered_late() {
    let gateway = gateway(streams(1), |_| {});
    let _held = from([127, 0, 0, 1], &gateway).await;
    let mut longest = Duration::ZERO;
    while gateway.metric("riverhead_refusals_held_back_total").await < 1.0 {
        let start = Instant::now();
        assert_eq!(get(gateway.public, STREAM, "").await.status, 429);
        longest = longest.max(start.elapsed());
    }
    assert!(longest >= Duration::from_secs(1), "{longest:?}");
}

/// Returns a source of one partition, whose history always panics.
fn panicking() -> LogSource {
    let directory = LogDirectory::new();
    let partition = TopicPartition {
        topic: "eqiad.revision".into(),
        partition: 0,
    };
    directory.set_partition_count(&partition.topic, 1);
    let tag = LogTag::new("cluster", &[1; 16]);
    directory.put(PartitionLog::new(partition, tag, Encoding::default(), 5));
    LogSource {
        directory,
        history: Arc::new(Panics),
    }
}

struct Panics;

impl History for Panics {
    fn page(
        &self,
        _log: &Arc<PartitionLog>,
        _offset: Offset,
        _client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        panic!("asked for a page")
    }

    fn bounds(&self, _log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        panic!("asked for bounds")
    }

    fn first_at(
        &self,
        _log: &Arc<PartitionLog>,
        _time: Timestamp,
        _client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        panic!("asked for a time")
    }
}

on_both_sinks! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    one_address_gets_its_limit_exactly_and_another_is_served
}

on_both_sinks! {
    #[tokio::test]
    a_full_host_keeps_a_place_for_who_has_none
    a_slot_comes_back_however_a_stream_ends
    who_sees_the_end_of_its_stream_is_let_in_at_once
    requests_that_are_wrong_hold_nothing_and_give_nothing_back
    whoever_begins_no_stream_takes_no_slot
    a_panic_gives_its_slot_back
    a_spoofed_header_does_not_make_another_client
    behind_a_trusted_proxy_each_client_has_its_own_limit
    who_asks_too_often_is_told_when_to_come_back_and_probes_go_on
    a_client_in_a_hot_loop_is_answered_late
}
