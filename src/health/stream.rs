//! The health of streams: what clients are promised, judged by the partitions of each stream.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    cluster::ClusterHealth,
    report::{ClusterReport, PartitionReport, StreamReport, age, worst_of},
    state::{HealthState, Verdict, count, seconds},
};

/// A stream of the catalog.
#[derive(Clone, Debug)]
pub struct ExpectedStream {
    /// The stream's name.
    pub name: Arc<str>,
    /// The stream's topics.
    pub topics: Vec<Arc<str>>,
    /// Within which time an event is expected. `None` if the stream may be quiet.
    pub expect_event_within: Option<Duration>,
}

impl ExpectedStream {
    pub(super) fn report(&self, clusters: &[ClusterReport], quiet: &QuietStreams) -> StreamReport {
        let active = || clusters.iter().filter(|cluster| cluster.active);
        let partitions: Vec<_> = active()
            .flat_map(|cluster| &cluster.partitions)
            .filter(|it| self.topics.iter().any(|topic| **topic == *it.topic))
            .collect();
        let last = quiet.last.get(&self.name);
        let Verdict { state, reason } = self.judge(&partitions, active(), last);
        StreamReport {
            name: self.name.to_string(),
            state,
            reason,
            expect_event_within_seconds: self.expect_event_within.map(|within| within.as_secs_f64()),
            last_event_age_seconds: last.and_then(|last| last.age),
        }
    }

    fn judge<'a>(
        &self,
        partitions: &[&PartitionReport],
        active: impl Iterator<Item = &'a ClusterReport> + Clone,
        last: Option<&LastEvent>,
    ) -> Verdict {
        let unknown = self
            .topics
            .iter()
            .find(|topic| !partitions.iter().any(|partition| *partition.topic == ***topic));
        if let Some(topic) = unknown {
            return missing(topic, active);
        }
        let silent = last.and_then(|last| last.verdict.clone());
        let worst = worst_of(partitions.iter().copied())
            .filter(|worst| worst.state > HealthState::Ok)
            .map(|worst| Verdict::new(worst.state, worst.sentence()));
        match (worst, silent) {
            (Some(worst), Some(silent)) if worst.state < silent.state => silent,
            (Some(worst), _) => worst,
            (None, Some(silent)) => silent,
            (None, None) if partitions.len() > ID_PARTITIONS => Verdict::degraded(format!(
                "{} may not fit into one id: events may then be sent without ids, and clients cannot resume; \
                 serve the topics as several streams",
                count(partitions.len(), "partition")
            )),
            (None, None) => Verdict::ok(format!("{} read", count(partitions.len(), "partition"))),
        }
    }
}

/// Returns the verdict on a topic of which nothing is known: that of its cluster, if the cluster has one.
fn missing<'a>(topic: &str, active: impl Iterator<Item = &'a ClusterReport> + Clone) -> Verdict {
    let lacks = |cluster: &&ClusterReport| cluster.missing_topics.iter().any(|it| it == topic);
    if let Some(cluster) = active.clone().find(lacks) {
        return Verdict::failing(format!("cluster {} has no topic {topic}", cluster.name));
    }
    let told = |cluster: &'a ClusterReport| {
        let told = cluster.topics.iter().find(|it| it.topic == topic)?;
        (told.state > HealthState::Ok).then_some((cluster, told))
    };
    if let Some((cluster, told)) = active.clone().find_map(told) {
        let reason = format!("cluster {}: topic {topic}: {}", cluster.name, told.reason);
        return Verdict::new(told.state, reason);
    }
    let worst = active.reduce(|worst, next| if next.state > worst.state { next } else { worst });
    match worst.filter(|cluster| cluster.state > HealthState::Ok) {
        Some(it) => Verdict::new(it.state, format!("cluster {}: {}", it.name, it.reason)),
        None => Verdict::degraded(format!("starting: no partition of topic {topic} is known yet")),
    }
}

/// The most partitions whose ids always fit: ids are read up to 16 KiB, which leaves 16 characters for each.
const ID_PARTITIONS: usize = 1000;

