//! What is known of the topics of streams without asking Kafka: where each partition begins and ends, and how many
//! events come.
//!
//! The directory of logs knows offsets, and mostly times. A time that is in no memory is asked for in the background,
//! one at a time: how many clients ask makes no difference to the brokers.
//!
//! Not here: streams and who may read them (`catalog`), and the documents that clients get (`http::routes::streams`).

mod edge_times;
mod extent;
mod rates;

use std::{convert::Infallible, sync::Arc};

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub use self::{
    extent::{LogEdge, PartitionExtent, TopicExtent},
    rates::EventRate,
};

use self::{
    edge_times::{Edge, EdgeTimes},
    rates::{RateMeter, SAMPLE_EVERY},
};
use crate::partition::{History, LogDirectory, PartitionLog};

/// What is known of all topics of a process. Clones share it.
#[derive(Clone)]
pub struct Discovery(Arc<DiscoveryInner>);

struct DiscoveryInner {
    directory: Arc<LogDirectory>,
    times: EdgeTimes,
    rates: Mutex<RateMeter>,
}

impl Discovery {
    /// Creates it over these logs. Nothing is measured or asked before [`run`](Self::run).
    pub fn new(directory: Arc<LogDirectory>, history: Arc<dyn History>) -> Self {
        Self(Arc::new(DiscoveryInner {
            directory,
            times: EdgeTimes::new(history),
            rates: Mutex::default(),
        }))
    }

    /// Returns what is known of the partitions of a topic. What is not known now is asked for in the background.
    pub fn extent(&self, topic: &Arc<str>) -> TopicExtent {
        let logs = self.0.directory.logs(topic).into_iter();
        let partitions = (0..).zip(logs).map(|(partition, log)| match log {
            Some(log) => self.partition_extent(partition, &log),
            None => PartitionExtent {
                partition,
                ..PartitionExtent::default()
            },
        });
        TopicExtent {
            name: topic.to_string(),
            partitions: partitions.collect(),
        }
    }

    fn partition_extent(&self, partition: i32, log: &Arc<PartitionLog>) -> PartitionExtent {
        let (start, end) = (log.start(), log.end());
        let is_empty = start >= end.offset;
        let time = |edge, offset| (!is_empty).then(|| self.0.times.at(log, edge, offset)).flatten();
        PartitionExtent {
            partition,
            earliest: LogEdge::at(start, time(Edge::First, start)),
            latest: LogEdge::at(
                end.offset.max(start),
                end.timestamp
                    .filter(|_| !is_empty)
                    .or_else(|| time(Edge::Last, end.offset)),
            ),
        }
    }

    /// Returns how many events of these topics come, all together.
    pub fn rate(&self, topics: &[Arc<str>]) -> EventRate {
        let rates = self.0.rates.lock();
        let now = Instant::now();
        topics
            .iter()
            .map(|topic| rates.of(topic, self.0.directory.appended(topic), now))
            .fold(EventRate::default(), EventRate::plus)
    }

    /// Measures rates, and asks for what is wanted and not known. Never ends.
    pub async fn run(&self) -> Infallible {
        tokio::select! {
            never = self.measure() => never,
            never = self.0.times.ask() => never,
        }
    }

    async fn measure(&self) -> Infallible {
        let mut ticks = interval(SAMPLE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            let counts = self.0.directory.appended_of_all();
            self.0.rates.lock().sample(&counts, now);
            self.0.times.forget_gone(&self.0.directory);
        }
    }
}

debug_by_name!(Discovery);
