//! Three Kafka brokers inside this process, on random ports of the loopback interface.
//!
//! They are librdkafka's mock cluster: good for a demo and for tests, never beyond loopback. Each partition keeps its
//! last 5 MiB; brokers, cluster id and topic ids are new in every run, so that no id outlives it.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    client::Client,
    error::KafkaError,
    producer::{DefaultProducerContext, Producer, ThreadedProducer},
};

use super::native;

/// The brokers; they end when this is dropped, which blocks until they have.
pub struct MockBrokers {
    // A producer, because librdkafka hangs its mock cluster on a client; threaded, so that its log is drained.
    _host: ThreadedProducer<DefaultProducerContext>,
    bootstrap: Vec<String>,
}

/// Why there are no brokers.
#[derive(Debug, thiserror::Error)]
pub enum MockBrokersError {
    /// librdkafka refused.
    #[error("the embedded brokers do not start: {0}")]
    Kafka(#[from] KafkaError),
    /// librdkafka made a client without the mock cluster that was asked for.
    #[error("this librdkafka was built without embedded brokers")]
    NoMock,
    /// The thread that keeps the mock awake could not be spawned.
    #[error("the embedded brokers get no thread: {0}")]
    Thread(#[from] io::Error),
}

impl MockBrokers {
    /// Starts three brokers with these topics, each with so many partitions.
    ///
    /// Blocks, for some 100 ms: not for a runtime's thread.
    ///
    /// # Errors
    ///
    /// [`MockBrokersError`] when librdkafka refuses, or when threads, sockets or ports have run out.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, MockBrokersError> {
        let host: ThreadedProducer<_> = ClientConfig::new()
            .set("test.mock.num.brokers", MOCK_BROKERS)
            .set("allow.auto.create.topics", "false")
            .create()?;
        populate(host.client(), topics)?;
        let bootstrap = addresses(host.client())?;
        Ok(Self {
            _host: host,
            bootstrap,
        })
    }

    /// Where the three listen, as `host:port`.
    pub fn bootstrap(&self) -> &[String] {
        &self.bootstrap
    }
}

fn populate<C: ClientContext>(client: &Client<C>, topics: &[(&str, i32)]) -> Result<(), MockBrokersError> {
    let mock = client.mock_cluster().ok_or(MockBrokersError::NoMock)?;
    let awake = mock
        .bootstrap_servers()
        .split(',')
        .find_map(|address| address.parse().ok());
    keeping_awake(awake.ok_or(MockBrokersError::NoMock)?, || {
        native::add_broker(client, CONTROLLER)?;
        topics
            .iter()
            .try_for_each(|(topic, partitions)| mock.create_topic(topic, *partitions, REPLICAS))
    })
}

/// Runs `control` while somebody knocks at the mock's door.
///
/// The mock's thread loses wake-ups: a control call that comes at a bad moment waits for the end of its one-second
/// sleep. A connection ends that sleep, and the call is answered within a knock instead of a second.
fn keeping_awake(
    door: SocketAddr,
    control: impl FnOnce() -> Result<(), KafkaError>,
) -> Result<(), MockBrokersError> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let knocker = thread::Builder::new().name("demo-knock".into());
        let knocker = knocker.spawn_scoped(scope, || {
            while !done.load(Ordering::Acquire) {
                // Refused or accepted, all that matters is that the mock's thread has looked.
                drop(TcpStream::connect_timeout(&door, KNOCK));
                thread::park_timeout(KNOCK);
            }
        })?;
        let result = control();
        done.store(true, Ordering::Release);
        knocker.thread().unpark();
        Ok(result?)
    })
}

/// From the brokers themselves: the mock's own list lacks those that were added later.
fn addresses<C: ClientContext>(client: &Client<C>) -> Result<Vec<String>, KafkaError> {
    let metadata = client.fetch_metadata(None, METADATA_TIMEOUT)?;
    let brokers = metadata.brokers().iter();
    Ok(brokers
        .map(|broker| format!("{}:{}", broker.host(), broker.port()))
        .collect())
}

/// How many brokers the mock starts with; [`CONTROLLER`] is the third.
const MOCK_BROKERS: &str = "2";

/// The mock numbers its brokers from 1 and says that the controller is number 0. Without a broker of that number
/// whatever goes to the controller, and with it every question for a topic id, waits for its timeout.
const CONTROLLER: i32 = 0;

/// As many as there are brokers.
const REPLICAS: i32 = 3;

/// Between two knocks. Three control calls that all lose their wake-up cost 60 ms, and hardly anybody notices the
/// connections.
const KNOCK: Duration = Duration::from_millis(20);

/// The mock answers within milliseconds; this long only when the machine is overloaded.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Instant};

    use super::*;

    #[test]
    fn three_brokers_share_the_partitions_of_every_topic() {
        let brokers = MockBrokers::start(&[("a", 3), ("b", 2)]).unwrap();
        let distinct: BTreeSet<_> = brokers.bootstrap().iter().collect();
        assert_eq!(distinct.len(), 3, "{distinct:?}");

        let metadata = brokers
            ._host
            .client()
            .fetch_metadata(None, METADATA_TIMEOUT)
            .unwrap();
        let topics: Vec<_> = metadata
            .topics()
            .iter()
            .map(|topic| (topic.name(), topic.partitions().len()))
            .collect();
        assert_eq!(topics, [("a", 3), ("b", 2)]);
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            assert_eq!(partition.replicas().len(), 3);
        }
    }

    #[test]
    fn lost_wake_ups_of_the_mock_do_not_add_up_to_the_demos_three_seconds() {
        // One control call a topic. Without the knocking every fiftieth or so costs a second: this
        // took 15 to 25 s, and takes less than one.
        let topics: Vec<_> = (0..100).map(|n| format!("t{n}")).collect();
        let topics: Vec<_> = topics.iter().map(|name| (name.as_str(), 1)).collect();
        let started = Instant::now();
        let _brokers = MockBrokers::start(&topics).unwrap();
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{:?}",
            started.elapsed()
        );
    }

    #[test]
    fn a_topic_named_twice_is_an_error_not_an_abort() {
        assert!(matches!(
            MockBrokers::start(&[("a", 1), ("a", 1)]),
            Err(MockBrokersError::Kafka(_))
        ));
    }
}
