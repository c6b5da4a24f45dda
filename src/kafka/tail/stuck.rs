//! Partitions that the tail cannot read on in, while it is found out whether they are damaged there.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use crate::{
    kafka::{
        backoff::Backoff,
        damage::{Damage, Verdict},
        reader::Alarm,
    },
    partition::{PartitionLog, TopicPartition},
    position::Offset,
};

/// The partitions that are not read for now.
pub(super) struct Stuck {
    places: HashMap<TopicPartition, Place>,
    damage: Arc<Damage>,
    judged: mpsc::Receiver<Judged>,
    judge: mpsc::Sender<Judged>,
    /// Ends the tail's wait for records.
    alarm: Alarm,
}

/// What came of a suspicion.
type Judged = (Arc<PartitionLog>, Verdict);

struct Place {
    backoff: Backoff,
    /// Whether the tail reads on there meanwhile: librdkafka has said nothing, and may go on by itself.
    runs: bool,
    /// When to try again, after it could not be judged; `None` while it is being looked at.
    due: Option<(Instant, Arc<PartitionLog>)>,
}

impl Stuck {
    pub(super) fn new(damage: Arc<Damage>, alarm: Alarm) -> Self {
        let (judge, judged) = mpsc::channel();
        Self {
            places: HashMap::new(),
            damage,
            judged,
            judge,
            alarm,
        }
    }

    /// The tail does not come past `from`. If librdkafka has said so, it does not read this partition any more.
    pub(super) fn suspect(&mut self, log: &Arc<PartitionLog>, from: Offset, code: Option<RDKafkaErrorCode>) {
        let place = self.places.entry(log.partition().clone());
        let place = place.or_insert_with(|| Place {
            backoff: Backoff::new(FIRST, MOST),
            runs: true,
            due: None,
        });
        place.runs = code.is_none();
        place.due = None;
        let (judge, alarm, judged) = (self.judge.clone(), self.alarm.clone(), Arc::clone(log));
        let reply = move |verdict| {
            // The tail may have ended meanwhile.
            if judge.send((judged, verdict)).is_ok() {
                alarm.ring();
            }
        };
        self.damage.suspect(log, from, code, Box::new(reply));
    }

    /// Whether this partition is being looked at, or was in vain a moment ago.
    pub(super) fn has(&self, partition: &TopicPartition, now: Instant) -> bool {
        let place = self.places.get(partition);
        place.is_some_and(|place| place.due.as_ref().is_none_or(|(at, _)| now < *at))
    }

    /// The logs to read on in now: behind a damaged range, or as before.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Judged> {
        let mut due = Vec::new();
        for (log, verdict) in self.judged.try_iter() {
            match (verdict, self.places.get_mut(log.partition())) {
                (_, None) => {}
                (Verdict::Unknown, Some(place)) => place.due = Some((now + place.backoff.step(), log)),
                (verdict, Some(_)) => due.push((log, verdict)),
            }
        }
        for place in self.places.values_mut().filter(|place| !place.runs) {
            if let Some((_, log)) = place.due.take_if(|(at, _)| *at <= now) {
                due.push((log, Verdict::Unknown));
            }
        }
        due.retain(|(log, _)| !log.is_replaced());
        due
    }

    /// Records of it come again, or it is read anew, or no more.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.places.remove(partition);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// Before a partition is read again that could not be judged.
const FIRST: Duration = Duration::from_millis(500);

/// How late a partition goes on that can be read again, at worst.
const MOST: Duration = Duration::from_secs(10);
