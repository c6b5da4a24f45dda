//! A safe interface to the parts of librdkafka that rdkafka does not wrap.
//!
//! The legacy consumer API reads without `group.id` (`assign()` demands one), and reports partition, offset and reason of each
//! error. This is the only module that calls C. Its guarantees, and why each call is sound:
//!
//! - Every pointer is owned by one struct and freed once, in the order that librdkafka requires: messages, then queues and
//!   topics, then the client. Every struct that needs the client alive holds an `Arc<ClientHandle>`.
//! - Messages are only lent, and only until the next message is taken: a held one pins its whole fetch buffer.
//! - librdkafka's functions may be called from any thread; a [`KafkaQueue`] is read by one thread at a time (`&mut self`).
#![allow(unsafe_code)] // there is no other way to these functions; everything else of the crate denies it

mod admin_event;
mod cluster_info;
mod discard_queue;
mod list_offsets;
mod message;
mod offsets;
mod queue;
mod topology;

pub(in crate::kafka) use list_offsets::{IsolationLevel, OffsetsResponse};
pub(in crate::kafka) use message::ItemKind;
pub(in crate::kafka) use offsets::{FoundOffset, OffsetSpec};
pub(in crate::kafka) use queue::{KafkaQueue, QueueWaker};
pub(in crate::kafka) use topology::{TopicDescriptions, TopicInfo};

use std::{
    collections::{HashMap, HashSet},
    ffi::CString,
    mem::ManuallyDrop,
    ptr::{self, NonNull},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig,
    bindings::*,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    types::{RDKafka, RDKafkaErrorCode, RDKafkaTopic},
};

use self::discard_queue::{DiscardQueue, PartitionQueue};
use super::{
    config::{ClientKind, client_config},
    context::Context,
};
use crate::{
    kafka::{
        identity::cluster::{ClientGuard, ClusterIdentity},
        shared::ClusterShared,
        shutdown_guard::ShutdownGuard,
        threads,
    },
    position::Offset,
};

/// One client of a cluster, without a group. Clones are the same client.
///
/// Dropping the last clone returns at once. Closing a client of librdkafka takes up to some 100 ms and has been known to hang,
/// so a thread of its own does it.
#[derive(Clone)]
pub(in crate::kafka) struct KafkaReader {
    handle: Arc<ClientHandle>,
}

/// A topic handle's address, by which the items of this reader name their topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::kafka) struct TopicRef(usize);

impl KafkaReader {
    /// Creates a client of this kind, configured by the cluster's settings.
    ///
    /// # Errors
    /// Returns an error if librdkafka rejects the configuration.
    pub(in crate::kafka) fn of_kind(
        kind: ClientKind,
        shared: &ClusterShared,
        shutdown_guard: &ShutdownGuard,
    ) -> Result<Self, KafkaError> {
        let config = client_config(&shared.settings, kind, shared.profile);
        let context = Context::new(shared, kind);
        Self::open(&config, context, &shared.identity, shutdown_guard.clone())
    }

    /// Creates a client with this configuration. If that lacks bootstrap brokers, they are taken from `identity`. The client
    /// connects in the background; this does not wait.
    ///
    /// # Errors
    /// Returns an error if librdkafka rejects the configuration.
    pub(in crate::kafka) fn open(
        config: &ClientConfig,
        context: Context,
        identity: &Arc<ClusterIdentity>,
        shutdown_guard: ShutdownGuard,
    ) -> Result<Self, KafkaError> {
        // Read the version first: a change in between is reported to librdkafka once more.
        let bootstrap_version = AtomicU64::new(identity.bootstrap.version());
        let mut config = config.clone();
        if config.get(BOOTSTRAP_SERVERS).is_none() {
            let servers = cluster_info::servers(&identity.bootstrap.usable());
            config.set(BOOTSTRAP_SERVERS, servers);
        }
        let consumer: BaseConsumer<Context> = config.create_with_context(context)?;
        // SAFETY: the client is alive, and is dropped after the queue.
        let discarded = unsafe { DiscardQueue::new(consumer.client().native_ptr()) };
        Ok(Self {
            handle: Arc::new(ClientHandle(ManuallyDrop::new(ClientInner {
                topics: Mutex::default(),
                discarded: discarded.map_err(|code| KafkaError::ClientCreation(code.to_string()))?,
                consumer,
                identity: Arc::clone(identity),
                bootstrap_version,
                _client_guard: identity.client_guard(),
                _shutdown_guard: shutdown_guard,
            }))),
        })
    }

    /// Creates a queue to start partitions into.
    pub(in crate::kafka) fn queue(&self) -> Result<KafkaQueue, RDKafkaErrorCode> {
        KafkaQueue::new(&self.handle)
    }

    /// Begins to read a partition from `offset` on. Its records and its errors come out of `queue`. Stop it before it is
    /// started again.
    ///
    /// # Errors
    /// Returns an error if librdkafka rejects the arguments, but not if the partition cannot be reached.
    pub(in crate::kafka) fn start(
        &self,
        topic: &Arc<str>,
        partition: i32,
        offset: Offset,
        queue: &KafkaQueue,
    ) -> Result<TopicRef, RDKafkaErrorCode> {
        let topic = self.handle.topic(topic)?;
        let own = self.handle.partition_queue(topic, partition);
        own.ok_or_else(last_error)?.forward(queue.handle());
        // SAFETY: topic and queue belong to this client and are alive: `self` and `queue` hold its handle.
        let started =
            unsafe { rd_kafka_consume_start_queue(topic.as_ptr(), partition, offset, queue.as_ptr()) };
        match started {
            0 => Ok(TopicRef(topic.as_ptr().addr())),
            _ => Err(last_error()),
        }
    }

