//! Threads that panic are restarted without losses.
//!
//! The subscriber that the threads log to causes the panic, at the next log line of an armed thread.

use std::{
    collections::HashSet,
    fmt::Debug,
    sync::{LazyLock, Mutex, Once, PoisonError},
    thread,
    time::{Duration, Instant},
};

use riverhead::{kafka::ThreadLabels, partition::HistoryError, position::Offset};
use tokio::time::timeout;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use super::{KafkaFixture, client, offsets, page, replay, ring, until};
use crate::support::brokers::Brokers;

/// Pairs of cluster and thread.
static ARMED: LazyLock<Mutex<HashSet<(String, String)>>> = LazyLock::new(Mutex::default);

struct PanicInjector;

/// The field `cluster` of a log event.
#[derive(Default)]
struct ClusterField(String);

impl Visit for ClusterField {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "cluster" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for PanicInjector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("riverhead")
    }

    fn event(&self, event: &Event<'_>) {
        let mut cluster = ClusterField::default();
        event.record(&mut cluster);
        let thread = thread::current().name().unwrap_or_default().to_owned();
        let armed = ARMED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(cluster.0, thread));
        assert!(!armed, "a bomb of the test");
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Makes the next log line of this thread panic.
fn arm(cluster: &str, thread: &str) {
    static SET: Once = Once::new();
    SET.call_once(|| tracing::subscriber::set_global_default(PanicInjector).expect("the only subscriber"));
    let bomb = (cluster.to_owned(), thread.to_owned());
    ARMED.lock().unwrap_or_else(PoisonError::into_inner).insert(bomb);
}

fn fixture(name: &str, brokers: Brokers) -> KafkaFixture {
    KafkaFixture::with(brokers, &["a"], |settings| settings.name = name.into())
}

impl KafkaFixture {
    fn panics(&self, cluster: &str, thread: &str) -> u64 {
        let labels = ThreadLabels {
            cluster: cluster.to_owned(),
            thread: thread.to_owned(),
        };
        self.counters.thread_panics.get_or_create(&labels).get()
    }

    fn reason(&self) -> String {
        self.health.report(Instant::now()).clusters.remove(0).reason
    }
}

#[test]
fn a_tail_that_panics_goes_on_at_the_first_record_it_had_not_handed_on() {
    let fixture = fixture("panicking-tail", Brokers::start(&[("a", 2)]));
    let (log, other) = (fixture.log("a", 0), fixture.log("a", 1));
    fixture.brokers.write("a", 0, 0..100);
    until(|| log.end().offset == 100);
    arm("panicking-tail", "kafka-tail");
    // A bad record in the middle of a page is logged.
    let values = ["{}", "not json", "{}"].map(|value| (1, value.to_owned()));
    fixture.brokers.write_values("a", 0, values);
    fixture.brokers.write("a", 1, 0..100);
    until(|| fixture.panics("panicking-tail", "kafka-tail") == 1);
    until(|| log.end().offset == 103 && other.end().offset == 100);
    assert_eq!(offsets(&ring(&log, 0)), (0..103).collect::<Vec<Offset>>());
    assert!(!log.is_replaced(), "the same log goes on");
    until(|| fixture.reason().contains("kafka-tail panicked"));
    assert!(
        fixture.reason().contains("a bomb of the test"),
        "{}",
        fixture.reason()
    );
    assert_eq!(fixture.panics("panicking-tail", "kafka-tail"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_reader_that_panics_refuses_who_waits_and_reads_again() {
    let brokers = Brokers::start(&[("a", 1)]);
    brokers.write("a", 0, 0..3000);
    let fixture = fixture("panicking-history", brokers);
    let (log, history) = (fixture.log("a", 0), fixture.history());
    fixture.brokers.break_fetches();
    arm("panicking-history", "kafka-history");
    // The failure of this read is logged.
    let refused = history.page(&log, 2048, client()).await;
    assert_eq!(refused.err(), Some(HistoryError::Unavailable));
    until(|| fixture.panics("panicking-history", "kafka-history") == 1);
    fixture.brokers.mend_fetches();
    let reads_again = async {
        while page(&fixture, &log, 2048).await.is_err() {
            // It answers at once that it is unavailable.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), reads_again)
        .await
        .expect("it reads again");
    let all = replay(&*history, &log, 0, 3000).await;
    assert_eq!(offsets(&all), (0..3000).collect::<Vec<Offset>>());
}
