//! Two clusters with the same records at different offsets, and streams that move between them.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use riverhead::{
    catalog::{Catalog, Stream},
    health::Health,
    kafka::{
        ActivateError, BrokerProfile, Cluster, ClusterOptions, Failover, FailoverPlan, KafkaMetrics,
        LogAppendTimeTopics, MemoryLimits, TopicSettings, connect, settings::ClusterSettings,
    },
    partition::{History, LogDirectory},
    position::{IdForm, decode},
    sse::{SseMessage, SseReader},
    subscription::{LogSource, SubscribeRequest, Subscription},
};

use super::{DEAD, client, until};
use crate::support::{
    brokers::{Brokers, stamp},
    model::view,
};

/// Two clusters, `a` preferred to `b`, and what is read from them.
struct TwoClusters {
    a: Brokers,
    b: Brokers,
    directory: Arc<LogDirectory>,
    history: Arc<dyn History>,
    failover: Failover,
    clusters: Vec<Cluster>,
}

impl TwoClusters {
    /// Starts both with the topic `t` of this many partitions, for the stream `s`. `b` has 50 more records
    /// before the first one.
    fn start(partitions_a: i32, partitions_b: i32) -> Self {
        let (a, b) = (
            Brokers::start(&[("t", partitions_a)]),
            Brokers::start(&[("t", partitions_b)]),
        );
        write(&b, partitions_b, -50..0);
        let mut stream = Stream::new("s", ["t"]);
        stream.clusters = vec!["a".into(), "b".into()];
        let catalog = Catalog::new(vec![stream]).expect("a catalog");
        let plan = FailoverPlan::new(catalog.groups(), None);
        let directory = LogDirectory::new();
        let clusters = [("a", &a), ("b", &b)].map(|(name, brokers)| read(name, brokers, &plan, &directory));
        let clusters = Vec::from(clusters);
        Self {
            history: plan.history(&clusters),
            failover: plan.start(&clusters).expect("a thread"),
            a,
            b,
            directory,
            clusters,
        }
    }

    /// Returns the cluster that is read.
    fn active(&self) -> Arc<str> {
        Arc::clone(&self.failover.statuses()[0].cluster)
    }

    fn reader(&self, id: Option<&str>) -> Client {
        let request = SubscribeRequest {
            topics: ["t"].into(),
            position: id.map(|id| decode(id.as_bytes()).expect("an id")),
            ranges: None,
            since: Some(stamp(0)),
            view: view(IdForm::Json),
            client: client(),
            now: stamp(0),
        };
        let source = LogSource {
            directory: Arc::clone(&self.directory),
            history: Arc::clone(&self.history),
        };
        Client {
            subscription: Subscription::start(&source, request),
            reader: SseReader::new(1 << 20),
            seen: BTreeSet::new(),
            gaps: Vec::new(),
            id: String::new(),
        }
    }

    fn serves(&self, cluster: usize) -> bool {
        let status = self.clusters[cluster].handle().status();
        status.unavailable_reason(&["t".into()]).is_none()
    }
}

/// Writes these numbers to each partition.
fn write(brokers: &Brokers, partitions: i32, numbers: std::ops::Range<i64>) {
    for partition in 0..partitions {
        let value = |n| (stamp(n), format!("{{\"p\":{partition},\"n\":{n}}}"));
        brokers.write_values("t", partition, numbers.clone().map(value));
    }
}

fn read(name: &str, brokers: &Brokers, plan: &FailoverPlan, directory: &Arc<LogDirectory>) -> Cluster {
    let bootstrap = std::iter::once(DEAD).chain(brokers.addresses().iter().map(String::as_str));
    let bootstrap = bootstrap.map(|text| text.parse().expect("an address"));
    let options = ClusterOptions {
        memory: MemoryLimits {
            tail: 64 << 20,
            history: 64 << 20,
        },
        profile: BrokerProfile::Embedded,
        counters: KafkaMetrics::default(),
        log_append_time_topics: LogAppendTimeTopics::default(),
        health: Health::new(),
        state: None,
    };
    let topics = vec![TopicSettings {
        active: !plan.standby_topics(name).contains("t"),
        ..TopicSettings::new("t")
    }];
    let mut settings = ClusterSettings::new(name, bootstrap.collect());
    settings.failover_after = DEADLINE;
    connect(&settings, topics, Arc::clone(directory), options).expect("a cluster")
}

/// A client whose connection is never cut.
struct Client {
    subscription: Subscription,
    reader: SseReader,
    /// The received partitions and numbers.
    seen: BTreeSet<(i64, i64)>,
    gaps: Vec<serde_json::Value>,
    /// The last id.
    id: String,
}

impl Client {
    /// Reads until it has received these numbers of this many partitions.
    async fn until(&mut self, partitions: i64, numbers: std::ops::Range<i64>) {
        let want = || (0..partitions).flat_map(|partition| numbers.clone().map(move |n| (partition, n)));
        let start = Instant::now();
        while !want().all(|one| self.seen.contains(&one)) {
            let missing = want().filter(|one| !self.seen.contains(one)).count();
            assert!(
                start.elapsed() < Duration::from_secs(40),
                "{missing} are missing: {:?}",
                self.gaps
            );
            self.read().await;
        }
    }

