//! The thread that sends questions and hands out the answers.

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

use super::{
    Desk, Questions,
    pace::{Class, Pace},
    pending::{Asked, Request, What},
    reply::send_all,
};
use crate::{
    health::Side,
    kafka::{
        client::Kind,
        context::Context,
        guard::{self, Guard},
        history::Core,
        reader::{Found, Offsets, Queue, Reader, Token, When},
    },
    partition::{Bounds, HistoryError, TopicPartition},
};

/// Starts the thread, which opens the client: that takes milliseconds, and the caller may be a request.
///
/// # Errors
/// When the system has no thread to give.
pub(in crate::kafka::history) fn spawn(core: Arc<Core>, token: Token) -> io::Result<Arc<Questions>> {
    let desk = Desk::default();
    let questions = Arc::clone(&desk);
    let mut guard = Guard::new(&core.shared, guard::QUESTIONS);
    thread::Builder::new()
        .name(guard::QUESTIONS.to_owned())
        .spawn(move || {
            while !desk.is_closed() {
                // Questions that are in flight are refused when the client is dropped.
                let pause = match guard.catch(|| Asker::serve(&core, &desk, &token)) {
                    Some(()) => AGAIN,
                    None => guard.pause(),
                };
                if desk.refuse_for(pause) {
                    break;
                }
            }
            drop(token);
        })?;
    Ok(questions)
}

/// One client, and the requests that it has in flight.
struct Asker {
    core: Arc<Core>,
    desk: Desk,
    reader: Reader,
    queue: Queue,
    pace: Pace,
    flights: HashMap<usize, Flight>,
    /// The number of the next request.
    next: usize,
    /// Whether metadata is being asked for.
    refreshing: Arc<AtomicBool>,
}

/// A request whose answer has not come.
struct Flight {
    broker: i32,
    sent: Instant,
    step: Step,
}

/// What a request asks, of each of its partitions in this order.
enum Step {
    Starts(Vec<Asked<Bounds>>),
    /// Asked for second: an end that is older than its start would be no bounds.
    Ends(Vec<(Found, Asked<Bounds>)>),
    Times(Vec<(i64, Asked<Found>)>),
}

impl Asker {
    /// Asks with one client, as long as it is of use.
    fn serve(core: &Arc<Core>, desk: &Desk, token: &Token) {
        match Self::open(core, desk, token) {
            Ok(asker) => asker.run(),
            Err(reason) => {
                tracing::error!(cluster = %core.shared.cluster, "no client for questions to brokers: {reason}");
            }
        }
    }

    fn open(core: &Arc<Core>, desk: &Desk, token: &Token) -> Result<Self, String> {
        let context = Context::new(&core.shared, Kind::Questions);
        let reader = Reader::open(&core.questions, context, &core.shared.origin, token.clone())
            .map_err(|error| error.to_string())?;
        let queue = reader.queue().map_err(|code| format!("{code:?}"))?;
        desk.inbox.lock().alarm = Some(queue.alarm());
        Ok(Self {
            core: Arc::clone(core),
            desk: Arc::clone(desk),
            reader,
            queue,
            pace: Pace::default(),
            flights: HashMap::new(),
            next: 0,
            refreshing: Arc::default(),
        })
    }

    /// Asks until there is nobody to ask for, or the brokers that answer are those of another cluster.
    fn run(mut self) {
        while self.send() {
            #[cfg(test)]
            guard::trip(&self.core.shared.cluster);
            if let Some(foreign) = self.reader.foreign() {
                tracing::error!(cluster = %self.core.shared.cluster, "the client for questions begins anew: {foreign}");
                return;
            }
            self.reader.serve();
            let now = Instant::now();
            let until = self.pace.next_due(now).unwrap_or(now + TURN).min(now + TURN);
            let mut answer = self.queue.offsets(until);
            // What has come with it, so that what is sent next knows of all of it.
            for _ in 0..ANSWERS_A_TURN {
                let Some(offsets) = answer else { break };
                self.settle(offsets);
                answer = self.queue.offsets(now);
            }
        }
    }

