//! The gateways of the measurement: one that reads all of its topics, one whose Kafka does not answer, and
//! one whose Kafka has none of the topics.

use std::{
    net::Ipv4Addr,
    sync::{Arc, OnceLock},
};

use futures_util::future::{BoxFuture, ready};
use riverhead::{
    catalog::{Catalog, Stream},
    client::ClientKey,
    event::{Encoding, Headers, Record},
    http::settings::HttpSettings,
    partition::{
        Bounds, History, HistoryError, LogDirectory, Page, PageBuilder, PartitionLog, TopicPartition,
    },
    position::{LogTag, Offset, Timestamp},
    subscription::LogSource,
};

use crate::{
    shapes::{Kafka, Peer, Shape},
    support::gateway::{TestClient, TestGateway, TestResponse, nothing},
};

/// The number of topics of all streams together.
pub(crate) const TOPICS: usize = 500;

/// The most streams that one request may name.
pub(crate) const STREAMS: usize = 32;

/// The number of fields that a query can name.
pub(crate) const FIELDS: usize = 16;

/// The number of partitions of the topic `edits`. Every other topic has one.
const PARTITIONS: i32 = 6;

/// Connections from this address are those of a trusted proxy.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub(crate) struct Gateways {
    reading: TestGateway,
    away: TestGateway,
    lacking: TestGateway,
}

impl Gateways {
    pub(crate) fn start() -> Self {
        Self {
            reading: TestGateway::over(catalog(), source(), trusting),
            away: TestGateway::over(catalog(), nothing(), trusting),
            lacking: TestGateway::over(catalog(), absent(), trusting),
        }
    }

    /// Sends a request on a new connection, and returns the bytes up to the end of the head.
    pub(crate) async fn answer(&self, shape: &Shape) -> TestResponse {
        let gateway = match shape.kafka {
            Kafka::Reads => &self.reading,
            Kafka::IsAway => &self.away,
            Kafka::LacksTopics => &self.lacking,
        };
        let address = match shape.peer {
            Peer::Stranger => Ipv4Addr::LOCALHOST,
            Peer::Proxy => PROXY,
        };
        let mut client = TestClient::from(address.octets(), gateway.public).await;
        client.send(&shape.head()).await;
        let head = client.head().await;
        TestResponse {
            status: head[9..12].parse().unwrap(),
            body: String::new(),
            head,
        }
    }
}

fn trusting(settings: &mut HttpSettings) {
    settings.trusted_proxies = ["127.0.0.2/32", "10.0.0.0/8", "2001:db8::/32"]
        .map(|network| network.parse().unwrap())
        .to_vec();
}

pub(crate) fn stream(number: usize) -> String {
    format!("mediawiki.stream-{number}")
}

pub(crate) fn topic(number: usize) -> String {
    format!("eqiad.mediawiki.topic-{number}")
}

fn catalog() -> Catalog {
    let fields: Vec<Arc<str>> = (0..FIELDS)
        .map(|number| format!("field{number}").into())
        .collect();
    let mut edits = Stream::new("edits", ["edits"]);
    edits.filter_fields = fields.clone();
    let streams = (0..STREAMS).map(|number| {
        let topics: Vec<_> = (0..TOPICS)
            .filter(|topic| topic % STREAMS == number)
            .map(topic)
            .collect();
        let mut stream = Stream::new(&stream(number), topics.iter().map(String::as_str));
        stream.aliases = vec![format!("alias-{number}").into()];
        stream.description = "What a stream is, in a sentence such as an operator may write.".into();
        stream.filter_fields = fields.clone();
        stream
    });
    Catalog::new(std::iter::once(edits).chain(streams).collect()).unwrap()
}

/// Returns a source with all topics, whose logs are empty.
fn source() -> LogSource {
    let source = LogSource {
        directory: LogDirectory::new(),
        history: Arc::new(OneRecord),
    };
    let topics = (0..TOPICS).map(topic).map(|topic| (topic, 1));
    for (topic, partitions) in topics.chain([("edits".to_owned(), PARTITIONS)]) {
        for partition in 0..partitions {
            let name = TopicPartition {
                topic: topic.as_str().into(),
                partition,
            };
            let tag = LogTag::new("cluster", &[7; 16]);
            source
                .directory
                .put(PartitionLog::new(name, tag, Encoding::default(), 1));
        }
    }
    source
}

/// Returns a source without the topics.
fn absent() -> LogSource {
    let source = nothing();
    for topic in (0..TOPICS).map(topic) {
        source.directory.set_absent(&topic.into());
    }
    source
}

/// Brokers that answer at once: each partition has one record, at offset 0.
struct OneRecord;

/// Returns the page of any partition. It is created once, so that no request pays for it: a gateway has pages
/// at hand, or reads them for all clients.
fn page_of(log: &PartitionLog) -> Arc<Page> {
    static PAGE: OnceLock<Arc<Page>> = OnceLock::new();
    Arc::clone(PAGE.get_or_init(|| one_record(log.encoding())))
}

fn one_record(encoding: Encoding) -> Arc<Page> {
    let mut page = PageBuilder::new(0, encoding);
    let record = Record {
        offset: 0,
        timestamp: 1,
        epoch: EPOCH,
        key: None,
        headers: Headers::default(),
        value: Some(b"{}"),
        canary: false,
    };
    page.push(&record).unwrap();
    Arc::new(page.finish(1))
}

/// The epoch of that record.
pub(crate) const EPOCH: i32 = 4;

impl History for OneRecord {
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        _offset: Offset,
        _client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        Box::pin(ready(Ok(page_of(log))))
    }

    fn page_at_hand(&self, log: &Arc<PartitionLog>, offset: Offset) -> Option<Arc<Page>> {
        (offset == 0).then(|| page_of(log))
    }

    fn bounds(&self, _log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        Box::pin(ready(Ok(Bounds {
            start: 0,
            end: 1,
            epoch: Some(EPOCH),
        })))
    }

    fn first_at(
        &self,
        _log: &Arc<PartitionLog>,
        _time: Timestamp,
        _client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        Box::pin(ready(Ok(Some(0))))
    }

    fn first_at_hand(&self, _log: &Arc<PartitionLog>, _time: Timestamp) -> Option<Offset> {
        Some(0)
    }
}
