//! The check from producer to client: one marked record for each partition, which other clients do not get.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer},
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::super::{
    CanaryCheck, Check, CheckResult, EventStream, Measurement, ReceivedEvent, StreamError, StreamItem,
    measure,
};
use crate::event::CANARY_HEADER;

const CHECK: Check = Check("canary");

/// The canaries of one run, from their production on.
pub(in crate::probe) struct Canaries {
    /// A text that is in each of these canaries and in no other record.
    token: String,
    release: JoinHandle<Result<Released, String>>,
}

/// For each partition, when its record was produced, or why the brokers did not take it.
type Released = BTreeMap<i32, Result<Instant, String>>;

impl Canaries {
    /// Produces one canary for each partition of the topic.
    pub(in crate::probe) fn release(canary: &CanaryCheck, timeout: Duration) -> Self {
        let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let release = tokio::spawn(produce(canary.clone(), token.clone(), timeout));
        Self { token, release }
    }

    /// Reads the stream behind `first` until all canaries have been seen. Returns the result and the newest event.
    pub(in crate::probe) async fn watch(
        mut self,
        stream: &mut EventStream,
        first: Result<ReceivedEvent, StreamError>,
    ) -> (CheckResult, Result<ReceivedEvent, StreamError>) {
        let (mut newest, mut seen, mut released) = (first, BTreeMap::new(), None);
        if let Ok(event) = &newest {
            self.note_canary(event, &mut seen);
        }
        let failure = loop {
            if released.as_ref().is_some_and(|all| all_seen(all, &seen)) {
                break None;
            }
            tokio::select! {
                done = &mut self.release, if released.is_none() => {
                    match done.unwrap_or_else(|error| Err(error.to_string())) {
                        Ok(all) => released = Some(all),
                        Err(why) => {
                            let failed = CHECK.critical(format!("canaries not tested: {why}"));
                            return (failed, newest);
                        }
                    }
                }
                item = stream.next() => match item {
                    Ok(StreamItem::Event(event)) => {
                        self.note_canary(&event, &mut seen);
                        newest = Ok(event);
                    }
                    Ok(StreamItem::Gap(_)) => {}
                    Err(failure) => break Some(failure),
                }
            }
        };
        (judge(&released.unwrap_or_default(), &seen, failure), newest)
    }

    fn note_canary(&self, event: &ReceivedEvent, seen: &mut BTreeMap<i32, Instant>) {
        let data = &event.message.1;
        let decoded = STANDARD.decode(data).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = decoded.as_ref().unwrap_or(data);
        let mark = format!("{}:", self.token);
        let behind = text.split_once(&mark).map(|(_, behind)| behind);
        let digits = behind.and_then(|behind| behind.split('"').next());
        if let Some(partition) = digits.and_then(|digits| digits.parse().ok()) {
            seen.entry(partition).or_insert(event.at);
        }
    }
}

async fn produce(canary: CanaryCheck, token: String, timeout: Duration) -> Result<Released, String> {
    let said = |error: rdkafka::error::KafkaError| error.to_string();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &canary.bootstrap);
    config.set("message.timeout.ms", timeout.as_millis().max(1).to_string());
    // A canary that comes twice would not be a fault of the gateway.
    config.set("enable.idempotence", "true");
    // A request for a topic must not create it.
    config.set("allow.auto.create.topics", "false");
    for (name, value) in &canary.options {
        config.set(name, value);
    }
    let producer: FutureProducer = config.create().map_err(said)?;
    let (asker, topic) = (producer.clone(), canary.topic.clone());
    let metadata = spawn_blocking(move || asker.client().fetch_metadata(Some(&topic), timeout));
    let metadata = metadata.await.map_err(|error| error.to_string())?.map_err(said)?;
    let topic = metadata.topics().iter().find(|it| it.name() == canary.topic);
    let partitions = topic.map_or(0, |topic| topic.partitions().len());
    if partitions == 0 {
        return Err(format!("there is no topic `{}`", canary.topic));
    }
    let sending = (0..partitions as i32).map(|partition| send(&producer, &canary.topic, partition, &token));
    Ok(join_all(sending).await.into_iter().collect())
}

async fn send(
    producer: &FutureProducer,
    topic: &str,
    partition: i32,
    token: &str,
) -> (i32, Result<Instant, String>) {
    let value = format!("{{\"riverhead_canary\":\"{token}:{partition}\"}}");
    let header = Header {
        key: HEADER,
        value: Some("1"),
    };
    let record = FutureRecord::<(), _>::to(topic)
        .partition(partition)
        .headers(OwnedHeaders::new().insert(header))
        .payload(&value);
    let begun = Instant::now();
    let sent = producer.send(record, Duration::ZERO).await;
    let sent = sent.map(|_| begun).map_err(|(error, _)| error.to_string());
    (partition, sent)
}

/// Returns whether all canaries have come. Those that no broker has taken will not come.
fn all_seen(released: &Released, seen: &BTreeMap<i32, Instant>) -> bool {
    let mut taken = released.iter().filter(|(_, sent)| sent.is_ok());
    taken.all(|(partition, _)| seen.contains_key(partition))
}

fn judge(released: &Released, seen: &BTreeMap<i32, Instant>, failure: Option<StreamError>) -> CheckResult {
    let all = released.len();
    let refused = released
        .iter()
        .find_map(|(partition, sent)| Some((partition, sent.as_ref().err()?)));
    let lost: Vec<_> = released.keys().filter(|it| !seen.contains_key(it)).collect();
    let delays = released.iter().filter_map(|(partition, sent)| {
        let sent = sent.as_ref().ok()?;
        Some(seen.get(partition)?.saturating_duration_since(*sent))
    });
    let slowest = delays.max().map(|delay| delay.as_secs_f64());
    let result = match (refused, lost.first(), failure) {
        (Some((partition, why)), ..) => CHECK.critical(format!(
            "no broker accepted the canary of partition {partition}: {why}"
        )),
        (None, Some(first), failure) => {
            let why = failure.map_or_else(String::new, |failure| format!(" ({failure})"));
            let lost = lost.len();
            CHECK.critical(format!(
                "{lost}/{all} canaries lost, first in partition {first}{why}"
            ))
        }
        (None, None, Some(failure)) => CHECK.critical(format!("canaries not tested: {failure}")),
        (None, None, None) => CHECK.ok(format!(
            "{all}/{all} canaries in {:.2}s",
            slowest.unwrap_or_default()
        )),
    };
    let result = result.with(Measurement::new(measure::CANARIES_LOST, lost.len() as f64).of(all as f64));
    match slowest {
        Some(seconds) => result.with(Measurement::new(measure::CANARY, seconds)),
        None => result,
    }
}

const HEADER: &str = match CANARY_HEADER.to_str() {
    Ok(header) => header,
    Err(_) => "",
};
