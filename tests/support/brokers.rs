//! Mock brokers inside this process.
#![allow(unsafe_code)] // rdkafka wraps most of the mock cluster's controls, but not these few

use std::{
    fs,
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::BorrowedFd,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    bindings::{
        rd_kafka_handle_mock_cluster, rd_kafka_mock_broker_add, rd_kafka_mock_get_requests,
        rd_kafka_mock_request_api_key, rd_kafka_mock_request_destroy_array,
        rd_kafka_mock_start_request_tracking,
    },
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use socket2::SockRef;

/// The ids of the brokers. The last one is the first that clients know.
const IDS: [i32; 3] = [0, 2, 1];

/// Returns the timestamp of a numbered record. Not 0, which librdkafka replaces by the time of day.
pub(crate) fn stamp(number: i64) -> i64 {
    1_000_000 + number * 10
}

/// Three brokers with the ids 0, 1 and 2.
pub(crate) struct Brokers {
    host: ThreadedProducer<DefaultProducerContext>,
    ids: Vec<i32>,
    addresses: Vec<String>,
}

impl Brokers {
    /// Starts brokers with these topics and partitions, and tracks requests from now on.
    pub(crate) fn start(topics: &[(&str, i32)]) -> Self {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "2").set("linger.ms", "5");
        config.set("batch.size", "65536");
        let host = config.create().expect("brokers");
        let mut brokers = Self {
            host,
            ids: Vec::new(),
            addresses: Vec::new(),
        };
        brokers.control(|_| {
            // SAFETY: the cluster lives as long as the client that it belongs to.
            unsafe {
                let cluster = rd_kafka_handle_mock_cluster(brokers.host.client().native_ptr());
                assert_eq!(
                    rd_kafka_mock_broker_add(cluster, 0),
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
                );
                rd_kafka_mock_start_request_tracking(cluster);
            }
        });
        for (topic, partitions) in topics {
            brokers.create(topic, *partitions);
        }
        (brokers.ids, brokers.addresses) = brokers.look_up_addresses();
        brokers
    }

    /// Returns the `host:port` of each broker.
    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    fn look_up_addresses(&self) -> (Vec<i32>, Vec<String>) {
        let metadata = self.host.client().fetch_metadata(None, Duration::from_secs(10));
        let metadata = metadata.expect("metadata");
        let brokers = metadata.brokers().iter();
        brokers
            .map(|broker| (broker.id(), format!("{}:{}", broker.host(), broker.port())))
            .unzip()
    }

    pub(crate) fn create(&self, topic: &str, partitions: i32) {
        self.control(|mock| mock.create_topic(topic, partitions, 3).expect("a topic"));
    }

    pub(crate) fn lead(&self, topic: &str, partition: i32, broker: i32) {
        self.control(|mock| {
            mock.partition_leader(topic, partition, Some(broker))
                .expect("a leader")
        });
    }

    /// Takes the leader from a partition.
    pub(crate) fn take_leader(&self, topic: &str, partition: i32) {
        self.control(|mock| mock.partition_leader(topic, partition, None).expect("no leader"));
    }

    /// Makes the broker accept requests without answering them from now on.
    pub(crate) fn mute(&self, broker: i32) {
        self.control(|mock| {
            mock.broker_round_trip_time(broker, Duration::from_secs(3600))
                .expect("a delay")
        });
    }

    /// Makes the broker answer again, including the requests that have arrived meanwhile.
    pub(crate) fn unmute(&self, broker: i32) {
        self.control(|mock| {
            mock.broker_round_trip_time(broker, Duration::ZERO)
                .expect("no delay")
        });
    }

    /// Closes every connection to the broker. A connection that is older than a call of `mute` keeps holding
    /// back delayed responses, such as that to a fetch at the end of a log: the mock sets its timer once.
    ///
    /// The broker is not stopped for that: the mock would bind its port again, and abort the process if it cannot. It cannot while
    /// a process that another test starts has a copy of the socket, until that runs its program.
    pub(crate) fn disconnect(&self, broker: i32) {
        let place = self.ids.iter().position(|id| *id == broker).expect("a broker");
        end_connections_to(self.addresses[place].parse().expect("an address"));
    }

    /// Stops all brokers, and closes every connection to them.
    pub(crate) fn stop(&self) {
        for broker in IDS {
            self.control(|mock| mock.broker_down(broker).expect("a broker to end"));
        }
    }

    /// Starts all brokers again after [`stop`](Self::stop).
    pub(crate) fn resume(&self) {
        for broker in IDS {
            self.control(|mock| mock.broker_up(broker).expect("a broker to start"));
        }
    }

    /// Answers the next fetches of any client with an offset that is out of range.
    pub(crate) fn refuse_fetches(&self, count: usize) {
        let key = RDKafkaApiKey::Fetch;
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
        self.control(|mock| mock.request_errors(key, &vec![error; count]));
    }

    /// Writes records with these numbers: value `{"n":number}`, timestamp [`stamp`]`(number)`.
    pub(crate) fn write(&self, topic: &str, partition: i32, numbers: impl IntoIterator<Item = i64>) {
        self.write_values(
            topic,
            partition,
            numbers.into_iter().map(|n| (stamp(n), format!("{{\"n\":{n}}}"))),
        );
    }

    pub(crate) fn write_values(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = (i64, String)>,
    ) {
        for (timestamp, value) in values {
            let record = || {
                BaseRecord::<[u8], [u8]>::to(topic)
                    .partition(partition)
                    .timestamp(timestamp)
                    .payload(value.as_bytes())
            };
            while self.host.send(record()).is_err() {
                self.host.flush(Duration::from_secs(10)).expect("room");
            }
        }
        self.host.flush(Duration::from_secs(10)).expect("all is written");
    }

    /// Writes one record with this key and these headers.
    pub(crate) fn write_described(&self, topic: &str, key: &str, headers: &[(&str, Option<&str>)]) {
        self.write_record(topic, key, headers, Some("{}"));
    }

    /// Writes one record with all that it has; without a value it is a tombstone.
    pub(crate) fn write_record(
        &self,
        topic: &str,
        key: &str,
        headers: &[(&str, Option<&str>)],
        value: Option<&str>,
    ) {
        let add = |all: OwnedHeaders, (key, value): &(&str, Option<&str>)| {
            all.insert(Header { key, value: *value })
        };
        let mut record = BaseRecord::<str, str>::to(topic)
            .partition(0)
            .key(key)
            .headers(headers.iter().fold(OwnedHeaders::new(), add));
        record.payload = value;
        assert!(self.host.send(record).is_ok());
        self.host.flush(Duration::from_secs(10)).expect("it is written");
    }

    /// Answers every fetch of any client with a storage error from now on. Other requests are answered as
    /// usual.
    pub(crate) fn break_fetches(&self) {
        self.fail_fetches(RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR);
    }

    /// Answers every fetch of any client with an authorization error from now on. Other requests are answered
    /// as usual.
    pub(crate) fn deny_fetches(&self) {
        self.fail_fetches(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    }

    /// Answers every fetch of any client with this error from now on. Other requests are answered as usual.
    pub(crate) fn fail_fetches(&self, error: RDKafkaRespErr) {
        self.control(|mock| mock.request_errors(RDKafkaApiKey::Fetch, &[error; 10_000]));
    }

    /// From now on every question for an offset, whoever asks it, gets this error; all else is answered.
    pub(crate) fn fail_offsets(&self, error: RDKafkaRespErr) {
        self.control(|mock| mock.request_errors(RDKafkaApiKey::ListOffsets, &[error; 10_000]));
    }

    /// Questions for offsets are answered again.
    pub(crate) fn mend_offsets(&self) {
        self.control(|mock| mock.clear_request_errors(RDKafkaApiKey::ListOffsets));
    }

    /// Answers fetches again.
    pub(crate) fn mend_fetches(&self) {
        self.control(|mock| mock.clear_request_errors(RDKafkaApiKey::Fetch));
    }

    /// Returns the API keys of all requests so far.
    pub(crate) fn requests(&self) -> Vec<i16> {
        let mut count = 0;
        // SAFETY: the array is read before it is destroyed, once.
        unsafe {
            let cluster = rd_kafka_handle_mock_cluster(self.host.client().native_ptr());
            let requests = rd_kafka_mock_get_requests(cluster, &mut count);
            if requests.is_null() {
                return Vec::new();
            }
            let all = std::slice::from_raw_parts(requests, count);
            let keys = all
                .iter()
                .map(|request| rd_kafka_mock_request_api_key(*request))
                .collect();
            rd_kafka_mock_request_destroy_array(requests, count);
            keys
        }
    }

    /// The mock's thread loses wake-ups, and then a control call takes a second. A connection wakes it.
    fn control<T>(&self, control: impl FnOnce(&MockCluster<'_, DefaultProducerContext>) -> T) -> T {
        let mock = self.host.client().mock_cluster().expect("a mock cluster");
        let bootstrap = mock.bootstrap_servers();
        let door: SocketAddr = bootstrap
            .split(',')
            .find_map(|text| text.parse().ok())
            .expect("an address");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    drop(TcpStream::connect_timeout(&door, Duration::from_millis(20)));
                    thread::park_timeout(Duration::from_millis(20));
                }
            });
            let result = control(&mock);
            done.store(true, Ordering::Release);
            result
        })
    }
}

/// Ends all connections that this process has accepted at `address`.
fn end_connections_to(address: SocketAddr) {
    for entry in fs::read_dir("/proc/self/fd").expect("descriptors").flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // SAFETY: calls for a descriptor that is closed meanwhile fail, and one that another socket gets is not one of `address`.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let socket = SockRef::from(&descriptor);
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        if local == Some(address) && !socket.is_listener().unwrap_or(true) {
            // It fails if the client has closed the connection meanwhile.
            _ = socket.shutdown(Shutdown::Both);
        }
    }
}
