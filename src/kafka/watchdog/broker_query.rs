//! Asks single brokers for their cluster and its topics, each with a client of its own. `check-config` asks which bootstrap
//! brokers still answer, and for which cluster; the supervisor asks which brokers belong to another cluster.

use std::{
    collections::BTreeSet,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    metadata::Metadata,
    types::RDKafkaErrorCode,
};

use crate::kafka::{
    client::config::{ClientKind, client_config},
    settings::{BrokerAddr, ClusterSettings},
    shared::{BrokerProfile, ClusterShared},
    threads,
};

/// What a broker reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerInfo {
    /// The id of its cluster.
    pub cluster_id: String,
    /// The number of brokers that it knows of.
    pub brokers: usize,
    /// For each topic that was asked for, its number of partitions, or why it cannot be read.
    pub topics: Vec<(Arc<str>, Result<usize, String>)>,
}

/// Asks one broker for its cluster and these topics, at least one. A blocking call that takes `within` and a little more.
///
/// # Errors
/// Returns why the broker did not answer, in librdkafka's words: an error of the network, of TLS or of SASL.
pub fn query_broker(
    settings: &ClusterSettings,
    broker: &BrokerAddr,
    topics: &[Arc<str>],
    within: Duration,
) -> Result<BrokerInfo, String> {
    let config = client_config(settings, ClientKind::Tail, BrokerProfile::Real);
    let deadline = Instant::now() + within;
    let new = || BrokerQuery::new(&config, broker).map_err(|error| error.to_string());
    let mut query = new()?;
    let mut metadata = query.wait(topics.first(), deadline)?;
    let cluster_id = query.cluster_id();
    let mut answer = BrokerInfo {
        cluster_id: cluster_id.ok_or("it is too old to report its cluster id")?,
        brokers: 0,
        topics: Vec::new(),
    };
    for (index, topic) in topics.iter().enumerate() {
        if index > 0 {
            let until = deadline.min(Instant::now() + NEXT_TOPIC_TIMEOUT);
            metadata = match query.wait(Some(topic), until) {
                Ok(metadata) => metadata,
                // The client asks the brokers that it has learned of, and these may be unreachable. A new client begins with
                // this broker.
                Err(_) => {
                    query = new()?;
                    query.wait(Some(topic), deadline)?
                }
            };
        }
        answer.brokers = answer.brokers.max(metadata.brokers().len());
        let partitions = partitions(&metadata, topic);
        answer.topics.push((Arc::clone(topic), partitions));
    }
    Ok(answer)
}

/// Returns the bootstrap brokers of a cluster that answer for another one. All are asked at once. A blocking call.
pub(in crate::kafka) fn wrong_cluster_brokers(
    shared: &ClusterShared,
    topic: &Arc<str>,
) -> BTreeSet<BrokerAddr> {
    let config = client_config(&shared.settings, ClientKind::Tail, shared.profile);
    let is_foreign = |broker: &BrokerAddr| {
        let query = BrokerQuery::new(&config, broker).ok()?;
        query.wait(Some(topic), Instant::now() + CHECK_TIMEOUT).ok()?;
        let id = std::ffi::CString::new(query.cluster_id()?).ok()?;
        shared.identity.wrong_cluster(&id)
    };
    thread::scope(|scope| {
        let brokers = shared.identity.bootstrap.all().into_iter();
        let threads: Vec<_> = brokers
            .map(|broker| scope.spawn(move || is_foreign(&broker).map(|_| broker)))
            .collect();
        let foreign = threads.into_iter().filter_map(|thread| thread.join().ok()?);
        foreign.collect()
    })
}

/// A client that knows one broker.
struct BrokerQuery(Option<BaseConsumer<ErrorLog>>);

/// Keeps the errors that librdkafka reports.
#[derive(Default)]
struct ErrorLog(Mutex<Vec<(RDKafkaErrorCode, String)>>);

impl BrokerQuery {
    fn new(config: &ClientConfig, broker: &BrokerAddr) -> Result<Self, KafkaError> {
        let mut config = config.clone();
        config.set("bootstrap.servers", broker.to_string());
        config.set("statistics.interval.ms", "0");
        let consumer = config.create_with_context(ErrorLog::default())?;
        Ok(Self(Some(consumer)))
    }

    /// Waits for the broker's answer about this topic.
    fn wait(&self, topic: Option<&Arc<str>>, deadline: Instant) -> Result<Metadata, String> {
        let consumer = self.0.as_ref().ok_or("the client is closed")?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match consumer.fetch_metadata(topic.map(|topic| &**topic), left.min(TRY_TIMEOUT)) {
                Ok(metadata) => return Ok(metadata),
                Err(_) if left > TRY_TIMEOUT => {}
                Err(error) => {
                    for _ in 0..MAX_EVENTS {
                        let _ = consumer.poll(Duration::ZERO);
                    }
                    return Err(consumer.context().worst().unwrap_or_else(|| error.to_string()));
                }
            }
        }
    }

    fn cluster_id(&self) -> Option<String> {
        self.0.as_ref()?.client().fetch_cluster_id(Duration::ZERO)
    }
}

impl Drop for BrokerQuery {
    fn drop(&mut self) {
        let consumer = self.0.take();
        // Closing a client of librdkafka has been known to hang.
        let _ = threads::spawn("kafka-close", move || drop(consumer));
    }
}

impl ErrorLog {
    /// Returns the error that says most. If a password is wrong and a broker then closes the connection, that is the password.
    fn worst(&self) -> Option<String> {
        let errors = self.0.lock();
        let weight = |code| match code {
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => 3,
            RDKafkaErrorCode::SSL => 2,
            RDKafkaErrorCode::AllBrokersDown => 0,
            _ => 1,
        };
        let worst = errors.iter().max_by_key(|(code, _)| weight(*code));
        worst.map(|(_, reason)| plain(reason).to_owned())
    }
}

impl ClientContext for ErrorLog {
    // Ignored: what matters is reported as an error as well.
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.0.lock().push((code, reason.to_owned()));
    }
}

impl ConsumerContext for ErrorLog {}

/// Returns the reason without the broker's name before it and the time after it.
fn plain(reason: &str) -> &str {
    let reason = reason.split_once("/bootstrap: ").map_or(reason, |(_, it)| it);
    reason.split_once(" (after ").map_or(reason, |(reason, _)| reason)
}

/// Returns the number of partitions of a topic.
///
/// # Errors
/// Says why the topic cannot be read.
fn partitions(metadata: &Metadata, name: &str) -> Result<usize, String> {
    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
    let topic = topic.ok_or("it does not exist")?;
    match topic.error().map(RDKafkaErrorCode::from) {
        None => Ok(topic.partitions().len()),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Err("it does not exist".to_owned())
        }
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => Err("access is denied".to_owned()),
        Some(code) => Err(code.to_string()),
    }
}

/// The timeout of one try. An answer takes milliseconds, and a client that was refused retries in between.
const TRY_TIMEOUT: Duration = Duration::from_millis(500);

/// The timeout of each further topic, for a broker that has answered once.
const NEXT_TOPIC_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout for a broker to report its cluster id.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The most events that are taken from a client: enough for all that one client reports of one broker.
const MAX_EVENTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_without_what_the_operator_wrote_himself() {
        let said = "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";
        assert_eq!(
            plain(said),
            "Connect to ipv4#127.0.0.1:1 failed: Connection refused"
        );
        assert_eq!(plain("1/1 brokers are down"), "1/1 brokers are down");
    }
}
