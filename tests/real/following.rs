//! What the tests of the whole process share: a gateway over some topics, and clients that follow it event by event.

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

/// The environment's variable for all clusters.
pub(crate) const CLUSTERS: &str = "RIVERHEAD__CLUSTERS";

/// The query that asks for everything, from the very first record.
pub(crate) const FROM_THE_START: &str = "?since=1";

/// A gateway whose only stream has these topics.
pub(crate) fn plan(cluster: &Cluster, topics: &[&str]) -> GatewayPlan {
    let bootstrap = cluster.bootstrap_with_dead_first();
    let bootstrap = bootstrap.split(',').map(Into::into).collect();
    GatewayPlan::new(RIVERHEAD, bootstrap, STREAM, topics).unlimited()
}

/// The same, with more of its cluster's settings.
pub(crate) fn plan_with(cluster: &Cluster, topics: &[&str], settings: &str) -> GatewayPlan {
    let plan = plan(cluster, topics);
    // All clusters in one value, since a file of the kit says nothing of these.
    let clusters = format!(
        "[{{ name = \"main\", bootstrap = {:?}, {settings} }}]",
        plan.bootstrap
    );
    plan.set(CLUSTERS, &clusters)
}

pub(crate) fn start(plan: &GatewayPlan) -> Gateway {
    plan.start().expect("the gateway starts")
}

/// Asks it to drain and end, as whoever restarts it does.
pub(crate) fn terminate(gateway: &Gateway) {
    signal(gateway, "TERM");
}

/// Sends it a signal, as whoever runs it does.
pub(crate) fn signal(gateway: &Gateway, name: &str) {
    let recipe = format!("kill -{name} {}", gateway.pid());
    let status = Command::new("sh").args(["-c", &recipe]).status();
    assert!(status.is_ok_and(|status| status.success()), "{recipe}");
}

/// Asks for the stream; the answer is a 200.
pub(crate) async fn follow(gateway: &Gateway, query: &str, id: Option<&str>) -> Client {
    follow_stream(gateway, &format!("{STREAM}{query}"), id).await
}

/// Asks for any stream; the answer is a 200.
pub(crate) async fn follow_stream(gateway: &Gateway, target: &str, id: Option<&str>) -> Client {
    let ask = Ask::new(format!("/v2/stream/{target}")).resume(id.map(Into::into));
    let client = Client::connect(gateway.http, &ask).await.expect("a response");
    assert_eq!(client.status, 200, "{}", client.head);
    client
}

/// The next event, whatever it is.
pub(crate) async fn next(client: &mut Client) -> SseMessage {
    // Heartbeats go on for ever; the wait for an event must not.
    timeout(scaled(SOON), client.next(scaled(SOON)))
        .await
        .ok()
        .flatten()
        .expect("an event")
}

/// The next `count` events, whatever they are.
pub(crate) async fn take(client: &mut Client, count: usize) -> Vec<SseMessage> {
    let mut messages = Vec::with_capacity(count);
    while messages.len() < count {
        messages.push(next(client).await);
    }
    messages
}

/// Reads so many comment lines, and no event.
pub(crate) async fn heartbeats(client: &mut Client, count: u64) {
    let (end, deadline) = (client.comments() + count, Instant::now() + scaled(SOON));
    while client.comments() < end {
        let read = timeout_at(deadline, client.fill(usize::MAX)).await;
        let read = read.expect("heartbeats").expect("an open connection");
        assert!(read > 0, "the stream was ended");
        assert_eq!(client.ready(), None);
    }
}

/// The numbers of these events; there are no others among them.
pub(crate) fn numbers(messages: &[SseMessage]) -> Vec<u64> {
    messages.iter().map(number_of).collect()
}

/// The number of an event that has one.
pub(crate) fn number_of(message: &SseMessage) -> u64 {
    assert_eq!(message.event, "message", "{message:?}");
    number(&message.data).unwrap_or_else(|| panic!("no number in {message:?}"))
}

/// The id of an event that has one.
pub(crate) fn id(message: &SseMessage) -> &str {
    message.id.as_deref().expect("an event with an id")
}

/// What an id says of one partition.
pub(crate) fn entry(id: &str, topic: &str, partition: i32) -> Value {
    let entries: Vec<Value> = serde_json::from_str(id).expect("an id in JSON");
    entries
        .into_iter()
        .find(|entry| entry["topic"] == topic && entry["partition"] == partition)
        .unwrap_or_else(|| panic!("no entry of {topic}-{partition} in {id}"))
}

/// How long an event may take on a machine that does other things as well.
pub(crate) const SOON: Duration = Duration::from_secs(60);
