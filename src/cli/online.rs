//! The report of `check-config --online`: which brokers answer, for which cluster, with which topics.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use super::check::count;
use crate::{
    config::Config,
    kafka::{
        self, BrokerInfo,
        settings::{BrokerAddr, ClusterSettings as Cluster},
    },
};

/// Writes a line for each broker and each topic. Returns whether every cluster answers and has every topic.
pub(super) fn report(out: &mut impl Write, config: &Config) -> io::Result<bool> {
    let mut whole = true;
    for found in ask_all(config) {
        whole &= found.report(out, config)?;
    }
    Ok(whole)
}

/// A cluster, and the answers of its bootstrap brokers.
struct ClusterAnswers<'a> {
    cluster: &'a Cluster,
    said: Vec<(&'a BrokerAddr, Result<BrokerInfo, String>)>,
}

/// Asks every broker of every cluster, all at once, so that all dead brokers together cost the wait for one.
fn ask_all(config: &Config) -> Vec<ClusterAnswers<'_>> {
    thread::scope(|scope| {
        let asked: Vec<_> = config
            .clusters
            .iter()
            .map(|cluster| {
                let topics = config.catalog.topics_of(&cluster.name);
                let ask = |broker| {
                    let topics = topics.clone();
                    (
                        broker,
                        scope.spawn(move || kafka::query_broker(cluster, broker, &topics, ANSWER_TIMEOUT)),
                    )
                };
                (cluster, cluster.bootstrap.iter().map(ask).collect::<Vec<_>>())
            })
            .collect();
        let found = asked.into_iter().map(|(cluster, asked)| ClusterAnswers {
            cluster,
            said: asked
                .into_iter()
                .map(|(broker, asked)| {
                    let answer = asked.join().unwrap_or_else(|_| Err("the query panicked".into()));
                    (broker, answer)
                })
                .collect(),
        });
        found.collect()
    })
}

impl ClusterAnswers<'_> {
    fn report(&self, out: &mut impl Write, config: &Config) -> io::Result<bool> {
        let name = &self.cluster.name;
        for (broker, said) in &self.said {
            match said {
                Ok(answer) => writeln!(
                    out,
                    "ok: cluster {name}: {broker} answers: {}, cluster id {}",
                    count(answer.brokers, "broker"),
                    answer.cluster_id
                )?,
                Err(why) => writeln!(out, "warning: cluster {name}: {broker} does not answer: {why}")?,
            }
        }
        let faults = self.faults(config);
        for fault in &faults {
            writeln!(out, "error: cluster {name}: {fault}")?;
        }
        let has_topics = self.report_topics(out)?;
        self.report_ids(out, config)?;
        Ok(has_topics && faults.is_empty())
    }

    /// Returns the faults that would keep riverhead from reading the cluster, or make it read the wrong one.
    fn faults(&self, config: &Config) -> Vec<String> {
        let mut faults = Vec::new();
        let ids: BTreeSet<_> = self.answers().map(|answer| &*answer.cluster_id).collect();
        if ids.is_empty() {
            faults.push("none of its bootstrap brokers answers".to_owned());
        }
        if ids.len() > 1 {
            let ids: Vec<_> = ids.iter().copied().collect();
            faults.push(format!(
                "its bootstrap brokers answer for different clusters: {}",
                ids.join(", ")
            ));
        }
        let expected = kafka::expected_cluster_id(self.cluster, config.state.directory.as_deref());
        if let Some(expected) = expected
            && ids.iter().any(|id| **id != *expected)
        {
            faults.push(format!(
                "its id must be {expected}, as configured or seen before; other clusters are refused"
            ));
        }
        faults
    }

    fn report_topics(&self, out: &mut impl Write) -> io::Result<bool> {
        let name = &self.cluster.name;
        let mut whole = true;
        let unreadable = self.unreadable();
        for (topic, found) in self.answers().take(1).flat_map(|answer| &answer.topics) {
            match found {
                Ok(_) if unreadable.contains_key(&**topic) => {
                    whole = false;
                    for (error, partitions) in unreadable.get(&**topic).into_iter().flatten() {
                        writeln!(
                            out,
                            "error: cluster {name}: topic {topic}: {} cannot be read: {error}{}",
                            count(partitions.len(), "partition"),
                            words(partitions)
                        )?;
                    }
                }
                Ok(partitions) => writeln!(
                    out,
                    "ok: cluster {name}: topic {topic}, {}",
                    count(*partitions, "partition")
                )?,
                Err(why) => writeln!(out, "error: cluster {name}: topic {topic}: {why}")?,
            }
            whole &= found.is_ok();
        }
        Ok(whole)
    }

    /// Returns, for each existing topic, the partitions that cannot be fetched, grouped by error.
    fn unreadable(&self) -> BTreeMap<String, BTreeMap<String, Vec<UnfetchablePartition>>> {
        let told = self.answers().take(1).flat_map(|answer| &answer.topics);
        let topics: Vec<_> = told
            .filter_map(|(topic, found)| Some((Arc::clone(topic), *found.as_ref().ok()?)))
            .collect();
        let mut unreadable = BTreeMap::<String, BTreeMap<String, Vec<UnfetchablePartition>>>::new();
        let mut note = |topic: &str, error, unread| {
            let of_topic = unreadable.entry(topic.to_owned()).or_default();
            of_topic.entry(error).or_default().push(unread);
        };
        match kafka::try_fetches(self.cluster, &topics, ANSWER_TIMEOUT) {
            Ok(failed) => failed.into_iter().for_each(|it| {
                let (partition, words) = (it.partition, it.message);
                note(&it.topic, it.error, UnfetchablePartition { partition, words });
            }),
            Err(why) => {
                for (topic, partitions) in &topics {
                    for partition in (0..).take(*partitions) {
                        let words = String::new();
                        note(topic, why.clone(), UnfetchablePartition { partition, words });
                    }
                }
            }
        }
        unreadable
    }

    /// Warns about streams with more partitions than an id can hold.
    fn report_ids(&self, out: &mut impl Write, config: &Config) -> io::Result<()> {
        let Some(answer) = self.answers().next() else {
            return Ok(());
        };
        let partitions = |topic: &str| {
            let found = answer.topics.iter().find(|(name, _)| **name == *topic);
            found
                .and_then(|(_, found)| found.as_ref().ok().copied())
                .unwrap_or(0)
        };
        for stream in config.catalog.streams() {
            let all: usize = stream.topics.iter().map(|topic| partitions(topic)).sum();
            if all > MAX_ID_PARTITIONS {
                writeln!(
                    out,
                    "warning: cluster {}: stream {} has {all} partitions, and an id has room for about {MAX_ID_PARTITIONS}: its events \
                     may be sent without ids, and clients cannot resume then; serve its topics as several streams",
                    self.cluster.name, stream.name
                )?;
            }
        }
        Ok(())
    }

    fn answers(&self) -> impl Iterator<Item = &BrokerInfo> {
        self.said.iter().filter_map(|(_, said)| said.as_ref().ok())
    }
}

