//! The thread that sends offset queries and delivers the answers.
//!
//! Not here: which queries are sent when (`pending`, `pacer`).

mod answers;

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{OffsetQueries, SharedQueries, pacer::QueryPacer, request::OffsetsRequest, stage::QueryStage};
use crate::{
    health::FaultSource,
    kafka::{
        client::{
            config::ClientKind,
            context::Context,
            raw::{FoundOffset, KafkaQueue, KafkaReader, OffsetsResponse},
        },
        history::pool_core::PoolCore,
        shutdown_guard::ShutdownGuard,
        threads::{self, PanicHandler},
    },
    partition::TopicPartition,
};

/// Starts the thread. The thread itself opens the client, since that takes milliseconds and the caller may be handling a request.
///
/// # Errors
/// If the system has no thread to give.
pub(in crate::kafka::history) fn spawn(
    core: Arc<PoolCore>,
    shutdown_guard: ShutdownGuard,
) -> io::Result<Arc<OffsetQueries>> {
    let queries = SharedQueries::default();
    let handle = Arc::clone(&queries);
    let mut guard = PanicHandler::new(&core.shared, threads::OFFSET_QUERIES);
    thread::Builder::new()
        .name(threads::OFFSET_QUERIES.to_owned())
        .spawn(move || {
            while !queries.is_closed() {
                // Dropping the client refuses the queries that are in flight.
                let pause = match guard.catch(|| QueryWorker::serve(&core, &queries, &shutdown_guard)) {
                    Some(()) => RETRY_PAUSE,
                    None => guard.pause(),
                };
                if queries.drop_pending_for(pause) {
                    break;
                }
            }
            drop(shutdown_guard);
        })?;
    Ok(handle)
}

/// One client, and its requests in flight.
struct QueryWorker {
    core: Arc<PoolCore>,
    queries: SharedQueries,
    reader: KafkaReader,
    queue: KafkaQueue,
    pacer: QueryPacer,
    in_flight: HashMap<usize, InFlightRequest>,
    /// Number of the next request.
    next: usize,
    /// Whether a metadata refresh is running.
    refreshing: Arc<AtomicBool>,
}

/// A request that has not been answered.
struct InFlightRequest {
    broker: i32,
    sent: Instant,
    stage: QueryStage,
}

impl QueryWorker {
    /// Serves queries with one client for as long as it is usable.
    fn serve(core: &Arc<PoolCore>, queries: &SharedQueries, shutdown_guard: &ShutdownGuard) {
        match Self::open(core, queries, shutdown_guard) {
            Ok(worker) => worker.run(),
            Err(reason) => {
                tracing::error!(
                    cluster = %core.shared.cluster,
                    "cannot create the Kafka client for offset queries: {reason}"
                );
            }
        }
    }

    /// Opens a client, and lets the queue wake it.
    fn open(
        core: &Arc<PoolCore>,
        queries: &SharedQueries,
        shutdown_guard: &ShutdownGuard,
    ) -> Result<Self, String> {
        let context = Context::new(&core.shared, ClientKind::OffsetQueries);
        let reader = KafkaReader::open(
            &core.query_config,
            context,
            &core.shared.identity,
            shutdown_guard.clone(),
        )
        .map_err(|error| error.to_string())?;
        let queue = reader.queue().map_err(|code| format!("{code:?}"))?;
        queries.inbox.lock().waker = Some(queue.waker());
        Ok(Self {
            core: Arc::clone(core),
            queries: Arc::clone(queries),
            reader,
            queue,
            pacer: QueryPacer::default(),
            in_flight: HashMap::new(),
            next: 0,
            refreshing: Arc::default(),
        })
    }

    /// Serves queries until the queue is closed, or the brokers turn out to be those of another cluster.
    fn run(mut self) {
        while self.send_pending() {
            #[cfg(test)]
            threads::panic_if_requested(&self.core.shared.cluster);
            if let Some(wrong_cluster) = self.reader.wrong_cluster() {
                tracing::error!(
                    cluster = %self.core.shared.cluster,
                    "the Kafka client for offset queries is replaced: {wrong_cluster}"
                );
                return;
            }
            self.reader.poll_events();
            let now = Instant::now();
            let until = self
                .pacer
                .next_due(now)
                .unwrap_or(now + POLL_TIMEOUT)
                .min(now + POLL_TIMEOUT);
            let mut answer = self.queue.poll_offsets(until);
            // All answers that have arrived are handled first, so that the next requests take them into account.
            for _ in 0..ANSWERS_PER_POLL {
                let Some(offsets) = answer else { break };
                self.handle_response(offsets);
                answer = self.queue.poll_offsets(now);
            }
        }
    }

    /// Sends the queries that can be sent. Returns `false` if the queue was closed.
    fn send_pending(&mut self) -> bool {
        let now = Instant::now();
        let mut inbox = self.queries.inbox.lock();
        if inbox.closed {
            return false;
        }
        let leaders = &self.core.shared.leaders;
        let requests = inbox
            .pending
            .take(|partition| leaders.leader(partition), &mut self.pacer, now);
        drop(inbox);
        for OffsetsRequest { broker, kind } in requests {
            self.send_request(broker, QueryStage::first(kind));
        }
        true
    }