    async fn until_gap(&mut self, reason: &str) {
        let start = Instant::now();
        while !self.gaps.iter().any(|gap| gap["reason"] == reason) {
            assert!(start.elapsed() < Duration::from_secs(40), "{:?}", self.gaps);
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let batch = poll_fn(|context| self.subscription.poll_batch(context));
        if let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), batch).await {
            self.reader.push(&batch.bytes).expect("whole events");
        }
        while let Some(message) = self.reader.next_message() {
            self.take(&message);
        }
    }

    fn take(&mut self, message: &SseMessage) {
        let value: serde_json::Value = serde_json::from_str(&message.data).expect("JSON");
        if message.event == "gap" {
            return self.gaps.push(value);
        }
        self.id = message.id.clone().expect("an id");
        let number = |name: &str| value[name].as_i64().expect("a number");
        self.seen.insert((number("p"), number("n")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_fails_hands_its_streams_on_and_not_a_record_is_lost() {
    let two = TwoClusters::start(2, 2);
    write(&two.a, 2, 0..100);
    write(&two.b, 2, 0..100);
    let mut client = two.reader(None);
    client.until(2, 0..100).await;
    assert_eq!(client.gaps, [serde_json::Value::Null; 0]);
    let id_of_a = client.id.clone();

    (0..3).for_each(|broker| two.a.mute(broker));
    write(&two.b, 2, 100..200);
    client.until(2, 100..200).await;
    assert_eq!(&*two.active(), "b");
    let reasons: Vec<_> = client.gaps.iter().map(|gap| &gap["reason"]).collect();
    assert_eq!(reasons, ["failover", "failover"], "one for each partition");

    let mut resumed = two.reader(Some(&id_of_a));
    resumed.until(2, 100..200).await;
    assert!(
        resumed.gaps.iter().all(|gap| gap["reason"] == "other_cluster"),
        "{:?}",
        resumed.gaps
    );
    assert!(!resumed.gaps.is_empty());

    // The first cluster is back. Streams move back by command only.
    (0..3).for_each(|broker| two.a.unmute(broker));
    (0..3).for_each(|broker| two.a.disconnect(broker));
    until(|| two.serves(0));
    write(&two.a, 2, 100..200);
    write(&two.b, 2, 200..220);
    client.until(2, 200..220).await;
    assert_eq!(&*two.active(), "b");
    let moved = two.failover.activate("s", "a", false).expect("it serves");
    assert_eq!((&*moved.from, &*moved.to), ("b", "a"));
    until(|| &*two.active() == "a");
    client.gaps.clear();
    write(&two.a, 2, 200..300);
    client.until(2, 220..300).await;
    client.until_gap("failover").await;
    let mut exact = two.reader(Some(&id_of_a));
    exact.until(2, 100..300).await;
    assert_eq!(exact.gaps, [serde_json::Value::Null; 0], "its own log is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_the_other_lacks_end_with_a_gap_and_more_of_them_start() {
    let two = TwoClusters::start(3, 2);
    write(&two.a, 3, 0..10);
    write(&two.b, 2, 0..10);
    until(|| two.serves(1));
    let mut client = two.reader(None);
    client.until(3, 0..10).await;
    let moved = two.failover.activate("s", "b", false).expect("it serves");
    assert_eq!(moved.streams, ["s".into()]);
    write(&two.b, 2, 10..20);
    client.until(2, 10..20).await;
    client.until_gap("partition_gone").await;
    let gone = client.gaps.iter().find(|gap| gap["reason"] == "partition_gone");
    let gone = gone.expect("one");
    assert_eq!(
        (&gone["partition"], &gone["resumed"]),
        (&2.into(), &serde_json::Value::Null)
    );

    write(&two.a, 3, 10..30);
    until(|| two.failover.activate("s", "a", false).is_ok());
    client.until(3, 20..30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_moves_nothing_to_where_nothing_serves_unless_it_insists() {
    let two = TwoClusters::start(1, 1);
    until(|| two.serves(0) && two.serves(1));
    (0..3).for_each(|broker| two.b.mute(broker));
    until(|| !two.serves(1));
    assert!(matches!(
        two.failover.activate("s", "b", false),
        Err(ActivateError::Failing(..))
    ));
    assert!(matches!(
        two.failover.activate("s", "c", true),
        Err(ActivateError::NotListed { .. })
    ));
    assert!(matches!(
        two.failover.activate("x", "b", true),
        Err(ActivateError::NoStream)
    ));
    let stays = two.failover.activate("s", "a", false).expect("nothing to do");
    assert_eq!(stays.from, stays.to);
    two.failover.activate("s", "b", true).expect("by force");
    // No cluster serves the stream, so it moves back after the deadline.
    until(|| &*two.active() == "b");
    until(|| &*two.active() == "a");
}

/// The mock brokers have no elections. But a machine that also runs builds may be silent for a second, and a
/// dropped connection is back within two.
const DEADLINE: Duration = Duration::from_secs(5);
