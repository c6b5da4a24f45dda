//! Three Kafka brokers inside this process, on random ports of the loopback interface.
//!
//! They are librdkafka's mock cluster, which is good for a demo and for tests, but never to be used beyond loopback. Each
//! partition keeps its last 5 MiB. Brokers, cluster id and topic ids are new in every run, so that no event id stays valid across
//! runs.
//!
//! Not here: what is written to them (`generator`).

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

/// Running brokers. They end on drop, which blocks until they have.
pub struct MockBrokers {
    // A producer, because librdkafka attaches its mock cluster to a client. Threaded, so that its log is drained.
    _host: ThreadedProducer<DefaultProducerContext>,
    bootstrap: Vec<String>,
}

/// Why the brokers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum MockBrokersError {
    /// librdkafka refused its settings or a call.
    #[error("cannot start the embedded brokers: {0}")]
    Kafka(#[from] KafkaError),
    /// librdkafka created a client without the mock cluster that was requested.
    #[error("this librdkafka was built without embedded brokers")]
    NoMock,
    /// The system has no thread to give for `with_wakeups`.
    #[error("cannot start a thread for the embedded brokers: {0}")]
    Thread(#[from] io::Error),
}

impl MockBrokers {
    /// Starts three brokers with these topics, given as names and numbers of partitions.
    ///
    /// Blocks for about 100 ms, so do not call it on a runtime's thread.
    ///
    /// # Errors
    ///
    /// [`MockBrokersError`] if librdkafka refuses, or if threads, sockets or ports have run out.
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

    /// Returns the addresses of the three brokers, as `host:port`.
    pub fn bootstrap(&self) -> &[String] {
        &self.bootstrap
    }
}

/// Adds the controller and the topics to the mock cluster.
fn populate<C: ClientContext>(client: &Client<C>, topics: &[(&str, i32)]) -> Result<(), MockBrokersError> {
    let mock = client.mock_cluster().ok_or(MockBrokersError::NoMock)?;
    let awake = mock
        .bootstrap_servers()
        .split(',')
        .find_map(|address| address.parse().ok());
    with_wakeups(awake.ok_or(MockBrokersError::NoMock)?, || {
        native::add_broker(client, CONTROLLER)?;
        topics
            .iter()
            .try_for_each(|(topic, partitions)| mock.create_topic(topic, *partitions, REPLICAS))
    })
}

/// Runs `control` while a thread connects to the mock cluster at short intervals.
///
/// The mock's thread loses wake-ups. A control call at a bad moment waits for the end of the thread's one-second sleep. A
/// connection ends that sleep, so the call is answered within [`WAKE_INTERVAL`] instead of a second.
fn with_wakeups(
    address: SocketAddr,
    control: impl FnOnce() -> Result<(), KafkaError>,
) -> Result<(), MockBrokersError> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let waker = thread::Builder::new().name("demo-knock".into());
        let waker = waker.spawn_scoped(scope, || {
            while !done.load(Ordering::Acquire) {
                // Whether the connection succeeds does not matter: the mock's thread has woken up.
                drop(TcpStream::connect_timeout(&address, WAKE_INTERVAL));
                thread::park_timeout(WAKE_INTERVAL);
            }
        })?;
        let result = control();
        done.store(true, Ordering::Release);
        waker.thread().unpark();
        Ok(result?)
    })
}

/// Returns the addresses that the brokers themselves report: the mock's own list lacks brokers that were added later.
fn addresses<C: ClientContext>(client: &Client<C>) -> Result<Vec<String>, KafkaError> {
    let metadata = client.fetch_metadata(None, METADATA_TIMEOUT)?;
    let brokers = metadata.brokers().iter();
    Ok(brokers
        .map(|broker| format!("{}:{}", broker.host(), broker.port()))
        .collect())
}

/// Number of brokers at the mock's start. [`CONTROLLER`] is the third.
const MOCK_BROKERS: &str = "2";

/// Broker id of the controller. The mock numbers its brokers from 1, but reports number 0 as the controller. Without a broker of
/// that number, everything that is sent to the controller waits for its timeout, including every query for a topic id.
const CONTROLLER: i32 = 0;

/// Replicas of each partition: one per broker.
const REPLICAS: i32 = 3;

/// Interval of the connections. Three control calls that all lose their wake-up cost 60 ms, and the connections cost next to
/// nothing.
const WAKE_INTERVAL: Duration = Duration::from_millis(20);

/// Timeout of a metadata request. The mock answers within milliseconds, unless the machine is overloaded.
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
        // One control call per topic. Without the extra connections, about every fiftieth call costs a second: this took 15 to 25
        // s, and takes less than one with them.
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