    /// Sends what can be sent; false when the questions were closed.
    fn send(&mut self) -> bool {
        let now = Instant::now();
        let mut inbox = self.desk.inbox.lock();
        if inbox.closed {
            return false;
        }
        let leaders = &self.core.shared.leaders;
        let requests = inbox
            .pending
            .take(|partition| leaders.of(partition), &mut self.pace, now);
        drop(inbox);
        for Request { broker, what } in requests {
            self.ask(broker, Step::first(what));
        }
        true
    }

    fn ask(&mut self, broker: i32, step: Step) {
        let (request, sent) = (self.next, Instant::now());
        self.next = self.next.wrapping_add(1);
        let asked = step.asked();
        match self
            .reader
            .list_offsets(request, asked.into_iter(), ANSWER, &self.queue)
        {
            Ok(()) => {
                self.flights.insert(request, Flight { broker, sent, step });
            }
            Err(code) => {
                self.pace.answered(broker, step.class(), sent);
                self.refuse(step, code);
            }
        }
    }

    fn settle(&mut self, offsets: Offsets) {
        let Some(Flight { broker, sent, step }) = self.flights.remove(&offsets.request) else {
            return;
        };
        let class = step.class();
        let result = match self.reader.foreign() {
            Some(_) => Err(RDKafkaErrorCode::Fail),
            // librdkafka's blocking call has this name for partitions none of which has a leader that it knows.
            None => offsets.result.map_err(|code| match code {
                RDKafkaErrorCode::NoEnt => RDKafkaErrorCode::UnknownPartition,
                code => code,
            }),
        };
        let silent = match &result {
            Ok(places) => places.len() != step.len() || places.iter().all(is_silent),
            Err(code) => is_silence(*code),
        };
        let now = Instant::now();
        match silent {
            true => self.pace.unanswered(broker, class, sent, now),
            false => self.pace.answered(broker, class, now),
        }
        match result {
            Ok(places) if places.len() == step.len() => self.take(broker, step, places),
            Ok(_) => self.refuse(step, RDKafkaErrorCode::OperationTimedOut),
            Err(code) => self.refuse(step, code),
        }
    }

    /// Hands out what leaders say.
    fn take(&mut self, broker: i32, step: Step, places: Vec<Result<Found, RDKafkaErrorCode>>) {
        match step {
            Step::Starts(asked) => {
                let asked = asked.into_iter().zip(places);
                let found = asked
                    .filter_map(|(asked, place)| Some((self.judge(&asked.partition, place).ok()?, asked)));
                let ends: Vec<_> = found.collect();
                if !ends.is_empty() {
                    self.pace.sent(broker, Class::Bounds);
                    self.ask(broker, Step::Ends(ends));
                }
            }
            Step::Ends(asked) => {
                for ((start, asked), place) in asked.into_iter().zip(places) {
                    let end = self.judge(&asked.partition, place);
                    send_all(asked.replies, end.and_then(|end| bounds(start, end)));
                }
            }
            Step::Times(asked) => {
                for ((_, asked), place) in asked.into_iter().zip(places) {
                    let found = self.judge(&asked.partition, place);
                    send_all(asked.replies, found);
                }
            }
        }
    }

    /// Notes what a leader has said of a partition.
    fn judge(
        &mut self,
        partition: &TopicPartition,
        place: Result<Found, RDKafkaErrorCode>,
    ) -> Result<Found, HistoryError> {
        match place {
            Ok(found) => {
                self.pace.told(partition);
                self.core.shared.success(partition, Side::Bounds);
                Ok(found)
            }
            Err(code) => {
                self.fail(partition, code);
                Err(HistoryError::Unavailable)
            }
        }
    }

