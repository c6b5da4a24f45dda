//! What a request for a part of a stream may ask for, and which ids go with it.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use riverhead::{
    catalog::{Catalog, Stream},
    encoding::Payload,
    position::{IdScope, RestrictionTag, decode},
};
use serde_json::Value;

use super::{
    cluster::{Cluster, TOPICS},
    connection::{Connection, Form, View},
    group::owner,
};
use crate::support::gateway::{TestGateway, get};

const PLAIN: Form = Form {
    gzip: false,
    compact: false,
    lines: false,
};

const ALL: View = View {
    stream: "all",
    fields: None,
    filter: None,
};

/// The start of everything in this many partitions of one topic.
fn start(partitions: i32) -> String {
    let entry = |partition| format!(r#"{{"topic":"a","partition":{partition},"offset":-2}}"#);
    format!("[{}]", (0..partitions).map(entry).collect::<Vec<_>>().join(","))
}

/// Creates a topic of six partitions with two records in each, and a gateway.
pub(super) fn six() -> (Cluster, TestGateway) {
    let cluster = Cluster::new([6, 0, 0]);
    (0..6).for_each(|partition| cluster.write(0, partition, 2));
    let gateway = TestGateway::over(Cluster::catalog(), cluster.source.clone(), |_| {});
    (cluster, gateway)
}

/// Returns the last id and the partitions of the next events.
async fn read(gateway: &TestGateway, partitions: Option<&str>, id: &str, count: usize) -> (String, Vec<i64>) {
    let target = ALL.target(partitions, PLAIN);
    let mut connection = Connection::open(gateway, &target, PLAIN, id).await;
    let (mut last, mut found) = (String::new(), Vec::new());
    for _ in 0..count {
        let message = connection.message().await;
        assert_eq!(message.event, "message", "{message:?}");
        let value: Value = serde_json::from_str(&message.data).unwrap();
        found.push(value["p"].as_i64().unwrap());
        last = message.id.unwrap();
    }
    found.sort_unstable();
    (last, found)
}

/// Returns the status and the detail of the answer to a request that is refused.
async fn refused(gateway: &TestGateway, query: &str, id: Option<&str>) -> (u16, String) {
    let id = id
        .map(|id| format!("last-event-id: {id}\r\n"))
        .unwrap_or_default();
    let answer = get(gateway.public, &format!("/v2/stream/{query}"), &id).await;
    (
        answer.status,
        answer.json()["detail"].as_str().unwrap().to_owned(),
    )
}

pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn fields_that_are_none_are_refused_with_what_is_wrong() {
    let (_, gateway) = six();
    let long = format!("a{}", ".b".repeat(16));
    let many = vec!["a"; 65].join(",");
    for (fields, why) in [
        ("", "column 1"),
        ("a,", "column 3"),
        ("a..b", "column 3"),
        ("a b", "'b' at column 3"),
        ("\"a", "unclosed"),
        (long.as_str(), "16 names"),
        (many.as_str(), "64 fields"),
    ] {
        let (status, detail) = refused(&gateway, &format!("all?fields={}", escaped(fields)), None).await;
        assert!(
            status == 400 && detail.starts_with("'fields': ") && detail.contains(why),
            "{detail}"
        );
    }
    let (status, detail) = refused(&gateway, "all?fields=a&fields=b", None).await;
    assert!(status == 400 && detail.contains("more than once"), "{detail}");
    let (status, detail) = refused(&gateway, "all?Fields=a", None).await;
    assert!(
        status == 400 && detail.contains("did you mean 'fields'"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_set_of_fields_takes_the_place_of_a_filter() {
    let (_, gateway) = six();
    let mut open = Vec::new();
    for n in 0..3 {
        let target = format!("/v2/stream/all?fields=f{n}&filter=a%3D1");
        open.push(Connection::open(&gateway, &target, PLAIN, "").await);
    }
    open.push(Connection::open(&gateway, "/v2/stream/all?fields=f3", PLAIN, "").await);
    open.push(Connection::open(&gateway, "/v2/stream/left?fields=f3", PLAIN, "").await);
    for query in ["all?fields=f4", "all?filter=b%3D1"] {
        let (status, detail) = refused(&gateway, query, None).await;
        assert!(status == 429 && detail.contains("at most 5"), "{detail}");
    }
}

#[tokio::test]
async fn values_without_fields_have_no_part_but_who_comes_back_is_not_refused() {
    let cluster = Cluster::new([1, 0, 0]);
    cluster.write(0, 0, 1);
    let mut raw = Stream::new("raw", ["raw"]);
    raw.encoding.payload = Payload::Raw;
    let json = Stream::new("all", TOPICS);
    let catalog = Catalog::new(vec![raw, json]).unwrap();
    let gateway = TestGateway::over(catalog, cluster.source.clone(), |_| {});
    for streams in ["raw", "all,raw"] {
        let (status, detail) = refused(&gateway, &format!("{streams}?fields=n"), None).await;
        assert_eq!(
            (status, &*detail),
            (400, "'fields' needs streams of JSON, which 'raw' is not")
        );
    }
    let id = r#"[{"topic":"a","partition":0,"offset":-2}]"#;
    let target = "/v2/stream/all,raw?fields=n";
    let mut connection = Connection::open(&gateway, target, PLAIN, id).await;
    assert_eq!(connection.message().await.data, r#"{"n":1}"#);
}

#[tokio::test]
async fn partitions_that_are_none_are_refused() {
    let (_, gateway) = six();
    for partitions in [
        "", "0/1", "3/2", "1/65", "1", "a", "a:x", "a:-1", "a:0,", "1/2,2/2",
    ] {
        let query = format!("all?partitions={}", escaped(partitions));
        let (status, detail) = refused(&gateway, &query, None).await;
        assert!(
            status == 400 && detail.contains("'k/n' with 1 <= k <= n <= 64"),
            "{detail}"
        );
    }
    let (status, detail) = refused(&gateway, "left?partitions=codfw.page-create%3A0", None).await;
    assert_eq!(status, 400);
    assert!(
        detail.contains("'codfw.page-create', which these streams do not have"),
        "{detail}"
    );
}

#[tokio::test]
async fn an_id_of_one_part_is_never_taken_for_that_of_another() {
    let (_, gateway) = six();
    let mut ids = Vec::new();
    for share in ["1/2", "2/2"] {
        let (id, partitions) = read(&gateway, Some(share), &start(6), 6).await;
        assert_eq!(partitions.len(), 6);
        let tag: RestrictionTag = share.parse().unwrap();
        assert_eq!(decode(id.as_bytes()).unwrap().scope, IdScope::Part(tag));
        ids.push(id);
    }
    let id = ids[0].as_str();
    for query in [
        "all",
        "all?partitions=2/2",
        "all?partitions=1/3",
        "all?partitions=a:0",
        "all?since=0",
    ] {
        let (status, detail) = refused(&gateway, query, Some(id)).await;
        assert_eq!(status, 409, "{query}: {detail}");
        assert!(
            detail.contains("'partitions=1/2'") && detail.contains("all 2 shares"),
            "{detail}"
        );
    }
    let joined = format!("{},{}", id.trim_end_matches(']'), ids[1].trim_start_matches('['));
    assert_eq!(decode(joined.as_bytes()).unwrap().scope, IdScope::Whole);
    let mixed = format!(
        "{},{}",
        id.trim_end_matches(']'),
        start(6).trim_start_matches('[')
    );
    let (status, detail) = refused(&gateway, "all?partitions=1/2", Some(&mixed)).await;
    assert!(
        status == 409 && detail.contains("do not belong together"),
        "{detail}"
    );
    let incomplete = joined.replace("1/2", "1/3").replace("2/2", "2/3");
    let (status, detail) = refused(&gateway, "all", Some(&incomplete)).await;
    assert!(
        status == 409 && detail.contains("without that of 3/3"),
        "{detail}"
    );
    let damaged = joined.replace("1/2", "1-2");
    let (status, detail) = refused(&gateway, "all", Some(&damaged)).await;
    assert!(
        status == 400 && detail.contains("\"partitions\" is damaged"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_list_is_read_whatever_its_order_and_what_it_names_too_early_from_its_start() {
    let cluster = Cluster::new([3, 1, 0]);
    (0..3).for_each(|partition| cluster.write(0, partition, 2));
    let gateway = TestGateway::over(Cluster::catalog(), cluster.source.clone(), |_| {});
    let (id, partitions) = read(&gateway, Some("a:2,a:0,a:3"), &start(3), 4).await;
    assert_eq!(partitions, [0, 0, 2, 2]);
    assert!(
        id.contains(r#""partitions":"list:"#) && !id.contains("eqiad"),
        "{id}"
    );
    cluster.add_partition(0);
    cluster.write(0, 3, 3);
    cluster.write(0, 1, 3);
    let (id, partitions) = read(&gateway, Some("a:0,a:2,a:3,a:3"), &id, 3).await;
    assert_eq!(partitions, [3, 3, 3]);
    for query in ["all", "all?partitions=a:0", "all?partitions=1/2"] {
        let (status, detail) = refused(&gateway, query, Some(&id)).await;
        assert!(
            status == 409 && detail.contains("a list of partitions"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn who_has_no_partition_waits_and_gets_the_first_that_comes_from_its_start() {
    let cluster = Cluster::new([1, 0, 0]);
    cluster.write(0, 0, 3);
    let gateway = TestGateway::over(Cluster::catalog(), cluster.source.clone(), |settings| {
        settings.heartbeat = Duration::from_millis(100);
        settings.hold_limit = Duration::from_millis(300);
    });
    let mut connections = Vec::new();
    for k in 1..=7 {
        let target = ALL.target(Some(&format!("{k}/7")), PLAIN);
        let connection = Connection::open(&gateway, &target, PLAIN, &start(1)).await;
        connections.push((k, connection));
    }
    let (first, second) = (owner("a", 0, 7), owner("a", 1, 7));
    let mut id = String::new();
    for (k, connection) in &mut connections {
        let message = connection.message().await;
        let expected = if *k == first { "message" } else { "checkpoint" };
        assert_eq!(
            message.event, expected,
            "long after the limit of a stream that waits for Kafka"
        );
        if *k == second {
            id = message.id.unwrap();
        }
    }
    cluster.add_partition(0);
    cluster.write(0, 1, 1);
    // One is connected, and one comes back with the id of its checkpoint.
    let (_, connection) = &mut connections[usize::from(second) - 1];
    assert!(connection.message().await.data.contains(r#""p":1"#));
    let (_, partitions) = read(&gateway, Some(&format!("{second}/7")), &id, 1).await;
    assert_eq!(partitions, [1]);
}