/// A partition that cannot be fetched, and librdkafka's message about it.
struct UnfetchablePartition {
    partition: i32,
    words: String,
}

/// Returns the message about partitions with the same error: once if it is the same for all, and otherwise for the first few of
/// them.
fn words(unread: &[UnfetchablePartition]) -> String {
    let Some(first) = unread.first() else {
        return String::new();
    };
    if unread.iter().all(|it| it.words == first.words) {
        let colon = if first.words.is_empty() { "" } else { ": " };
        return format!("{colon}{}", first.words);
    }
    let told = unread.iter().take(MAX_NAMED);
    let mut told: Vec<_> = told
        .map(|it| format!("partition {}: {}", it.partition, it.words))
        .collect();
    if unread.len() > MAX_NAMED {
        told.push(format!("and {} more", unread.len() - MAX_NAMED));
    }
    format!(": {}", told.join("; "))
}

/// How many partitions a line names: operators do not read a longer one.
const MAX_NAMED: usize = 3;

/// The most partitions whose ids fit whatever the offsets: 16 characters for each, of the 16 KiB of an id that are read.
const MAX_ID_PARTITIONS: usize = 1000;

/// How long a broker may take to answer: connecting, TLS and SASL take a second at worst.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = r#"
            [[clusters]]
            name = "main"
            bootstrap = ["b1:9092", "b2:9092"]
            [[streams]]
            name = "edits"
            topics = ["a", "b"]
        "#;
        Config::load(text, "riverhead.toml", []).unwrap().0
    }

    #[test]
    fn streams_whose_ids_will_be_too_long_are_told() {
        let config = config();
        let told = |partitions: [usize; 2]| {
            let topics = ["a", "b"].into_iter().zip(partitions);
            let answer = BrokerInfo {
                cluster_id: "id".into(),
                brokers: 1,
                topics: topics
                    .map(|(topic, partitions)| (topic.into(), Ok(partitions)))
                    .collect(),
            };
            let cluster = &config.clusters[0];
            let said = cluster
                .bootstrap
                .iter()
                .map(|broker| (broker, Ok(answer.clone())))
                .collect();
            let mut out = Vec::new();
            ClusterAnswers { cluster, said }
                .report_ids(&mut out, &config)
                .unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(told([400, 600]), "");
        let warning = told([401, 600]);
        assert!(
            warning.starts_with("warning: cluster main: stream edits has 1001 partitions, "),
            "{warning}"
        );
        assert!(
            warning.contains("serve its topics as several streams"),
            "{warning}"
        );
    }
    #[test]
    fn of_many_damaged_partitions_the_first_are_named() {
        let unread = |partition| UnfetchablePartition {
            partition,
            words: format!("MessageSet at offset {partition} failed CRC32C check"),
        };
        let of = |partitions: i32| words(&(0..partitions).map(unread).collect::<Vec<_>>());
        assert_eq!(of(1), ": MessageSet at offset 0 failed CRC32C check");
        assert_eq!(
            of(2),
            ": partition 0: MessageSet at offset 0 failed CRC32C check; partition 1: MessageSet at offset 1 failed CRC32C check"
        );
        let many = of(300);
        assert!(
            many.ends_with("partition 2: MessageSet at offset 2 failed CRC32C check; and 297 more"),
            "{many}"
        );
    }

    #[test]
    fn what_is_said_of_all_partitions_is_said_once() {
        let of = |words: &str| {
            let unread = |partition| UnfetchablePartition {
                partition,
                words: words.to_owned(),
            };
            super::words(&(0..300).map(unread).collect::<Vec<_>>())
        };
        assert_eq!(
            of("Broker: Topic authorization failed"),
            ": Broker: Topic authorization failed"
        );
        assert_eq!(of(""), "");
    }
}
