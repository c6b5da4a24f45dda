//! Many cursors, one order, one position.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Sleep;

use super::{
    Batch, Format, Request, Source,
    compose::Composition,
    gap::{Gap, Reason},
    part::{Asker, Give, Part},
    places::Places,
};
use crate::{
    partition::{Bell, Page, TopicPartition},
    position::{Composer, IdForm, Mark, Offset, Place, Timestamp},
};

/// A client's place in its streams.
///
/// It merges what its partitions have to give by (timestamp, topic, partition). Order is promised within a partition
/// only, and the merge never waits for a partition that has nothing to give, nor longer than a moment for one that reads.
pub struct Subscription {
    asker: Asker,
    topics: Vec<Topic>,
    places: Places,
    format: Format,
    form: IdForm,
    /// Sorted by topic and partition.
    parts: Vec<Part>,
    id: Composer,
    gaps: Vec<Gap>,
    /// Runs while the merge waits for a partition that reads.
    patience: Option<Pin<Box<Sleep>>>,
    /// The directory's version when `parts` was last brought up to it.
    version: Option<u64>,
}

struct Topic {
    name: Arc<str>,
    /// How many of its partitions are in `parts`; `None` while nothing is known of it.
    partitions: Option<i32>,
}

/// A page that a part gives from, and the index of its next event.
struct Head {
    page: Arc<Page>,
    index: usize,
}

impl Subscription {
    /// Begins at the request's position. Never waits: what needs Kafka is found out while it is polled.
    pub fn start(source: &Source, request: Request) -> Self {
        let places = Places::of(&request);
        let bell = Bell::new();
        source.directory.subscribe(&bell);
        let mut subscription = Self {
            asker: Asker {
                source: source.clone(),
                bell,
                client: request.client,
                now: request.now,
            },
            topics: request
                .topics
                .into_iter()
                .map(|name| Topic {
                    name,
                    partitions: None,
                })
                .collect(),
            places,
            format: request.format,
            form: request.form,
            parts: Vec::new(),
            id: Composer::new(request.form, []),
            gaps: Vec::new(),
            patience: None,
            version: None,
        };
        subscription.refresh();
        subscription
    }

