//! The parts of librdkafka's statistics that riverhead reads (`STATISTICS.md` of librdkafka).

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

use crate::health::{BrokerConnection, FetchStatistics};

/// One emission of the statistics.
#[derive(Deserialize)]
pub(super) struct Statistics {
    /// Bytes received from all brokers.
    pub(super) rx_bytes: u64,
    brokers: HashMap<String, BrokerStatistics>,
    #[serde(default)]
    topics: HashMap<String, TopicStatistics>,
}

/// The statistics of a broker.
#[derive(Deserialize)]
struct BrokerStatistics {
    #[serde(default)]
    nodeid: i32,
    #[serde(default)]
    nodename: String,
    state: String,
    /// Responses received.
    #[serde(default)]
    rx: u64,
    #[serde(default)]
    connects: u64,
    #[serde(default)]
    disconnects: u64,
    #[serde(default)]
    rtt: LatencyWindow,
    /// In milliseconds, unlike the other windows.
    #[serde(default)]
    throttle: ThrottleWindow,
}

/// A window of samples, in microseconds.
#[derive(Default, Deserialize)]
struct LatencyWindow {
    cnt: i64,
    p99: u64,
}

/// A window of throttle times, in milliseconds.
#[derive(Default, Deserialize)]
struct ThrottleWindow {
    max: i64,
}

/// The statistics of a topic.
#[derive(Deserialize)]
struct TopicStatistics {
    partitions: HashMap<i32, PartitionStatistics>,
}

/// The statistics of a partition.
#[derive(Deserialize)]
struct PartitionStatistics {
    broker: i32,
    fetch_state: String,
    next_offset: i64,
    lo_offset: i64,
    hi_offset: i64,
    ls_offset: i64,
}

/// The number of responses that each broker had given at the last emission, by broker id.
#[derive(Default)]
pub(super) struct ResponseCounts(HashMap<i32, u64>);

impl Statistics {
    /// Returns the number of open connections.
    pub(super) fn connections(&self) -> usize {
        let brokers = self.brokers.values();
        brokers.filter(|broker| broker.is_connected()).count()
    }

    /// Returns the brokers of the cluster. Bootstrap entries, which have no id, are not among them.
    pub(super) fn cluster_brokers(&self) -> Vec<BrokerConnection> {
        let learned = self.brokers.values().filter(|broker| broker.nodeid >= 0);
        learned.map(BrokerStatistics::connection).collect()
    }

    /// Returns every partition that is read: its topic, its number, and its fetch statistics.
    pub(super) fn partitions(&self, answers: &mut ResponseCounts) -> Vec<(&str, i32, FetchStatistics)> {
        let answering = answers.answered_since_last(self);
        let topics = self.topics.iter().flat_map(|(topic, of)| {
            let partitions = of.partitions.iter();
            partitions.map(move |(number, partition)| (topic.as_str(), *number, partition))
        });
        let read = topics.filter(|(_, number, partition)| *number >= 0 && partition.is_read());
        read.map(|(topic, number, partition)| (topic, number, partition.fetching(&answering)))
            .collect()
    }

    /// Returns the brokers that delayed us for a quota since the last emission, each with its longest delay.
    pub(super) fn throttled_brokers(&self) -> Vec<(i32, Duration)> {
        let brokers = self.brokers.values();
        let throttling = brokers.filter(|it| it.nodeid >= 0 && it.throttle.max > 0);
        let longest = |it: &BrokerStatistics| Duration::from_millis(it.throttle.max.unsigned_abs());
        throttling.map(|it| (it.nodeid, longest(it))).collect()
    }
}

impl BrokerStatistics {
    fn is_connected(&self) -> bool {
        !matches!(self.state.as_str(), "INIT" | "DOWN" | "TRY_CONNECT")
    }

    fn connection(&self) -> BrokerConnection {
        BrokerConnection {
            id: self.nodeid,
            address: self.nodename.as_str().into(),
            state: self.state.clone(),
            connects: self.connects,
            disconnects: self.disconnects,
            rtt: (self.rtt.cnt > 0).then(|| Duration::from_micros(self.rtt.p99)),
        }
    }
}

impl PartitionStatistics {
    fn is_read(&self) -> bool {
        !matches!(self.fetch_state.as_str(), "none" | "stopping" | "stopped")
    }

