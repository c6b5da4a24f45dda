//! Topics that come, change and go while a cluster is being read.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Supervisor,
    topics::{TailState, TopicState},
};
use crate::{kafka::shared::TopicSettings, partition::PartitionLog};

impl Supervisor {
    /// Reads these topics from now on, and no others. Those that stay as they are go on undisturbed.
    pub(super) fn set_topics(&mut self, topics: Vec<TopicSettings>) {
        let names: Arc<[Arc<str>]> = topics.iter().map(|topic| Arc::clone(&topic.name)).collect();
        let wanted: HashSet<_> = names.iter().cloned().collect();
        let own = self.topics.iter().map(|topic| Arc::clone(&topic.name));
        let gone: Vec<_> = own.filter(|name| !wanted.contains(name)).collect();
        self.shared.topics.set(names);
        self.release_topics(&gone);
        self.topics.retain(|topic| wanted.contains(&topic.name));
        self.forget_topics(gone);
        let own = self.topics.iter().enumerate();
        let indexes: HashMap<_, _> = own.map(|(index, own)| (Arc::clone(&own.name), index)).collect();
        let (mut activated, mut released) = (Vec::new(), Vec::new());
        for topic in topics {
            match indexes.get(&topic.name) {
                Some(index) => {
                    match (self.topics[*index].active, topic.active) {
                        (false, true) => activated.push(Arc::clone(&topic.name)),
                        (true, false) => released.push(Arc::clone(&topic.name)),
                        _ => {}
                    }
                    self.change_topic(*index, topic);
                }
                None => self.add_topic(topic),
            }
        }
        self.release_topics(&released);
        self.activate_topics(&activated);
    }

    /// Releases all topics but these.
    pub(super) fn keep_active(&mut self, topics: &[Arc<str>]) {
        let kept: HashSet<_> = topics.iter().collect();
        let released = self
            .topics
            .iter()
            .filter(|it| it.active && !kept.contains(&it.name));
        let released: Vec<_> = released.map(|topic| Arc::clone(&topic.name)).collect();
        self.release_topics(&released);
    }

    /// Adds a topic, which is read from its end on once a refresh shows it.
    fn add_topic(&mut self, topic: TopicSettings) {
        self.shared
            .counters
            .initialize_topic(&self.shared.cluster, &topic.name);
        if topic.active {
            let reachable = !self.outage.is_reported();
            self.shared.directory.set_reachable(&topic.name, reachable);
        }
        self.topics.push(TopicState::new(topic));
    }

    /// Forgets what is known of topics that were released.
    fn forget_topics(&self, topics: Vec<Arc<str>>) {
        let shared = &self.shared;
        for topic in &topics {
            shared.directory.remove_topic(topic);
            shared.leaders.remove(topic);
            shared.status.forget_topic(topic);
            shared.log_append_time_topics.remove(topic);
            self.pool.forget_topic(topic);
        }
        match &self.session {
            Some(session) => session.tail.forget(topics),
            None => topics
                .iter()
                .for_each(|topic| shared.counters.remove_topic(&shared.cluster, topic)),
        }
    }

    /// Changes what the records of a topic become, if that is another now.
    fn change_topic(&mut self, index: usize, settings: TopicSettings) {
        let topic = &mut self.topics[index];
        let is_same = match (&topic.transform, &settings.transform) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, None) => true,
            _ => false,
        };
        if is_same && topic.encoding == settings.encoding {
            return;
        }
        topic.encoding = settings.encoding;
        topic.transform = settings.transform;
        if topic.active {
            for log in self.shared.directory.current_logs(&topic.name) {
                self.replace_with_successor(index, &log);
            }
        }
    }

    /// Replaces this log by one whose events are made by the current rules of its topic. No broker is asked, so events under the old
    /// rules are dropped during an outage too.
    fn replace_with_successor(&mut self, index: usize, log: &Arc<PartitionLog>) {
        let topic = &mut self.topics[index];
        let successor = log.successor(topic.encoding, topic.transform.clone());
        self.shared.directory.put_successor(Arc::clone(&successor));
        self.pool.forget(log);
        let reading = topic.partitions.iter_mut().find_map(|partition| {
            let is_it = matches!(&partition.state, TailState::Reading(own) if Arc::ptr_eq(own, log));
            is_it.then_some(&mut partition.state)
        });
        if let Some(state) = reading {
            *state = TailState::Reading(Arc::clone(&successor));
            // Without a session, the next one begins with this log.
            if let Some(session) = &self.session {
                session.tail.start(successor);
            }
        }
    }
}