/// The streams and partitions that are quieter than expected.
#[derive(Default)]
pub(super) struct QuietStreams {
    last: BTreeMap<Arc<str>, LastEvent>,
    /// The reason for each (topic, partition) that is too quiet.
    partitions: BTreeMap<(Arc<str>, i32), String>,
}

/// The last event of a stream.
struct LastEvent {
    age: Option<f64>,
    verdict: Option<Verdict>,
}

/// When the last event of a partition arrived, and since when events could have arrived.
struct PartitionActivity {
    topic: Arc<str>,
    partition: i32,
    event: Option<Instant>,
    since: Instant,
}

impl QuietStreams {
    pub(super) fn of(streams: &[ExpectedStream], clusters: &[Arc<ClusterHealth>], now: Instant) -> Self {
        let active = clusters.iter().filter(|cluster| cluster.is_active());
        let activity: Vec<_> = active.flat_map(|cluster| activity(cluster)).collect();
        let mut quiet = Self::default();
        for stream in streams {
            quiet.record(stream, &activity, now);
        }
        quiet
    }

    fn record(&mut self, stream: &ExpectedStream, activity: &[PartitionActivity], now: Instant) {
        let own = || activity.iter().filter(|it| stream.topics.contains(&it.topic));
        let event = own().filter_map(|it| it.event).max();
        let since = event.or_else(|| own().map(|it| it.since).min());
        let verdict = stream.expect_event_within.and_then(|within| {
            let age = now.saturating_duration_since(since?);
            let what = format!(
                "no event for {}; one is expected within {}",
                seconds(age),
                seconds(within)
            );
            (age > within).then(|| Verdict::failing(what))
        });
        let age = age(event, now);
        let last = LastEvent { age, verdict };
        self.last.insert(Arc::clone(&stream.name), last);
        if let Some(within) = stream.expect_event_within {
            self.find_quiet_partitions(stream, within, own(), now);
        }
    }

    /// Finds partitions that are quiet while others of their topic are not. A topic that is quiet as a whole may be that of a
    /// site on standby.
    fn find_quiet_partitions<'a>(
        &mut self,
        stream: &ExpectedStream,
        within: Duration,
        own: impl Iterator<Item = &'a PartitionActivity> + Clone,
        now: Instant,
    ) {
        let is_quiet =
            |it: &PartitionActivity| now.saturating_duration_since(it.event.unwrap_or(it.since)) > within;
        for it in own.clone().filter(|it| is_quiet(it)) {
            let moving = own
                .clone()
                .any(|other| other.topic == it.topic && other.event.is_some() && !is_quiet(other));
            if moving {
                let what = format!(
                    "quiet for {} while other partitions of its topic are not; stream {} expects an event within {}",
                    seconds(now.saturating_duration_since(it.event.unwrap_or(it.since))),
                    stream.name,
                    seconds(within)
                );
                let key = (Arc::clone(&it.topic), it.partition);
                self.partitions.insert(key, what);
            }
        }
    }

    /// Degrades the reports of the partitions that are too quiet.
    pub(super) fn degrade(&self, clusters: &mut [ClusterReport]) {
        let partitions = clusters
            .iter_mut()
            .filter(|cluster| cluster.active)
            .flat_map(|cluster| &mut cluster.partitions);
        for partition in partitions.filter(|it| it.state == HealthState::Ok) {
            let key = (Arc::from(&*partition.topic), partition.partition);
            if let Some(what) = self.partitions.get(&key) {
                partition.state = HealthState::Degraded;
                partition.reason.clone_from(what);
            }
        }
    }
}

fn activity(cluster: &ClusterHealth) -> Vec<PartitionActivity> {
    let partitions = cluster.partitions().into_iter();
    partitions
        .map(|(topic, partition, cell)| {
            let (event, since) = cell.last_event();
            PartitionActivity {
                topic,
                partition,
                event,
                since,
            }
        })
        .collect()
}
