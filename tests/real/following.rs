//! Helpers of the tests of whole processes: a gateway over some topics, and clients that read it event by
//! event.

use std::{process::Command, time::Duration};

use riverhead::sse::SseMessage;
use riverhead_brokers::{Cluster, scaled};
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::{Gateway, GatewayPlan},
    numbers::number,
};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

/// The binary under test.
pub(crate) const RIVERHEAD: &str = env!("CARGO_BIN_EXE_riverhead");

/// The name of the stream of [`plan`].
pub(crate) const STREAM: &str = "stream";

/// The environment variable for all clusters.
pub(crate) const CLUSTERS: &str = "RIVERHEAD__CLUSTERS";

/// The query for all events, from the first record on.
pub(crate) const FROM_THE_START: &str = "?since=1";

/// Returns a plan of a gateway whose only stream has these topics.
pub(crate) fn plan(cluster: &Cluster, topics: &[&str]) -> GatewayPlan {
    let bootstrap = cluster.bootstrap_with_dead_first();
    let bootstrap = bootstrap.split(',').map(Into::into).collect();
    GatewayPlan::new(RIVERHEAD, bootstrap, STREAM, topics).unlimited()
}

/// Returns the same plan, with more settings of its cluster.
pub(crate) fn plan_with(cluster: &Cluster, topics: &[&str], settings: &str) -> GatewayPlan {
    let plan = plan(cluster, topics);
    // All clusters in one value, because the file of the plan has none of these settings.
    let clusters = format!(
        "[{{ name = \"main\", bootstrap = {:?}, {settings} }}]",
        plan.bootstrap
    );
    plan.set(CLUSTERS, &clusters)
}

pub(crate) fn start(plan: &GatewayPlan) -> Gateway {
    plan.start().expect("the gateway starts")
}

/// Requests a drain, as for a restart.
pub(crate) fn terminate(gateway: &Gateway) {
    signal(gateway, "TERM");
}

/// Sends a signal.
pub(crate) fn signal(gateway: &Gateway, name: &str) {
    let recipe = format!("kill -{name} {}", gateway.pid());
    let status = Command::new("sh").args(["-c", &recipe]).status();
    assert!(status.is_ok_and(|status| status.success()), "{recipe}");
}

/// Requests the stream, and asserts that the status is 200.
pub(crate) async fn follow(gateway: &Gateway, query: &str, id: Option<&str>) -> Client {
    follow_stream(gateway, &format!("{STREAM}{query}"), id).await
}

/// Requests a stream, and asserts that the status is 200.
pub(crate) async fn follow_stream(gateway: &Gateway, target: &str, id: Option<&str>) -> Client {
    let ask = Ask::new(format!("/v2/stream/{target}")).resume(id.map(Into::into));
    let client = Client::connect(gateway.http, &ask).await.expect("a response");
    assert_eq!(client.status, 200, "{}", client.head);
    client
}

/// Returns the next event of any kind.
pub(crate) async fn next(client: &mut Client) -> SseMessage {
    // Heartbeats continue for ever, but the wait for an event must end.
    timeout(scaled(SOON), client.next(scaled(SOON)))
        .await
        .ok()
        .flatten()
        .expect("an event")
}

/// Returns the next `count` events of any kind.
pub(crate) async fn take(client: &mut Client, count: usize) -> Vec<SseMessage> {
    let mut messages = Vec::with_capacity(count);
    while messages.len() < count {
        messages.push(next(client).await);
    }
    messages
}

/// Reads this many comment lines, and no event.
pub(crate) async fn heartbeats(client: &mut Client, count: u64) {
    let (end, deadline) = (client.comments() + count, Instant::now() + scaled(SOON));
    while client.comments() < end {
        let read = timeout_at(deadline, client.fill(usize::MAX)).await;
        let read = read.expect("heartbeats").expect("an open connection");
        assert!(read > 0, "the stream was ended");
        assert_eq!(client.ready(), None);
    }
}

/// Returns the numbers of these events, all of which must have one.
pub(crate) fn numbers(messages: &[SseMessage]) -> Vec<u64> {
    messages.iter().map(number_of).collect()
}

/// Returns the number of an event that has one.
pub(crate) fn number_of(message: &SseMessage) -> u64 {
    assert_eq!(message.event, "message", "{message:?}");
    number(&message.data).unwrap_or_else(|| panic!("no number in {message:?}"))
}

/// Returns the id of an event that has one.
pub(crate) fn id(message: &SseMessage) -> &str {
    message.id.as_deref().expect("an event with an id")
}

/// Returns the entry of an id for one partition.
pub(crate) fn entry(id: &str, topic: &str, partition: i32) -> Value {
    let entries: Vec<Value> = serde_json::from_str(id).expect("an id in JSON");
    entries
        .into_iter()
        .find(|entry| entry["topic"] == topic && entry["partition"] == partition)
        .unwrap_or_else(|| panic!("no entry of {topic}-{partition} in {id}"))
}

/// The longest time of an event on a machine with other work.
pub(crate) const SOON: Duration = Duration::from_secs(60);