    /// The next events, as soon as there are any. It does not end by itself.
    pub fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        self.asker.bell.listen(context);
        self.refresh();
        let mut heads = ready!(self.poll_heads(context));
        let mut batch = Composition::new(self.format);
        self.gaps.drain(..).for_each(|gap| batch.gap(gap));
        let more = self.merge(context, &mut heads, &mut batch);
        match batch.finish() {
            Some(batch) => Poll::Ready(batch),
            None => {
                if more {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    /// Whether the position could be resumed without a gap: ready once every partition is determined, or one has a gap.
    /// For `?on_gap=fail`, before the first [`poll_batch`](Self::poll_batch).
    pub fn poll_verdict(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        self.asker.bell.listen(context);
        self.refresh();
        for index in 0..self.parts.len() {
            self.poll_part(index, context);
        }
        let known = self.topics.iter().all(|topic| topic.partitions.is_some());
        match self.gaps.first() {
            Some(gap) => Poll::Ready(Err(gap.clone())),
            None if known && self.parts.iter().all(Part::is_determined) => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Whether nothing can come: Kafka does not answer, or no leader of any of its partitions has.
    pub fn is_held(&self) -> bool {
        let directory = &self.asker.source.directory;
        !self
            .topics
            .iter()
            .any(|topic| directory.is_reachable(&topic.name))
            || !self.parts.iter().any(Part::is_determined)
    }

    /// What each part has to give, once none is about to give something, or the patience with it is over.
    fn poll_heads(&mut self, context: &mut Context<'_>) -> Poll<Vec<Option<Head>>> {
        loop {
            let mut heads = Vec::with_capacity(self.parts.len());
            let mut waiting = false;
            for index in 0..self.parts.len() {
                let give = self.poll_part(index, context);
                waiting |= matches!(give, Give::Soon);
                heads.push(Head::of(give));
            }
            if !waiting {
                self.patience = None;
                return Poll::Ready(heads);
            }
            if !self.gaps.is_empty() {
                return Poll::Ready(Vec::new());
            }
            let patience = self
                .patience
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
            ready!(patience.as_mut().poll(context));
            self.patience = None;
            self.parts.iter_mut().for_each(|part| part.give_up_on());
        }
    }

    /// Moves events into the batch, oldest first; whether it stopped for another reason than that there are no more.
    fn merge(
        &mut self,
        context: &mut Context<'_>,
        heads: &mut [Option<Head>],
        batch: &mut Composition,
    ) -> bool {
        let mut order: BinaryHeap<_> = heads
            .iter()
            .enumerate()
            .filter_map(|(part, head)| Some(Reverse((head.as_ref()?.timestamp(), part))))
            .collect();
        for _ in 0..SCAN {
            let Some(Reverse((_, part))) = order.pop() else {
                return false;
            };
            let Some(head) = &mut heads[part] else { continue };
            if !self.take(part, head, batch) {
                return true;
            }
            if head.index == head.page.events().len() {
                match self.poll_part(part, context) {
                    // The order would depend on who reads faster.
                    Give::Soon => return true,
                    // What was lost is told before what comes after it.
                    _ if !self.gaps.is_empty() => return true,
                    give => heads[part] = Head::of(give),
                }
            }
            if let Some(head) = &heads[part] {
                order.push(Reverse((head.timestamp(), part)));
            }
        }
        true
    }

    /// Consumes the next event of a head, or the rest of its page if that is a hole; false when the batch is full.
    fn take(&mut self, part: usize, head: &mut Head, batch: &mut Composition) -> bool {
        let Some(cursor) = self.parts[part].cursor() else {
            return true;
        };
        let Some(event) = head.page.events().get(head.index) else {
            cursor.advance(head.page.next());
            return true;
        };
        if !batch.has_room_for(head.page.lines(event).len()) {
            return false;
        }
        let last = head.index + 1 == head.page.events().len();
        cursor.advance(if last { head.page.next() } else { event.offset + 1 });
        let (tag, encoding) = (cursor.log().tag(), cursor.log().encoding());
        let place = Place::At(Mark {
            offset: event.offset + 1,
            timestamp: Some(event.timestamp).filter(|time| *time >= 0),
            log: Some(tag),
            epoch: Some(event.epoch).filter(|epoch| *epoch >= 0),
        });
        self.parts[part].place = place;
        self.id.set(part, &place);
        batch.event(&head.page, event, encoding, &self.id);
        head.index += 1;
        true
    }

    /// Polls one part, and keeps the id true when that determined its place.
    fn poll_part(&mut self, index: usize, context: &mut Context<'_>) -> Give {
        let part = &mut self.parts[index];
        let place = part.place;
        let give = part.poll(context, &self.asker, &mut self.gaps);
        if part.place != place {
            self.id.set(index, &part.place);
        }
        give
    }

    /// Brings the parts up to the directory.
    fn refresh(&mut self) {
        let version = self.asker.source.directory.version();
        if self.version.replace(version) == Some(version) {
            return;
        }
        let mut topics = std::mem::take(&mut self.topics);
        let mut changed = false;
        for topic in &mut topics {
            changed |= self.refresh_topic(topic);
        }
        self.topics = topics;
        if changed {
            self.parts.sort_by(|a, b| a.partition.cmp(&b.partition));
            let entries = self
                .parts
                .iter()
                .map(|part| (part.partition.topic.clone(), part.partition.partition, part.place));
            self.id = Composer::new(self.form, entries);
        }
    }

    /// Whether parts came or went.
    fn refresh_topic(&mut self, topic: &mut Topic) -> bool {
        let partitions = self.asker.source.directory.partitions(&topic.name);
        match (topic.partitions, partitions) {
            (None, None) => self.carry(&topic.name),
            (None, Some(count)) => {
                self.carry(&topic.name);
                self.drop_beyond(&topic.name, count);
                self.add(&topic.name, 0..count, None);
            }
            // Added while the client is connected: from its start.
            (Some(known), Some(count)) if known < count => {
                self.add(&topic.name, known..count, Some(Place::Earliest));
            }
            (Some(known), Some(count)) if known > count => self.drop_beyond(&topic.name, count),
            _ => return false,
        }
        topic.partitions = partitions;
        true
    }

    /// While nothing is known of a topic, the id carries the client's own entries.
    fn carry(&mut self, topic: &Arc<str>) {
        for (partition, place) in self.places.named(topic) {
            if !self.parts.iter().any(|part| part.partition == partition) {
                self.parts.push(Part::new(partition, place));
            }
        }
    }

    fn add(&mut self, topic: &Arc<str>, partitions: std::ops::Range<i32>, place: Option<Place>) {
        for partition in partitions {
            let partition = TopicPartition {
                topic: topic.clone(),
                partition,
            };
            if self.parts.iter().any(|part| part.partition == partition) {
                continue;
            }
            let is_there = self
                .asker
                .source
                .directory
                .get(topic, partition.partition)
                .is_some();
            let place = place.unwrap_or_else(|| match is_there {
                true => self.places.of_partition(&partition),
                false => self.places.of_undetermined(&partition),
            });
            self.parts.push(Part::new(partition, place));
        }
    }

    /// The topic has only `count` partitions: what the id says of others leads nowhere, and the client is told.
    fn drop_beyond(&mut self, topic: &Arc<str>, count: i32) {
        let gaps = &mut self.gaps;
        self.parts.retain(|part| {
            let gone = part.partition.topic == *topic && part.partition.partition >= count;
            if gone {
                gaps.push(part.gone());
            }
            !gone
        });
    }
}

impl Part {
    fn gone(&self) -> Gap {
        Gap {
            partition: self.partition.clone(),
            requested: self.offset(),
            resumed: None,
            reason: Reason::PartitionGone,
        }
    }

    fn offset(&self) -> Option<Offset> {
        match self.place {
            Place::At(mark) => Some(mark.offset),
            Place::Earliest | Place::Since(_) | Place::Latest => None,
        }
    }
}

impl Head {
    fn of(give: Give) -> Option<Self> {
        match give {
            Give::Page(page, offset) => Some(Self {
                index: page.index_of(offset),
                page,
            }),
            Give::Soon | Give::Nothing => None,
        }
    }

    /// What the merge orders by; a hole comes first, because passing it costs nothing.
    fn timestamp(&self) -> Timestamp {
        self.page
            .events()
            .get(self.index)
            .map_or(Timestamp::MIN, |event| event.timestamp)
    }
}

/// How long the merge waits for a partition that is about to give. A page takes milliseconds; a leader that takes longer
/// holds up nobody but its own partitions.
const PATIENCE: Duration = Duration::from_millis(300);

/// Events looked at in one poll, so that a run of skipped ones does not keep a thread from its other clients.
const SCAN: usize = 10_000;