    /// Sends one stage of a request.
    fn send_request(&mut self, broker: i32, stage: QueryStage) {
        let (request, sent) = (self.next, Instant::now());
        self.next = self.next.wrapping_add(1);
        let partitions = stage.partitions();
        match self.reader.list_offsets(
            request,
            partitions.into_iter(),
            stage.isolation_level(),
            ANSWER_TIMEOUT,
            &self.queue,
        ) {
            Ok(()) => {
                self.in_flight
                    .insert(request, InFlightRequest { broker, sent, stage });
            }
            Err(code) => {
                self.pacer.record_answer(broker, stage.class(), sent);
                self.fail_request(stage, code);
            }
        }
    }

    /// Records the response of a broker with the pacer, and delivers it.
    fn handle_response(&mut self, offsets: OffsetsResponse) {
        let Some(InFlightRequest { broker, sent, stage }) = self.in_flight.remove(&offsets.request) else {
            return;
        };
        let class = stage.class();
        let result = match self.reader.wrong_cluster() {
            Some(_) => Err(RDKafkaErrorCode::Fail),
            // librdkafka's blocking call returns this code if it knows no leader for any of the partitions.
            None => offsets.result.map_err(|code| match code {
                RDKafkaErrorCode::NoEnt => RDKafkaErrorCode::UnknownPartition,
                code => code,
            }),
        };
        let silent = match &result {
            Ok(offsets) => offsets.len() != stage.len() || offsets.iter().all(is_silent),
            Err(code) => is_silence(*code),
        };
        let now = Instant::now();
        match silent {
            true => self.pacer.record_timeout(broker, class, sent, now),
            false => self.pacer.record_answer(broker, class, now),
        }
        match result {
            Ok(offsets) if offsets.len() == stage.len() => self.deliver(broker, stage, offsets),
            Ok(_) => self.fail_request(stage, RDKafkaErrorCode::OperationTimedOut),
            Err(code) => self.fail_request(stage, code),
        }
    }

    /// Fails all partitions of a request. Their callers get an error, because the replies are dropped.
    fn fail_request(&mut self, stage: QueryStage, code: RDKafkaErrorCode) {
        self.reader.count_error(code);
        for (partition, _) in stage.partitions() {
            // A broker that does not answer backs off as a whole. Its partitions may have another leader by now.
            if !is_silence(code) {
                self.pacer.record_refusal(partition, Instant::now());
            }
            self.report_fault(partition, code);
            self.refresh_metadata(partition);
        }
        tracing::debug!(
            cluster = %self.core.shared.cluster,
            "a request with offset queries failed: {code:?}"
        );
    }

    /// Records that a leader refused one partition.
    fn fail_partition(&mut self, partition: &TopicPartition, code: RDKafkaErrorCode) {
        self.reader.count_error(code);
        self.pacer.record_refusal(partition, Instant::now());
        self.report_fault(partition, code);
        self.refresh_metadata(partition);
        tracing::debug!(
            cluster = %self.core.shared.cluster, %partition,
            "an offset query was refused: {code:?}"
        );
    }

    /// Reports a refusal to health. A broker that does not answer, and a wrong cluster, are reported elsewhere.
    fn report_fault(&self, partition: &TopicPartition, code: RDKafkaErrorCode) {
        if !is_silence(code) && self.reader.wrong_cluster().is_none() {
            self.core
                .shared
                .record_fault(partition, FaultSource::Bounds, code, "");
        }
    }

    /// Has librdkafka refresh the leaders of a topic: most refusals do not trigger a refresh before the next periodic one. This
    /// runs on a thread of its own, since the broker asked may not answer. At most one runs at a time, and only after a failure.
    fn refresh_metadata(&self, partition: &TopicPartition) {
        if self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (reader, refreshing) = (self.reader.clone(), Arc::clone(&self.refreshing));
        let topic = Arc::clone(&partition.topic);
        let guard = PanicHandler::new(&self.core.shared, threads::METADATA_REFRESH);
        let spawned = thread::Builder::new()
            .name(threads::METADATA_REFRESH.to_owned())
            .spawn(move || {
                guard.catch(|| reader.cluster_info(&topic, ANSWER_TIMEOUT).map(drop));
                refreshing.store(false, Ordering::Release);
            });
        if spawned.is_err() {
            self.refreshing.store(false, Ordering::Release);
        }
    }
}

fn is_silent(offset: &Result<FoundOffset, RDKafkaErrorCode>) -> bool {
    offset.is_err_and(is_silence)
}

fn is_silence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::OperationTimedOut | Code::AllBrokersDown | Code::BrokerTransportFailure | Code::RequestTimedOut
    )
}

/// Time that a leader has to answer before the query fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause after the brokers of another cluster have answered, or after no client could be opened. Queries are refused meanwhile.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Longest wait for an answer: librdkafka's events must be polled every second.
const POLL_TIMEOUT: Duration = Duration::from_millis(500);

/// Answers handled before new requests are sent.
const ANSWERS_PER_POLL: usize = 64;