    /// Stops reading a partition. Its records that a queue already holds are no longer returned, except those that the queue's
    /// owner has buffered. What is still fetched of it is dropped when it comes.
    pub(in crate::kafka) fn stop(&self, topic: &Arc<str>, partition: i32) {
        if let Ok(topic) = self.handle.topic(topic) {
            // Before the stop, which takes back that the partition is one to be read.
            let own = self.handle.partition_queue(topic, partition);
            // SAFETY: the topic belongs to this client and is alive. The call waits for librdkafka's main thread, never for a
            // broker.
            unsafe { rd_kafka_consume_stop(topic.as_ptr(), partition) };
            if let Some(own) = own {
                self.handle.0.discarded.discard(&own);
            }
        }
    }

    /// Frees what is kept of all topics but these.
    pub(in crate::kafka) fn keep_topics(&self, kept: &[Arc<str>]) {
        let kept: HashSet<&Arc<str>> = kept.iter().collect();
        let mut topics = self.handle.0.topics.lock();
        for (_, topic) in topics.0.extract_if(|name, _| !kept.contains(name)) {
            // SAFETY: opened by `ClientHandle::topic`, removed from where it was kept, and so destroyed once. librdkafka itself keeps
            // a topic of which a partition is still read, or that an item of a queue refers to.
            unsafe { rd_kafka_topic_destroy(topic.as_ptr()) };
        }
    }

    /// Runs the callbacks of librdkafka (logs, errors, statistics) and passes changed bootstrap brokers to it. Call it every
    /// second at least, or events pile up in memory. Never waits.
    pub(in crate::kafka) fn poll_events(&self) {
        self.sync_bootstrap();
        for _ in 0..EVENTS_PER_POLL {
            let _ = self.handle.consumer().poll(Duration::ZERO);
        }
    }

    /// Counts an error that came out of a queue.
    pub(in crate::kafka) fn count_error(&self, code: RDKafkaErrorCode) {
        self.handle.consumer().context().count_error(code);
    }
}

/// librdkafka's property for the brokers to ask first.
const BOOTSTRAP_SERVERS: &str = "bootstrap.servers";

/// Events per poll. A burst of logs is drained in a few turns; an empty turn costs a few microseconds.
const EVENTS_PER_POLL: usize = 16;

/// The client that all queues and clones of a reader share.
struct ClientHandle(ManuallyDrop<ClientInner>);

/// The client and all that must be dropped before it. Fields are dropped in this order.
struct ClientInner {
    topics: Mutex<TopicHandles>,
    /// What still comes of partitions that were stopped.
    discarded: DiscardQueue,
    consumer: BaseConsumer<Context>,
    identity: Arc<ClusterIdentity>,
    /// The version of the bootstrap brokers that librdkafka knows.
    bootstrap_version: AtomicU64,
    _client_guard: ClientGuard,
    _shutdown_guard: ShutdownGuard,
}

/// The open topic handles, by name.
#[derive(Default)]
struct TopicHandles(HashMap<Arc<str>, NonNull<RDKafkaTopic>>);

// SAFETY: librdkafka's topic handles may be used and destroyed from any thread.
unsafe impl Send for TopicHandles {}

impl ClientHandle {
    fn consumer(&self) -> &BaseConsumer<Context> {
        &self.0.consumer
    }

    fn client(&self) -> *mut RDKafka {
        self.consumer().client().native_ptr()
    }

    /// Returns the handle of a topic, which is opened once and kept as long as the client.
    fn topic(&self, name: &Arc<str>) -> Result<NonNull<RDKafkaTopic>, RDKafkaErrorCode> {
        let mut topics = self.0.topics.lock();
        if let Some(topic) = topics.0.get(name) {
            return Ok(*topic);
        }
        let text = CString::new(&**name).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        // SAFETY: the client is alive and the name is a C string; a null configuration means the client's defaults.
        let topic = unsafe { rd_kafka_topic_new(self.client(), text.as_ptr(), ptr::null_mut()) };
        let topic = NonNull::new(topic).ok_or_else(last_error)?;
        topics.0.insert(Arc::clone(name), topic);
        Ok(topic)
    }

    /// Returns a partition's own queue, and marks the partition as one to be read.
    fn partition_queue(&self, topic: NonNull<RDKafkaTopic>, partition: i32) -> Option<PartitionQueue> {
        // SAFETY: the client is alive, and the topic is one of its own, which only `keep_topics` frees.
        unsafe { PartitionQueue::of(self.client(), topic, partition) }
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        // SAFETY: taken once, here, and never accessed again.
        let inner = unsafe { ManuallyDrop::take(&mut self.0) };
        // If no thread can be started, the closure comes back in the error, and is dropped here.
        let _ = threads::spawn("kafka-close", move || drop(inner));
    }
}

impl Drop for TopicHandles {
    fn drop(&mut self) {
        for topic in self.0.values() {
            // SAFETY: each was opened once by `ClientHandle::topic`, and the client is dropped after this.
            unsafe { rd_kafka_topic_destroy(topic.as_ptr()) };
        }
    }
}

/// Returns the last error of librdkafka in this thread.
fn last_error() -> RDKafkaErrorCode {
    // SAFETY: reads a thread-local number.
    unsafe { rd_kafka_last_error() }.into()
}

/// Returns a wait in librdkafka's form.
fn millis(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}