    fn fetching(&self, answering: &[i32]) -> FetchStatistics {
        // librdkafka writes -1001 for an offset that it does not know.
        let known = |offset: i64| Some(offset).filter(|offset| *offset >= 0);
        FetchStatistics {
            broker: Some(self.broker).filter(|id| *id >= 0),
            heard: self.fetch_state == "active" && answering.contains(&self.broker),
            next: known(self.next_offset),
            high: known(self.hi_offset),
            stable: known(self.ls_offset),
            start: known(self.lo_offset),
        }
    }
}

impl ResponseCounts {
    /// Returns the brokers that have answered something since the last emission. A broker that is fetched from answers all the
    /// time, if only that there is nothing new.
    fn answered_since_last(&mut self, statistics: &Statistics) -> Vec<i32> {
        let now = statistics.brokers.values().filter(|broker| broker.nodeid >= 0);
        let now: HashMap<_, _> = now.map(|broker| (broker.nodeid, broker.rx)).collect();
        let grown = now
            .iter()
            .filter(|(id, rx)| self.0.get(id).is_none_or(|before| before != *rx) && **rx > 0);
        let answered = grown.map(|(id, _)| *id).collect();
        self.0 = now;
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(rx: u64) -> Statistics {
        let text = format!(
            r#"{{"rx_bytes":10,"brokers":{{
                "b1:9092/1":{{"nodeid":1,"nodename":"b1:9092","state":"UP","rx":{rx},"connects":2,"disconnects":1,"rtt":{{"cnt":3,"p99":1500}}}},
                "b2:9092/bootstrap":{{"nodeid":-1,"nodename":"b2:9092","state":"INIT","rx":0,"connects":0,"disconnects":0,"rtt":{{"cnt":0,"p99":0}}}}}},
              "topics":{{"t":{{"partitions":{{
                "0":{{"broker":1,"fetch_state":"active","next_offset":7,"lo_offset":0,"hi_offset":9,"ls_offset":8}},
                "1":{{"broker":-1,"fetch_state":"offset-query","next_offset":-1001,"lo_offset":-1001,"hi_offset":-1001,"ls_offset":-1001}},
                "-1":{{"broker":-1,"fetch_state":"none","next_offset":0,"lo_offset":-1001,"hi_offset":-1001,"ls_offset":-1001}}}}}}}}}}"#
        );
        serde_json::from_str(&text).expect("statistics")
    }

    #[test]
    fn a_seed_is_no_broker_of_the_cluster() {
        let learned = parsed(1).cluster_brokers();
        assert_eq!(learned.len(), 1);
        assert_eq!((learned[0].id, &*learned[0].address), (1, "b1:9092"));
        assert_eq!(learned[0].rtt, Some(Duration::from_micros(1500)));
        assert_eq!(parsed(1).connections(), 1);
    }

    #[test]
    fn a_broker_that_throttles_us_is_told_with_its_longest_wait() {
        assert_eq!(parsed(1).throttled_brokers(), []);
        let text = r#"{"rx_bytes":1,"brokers":{
            "b1:9092/1":{"nodeid":1,"state":"UP","throttle":{"min":0,"max":1200}},
            "b2:9092/2":{"nodeid":2,"state":"UP","throttle":{"min":0,"max":0}},
            "b3:9092/bootstrap":{"nodeid":-1,"state":"UP","throttle":{"max":7}}}}"#;
        let statistics: Statistics = serde_json::from_str(text).expect("statistics");
        assert_eq!(statistics.throttled_brokers(), [(1, Duration::from_millis(1200))]);
    }

    #[test]
    fn a_partition_is_heard_of_while_its_broker_answers() {
        let mut answers = ResponseCounts::default();
        let mut fetching = |rx| {
            let statistics = parsed(rx);
            let mut partitions = statistics.partitions(&mut answers);
            partitions.sort_by_key(|(_, number, _)| *number);
            assert_eq!(partitions.len(), 2, "the partition without a number is left out");
            (partitions[0].2, partitions[1].2)
        };
        let (first, second) = fetching(5);
        assert!(first.heard && !second.heard);
        assert_eq!(
            (first.next, first.lag(), first.start),
            (Some(7), Some(2), Some(0))
        );
        assert_eq!((second.broker, second.next, second.high), (None, None, None));
        assert!(!fetching(5).0.heard, "no answer since");
        assert!(fetching(6).0.heard);
    }
}