    /// Nothing was said of any of these. Those who asked are told so by the drop of their replies.
    fn refuse(&mut self, step: Step, code: RDKafkaErrorCode) {
        self.reader.count(code);
        for (partition, _) in step.asked() {
            // Silence is the broker's, which rests; its partitions may have another leader by now.
            if !is_silence(code) {
                self.pace.refused(partition, Instant::now());
            }
            self.report(partition, code);
            self.refresh(partition);
        }
        tracing::debug!(cluster = %self.core.shared.cluster, "questions were not answered: {code:?}");
    }

    fn fail(&mut self, partition: &TopicPartition, code: RDKafkaErrorCode) {
        self.reader.count(code);
        self.pace.refused(partition, Instant::now());
        self.report(partition, code);
        self.refresh(partition);
        tracing::debug!(cluster = %self.core.shared.cluster, %partition, "a question was refused: {code:?}");
    }

    /// Tells health of a refusal. A leader that does not answer is told of as a broker, and another cluster as such.
    fn report(&self, partition: &TopicPartition, code: RDKafkaErrorCode) {
        if !is_silence(code) && self.reader.foreign().is_none() {
            self.core.shared.fault(partition, Side::Bounds, code, "");
        }
    }

    /// Has librdkafka learn anew who leads the partitions of a topic: of most refusals it draws no conclusions until its next
    /// refresh. On a thread of its own, for the broker that it asks may be mute; one at a time, and as seldom as failures are.
    fn refresh(&self, partition: &TopicPartition) {
        if self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (reader, refreshing) = (self.reader.clone(), Arc::clone(&self.refreshing));
        let topic = Arc::clone(&partition.topic);
        let guard = Guard::new(&self.core.shared, guard::METADATA);
        let spawned = thread::Builder::new()
            .name(guard::METADATA.to_owned())
            .spawn(move || {
                guard.catch(|| reader.home(&topic, ANSWER).map(drop));
                refreshing.store(false, Ordering::Release);
            });
        if spawned.is_err() {
            self.refreshing.store(false, Ordering::Release);
        }
    }
}

impl Step {
    fn first(what: What) -> Self {
        match what {
            What::Bounds(asked) => Self::Starts(asked),
            What::Times(asked) => Self::Times(asked),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Starts(_) | Self::Ends(_) => Class::Bounds,
            Self::Times(_) => Class::Times,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Starts(asked) => asked.len(),
            Self::Ends(asked) => asked.len(),
            Self::Times(asked) => asked.len(),
        }
    }

    fn asked(&self) -> Vec<(&TopicPartition, When)> {
        match self {
            Self::Starts(asked) => asked
                .iter()
                .map(|asked| (&asked.partition, When::Start))
                .collect(),
            Self::Ends(asked) => asked
                .iter()
                .map(|(_, asked)| (&asked.partition, When::End))
                .collect(),
            Self::Times(asked) => asked
                .iter()
                .map(|(time, asked)| (&asked.partition, When::Time(*time)))
                .collect(),
        }
    }
}

fn bounds(start: Found, end: Found) -> Result<Bounds, HistoryError> {
    let (Some(first), Some(last)) = (start.offset, end.offset) else {
        return Err(HistoryError::Unavailable);
    };
    Ok(Bounds {
        start: first,
        // Records may be deleted between the two questions.
        end: last.max(first),
        epoch: end.epoch,
    })
}

fn is_silent(place: &Result<Found, RDKafkaErrorCode>) -> bool {
    place.is_err_and(is_silence)
}

fn is_silence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::OperationTimedOut | Code::AllBrokersDown | Code::BrokerTransportFailure | Code::RequestTimedOut
    )
}

/// What a leader gets to answer, before those who ask are told that it does not.
const ANSWER: Duration = Duration::from_secs(2);

/// How long nobody is asked after the brokers of another cluster have answered, or no client could be opened.
const AGAIN: Duration = Duration::from_secs(2);

/// How long the thread waits at most: librdkafka wants to be heard every second.
const TURN: Duration = Duration::from_millis(500);

/// Answers taken before new requests are sent.
const ANSWERS_A_TURN: usize = 64;
