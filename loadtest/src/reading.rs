//! A client that reads numbers, and whose connections are cut now and then.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant as Moment},
};

use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    ask::Ask,
    blocks::{Block, Blocks},
    goal::Goal,
    numbers::{Got, number},
    response::Response,
    stopwatch::Stopwatch,
};

/// The progress of a reader over any number of connections.
#[derive(Debug)]
pub struct Reading {
    server: SocketAddr,
    ask: Ask,
    /// What it received.
    pub got: Got,
    /// The id of the last whole event.
    pub last_id: Option<String>,
    /// How often it connected.
    pub connects: usize,
    /// The responses other than 200, and the connections that failed.
    pub refusals: Vec<String>,
    /// The connections that ended before the goal was reached.
    pub ends: Vec<End>,
    /// The number of repeated events that were left out, if repeats are left out.
    pub repeats: usize,
    seen: Option<HashSet<u64>>,
    /// The latency of events, if it is measured.
    pub stopwatch: Option<Stopwatch>,
    /// The number of events of all readers that share this counter.
    delivered: Arc<AtomicU64>,
    /// A connection that has begun and was not read from yet.
    begun: Option<Connection>,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// When the end was noticed.
    pub at: Moment,
    /// Whether the response ended in order, with its last chunk.
    pub planned: bool,
}

impl Reading {
    /// Creates a reader that sends `ask` to `server`, and later the same request with its last id.
    pub fn new(server: SocketAddr, ask: Ask) -> Self {
        let last_id = ask.last_event_id.clone();
        Self {
            server,
            ask,
            got: Got::default(),
            last_id,
            connects: 0,
            refusals: Vec::new(),
            ends: Vec::new(),
            repeats: 0,
            seen: None,
            stopwatch: None,
            delivered: Arc::default(),
            begun: None,
        }
    }

    /// Also measures latencies.
    #[must_use]
    pub fn timed(mut self, stopwatch: Stopwatch) -> Self {
        self.stopwatch = Some(stopwatch);
        self
    }

    /// Takes each number once. Repeats are left out and counted, as by a client that knows that events may
    /// repeat.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.seen = Some(HashSet::new());
        self
    }

    /// Also counts events in this counter.
    #[must_use]
    pub fn counted(mut self, delivered: &Arc<AtomicU64>) -> Self {
        self.delivered = Arc::clone(delivered);
        self
    }

    /// Returns another client that has received what this one has, and that continues there with a receive
    /// buffer of this size.
    pub fn fork(&self, receive_buffer: u32) -> Self {
        let mut ask = self.ask.clone();
        ask.receive_buffer = Some(receive_buffer);
        let mut fork = Self::new(self.server, ask);
        fork.got = self.got.clone();
        fork.seen.clone_from(&self.seen);
        fork.last_id.clone_from(&self.last_id);
        fork
    }

    /// Reads until there are `count` numbers in all, or until `deadline`. With `cut_after`, each connection
    /// is cut after about this many numbers, anywhere, also inside an event. Returns whether all numbers were
    /// received.
    pub async fn read(&mut self, count: usize, cut_after: Option<usize>, deadline: Instant) -> bool {
        while self.got.numbers.len() < count {
            let upto = cut_after.map_or(count, |cut| self.got.numbers.len() + between(cut / 2, cut));
            match self.connect().await {
                Some(mut connection) => {
                    let done = self.read_from(&mut connection, upto.min(count), deadline).await;
                    if done && upto < count {
                        self.tear(connection).await;
                    }
                }
                None => sleep(RECONNECT).await,
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.got.numbers.len() >= count
    }

    /// Connects, and waits for the first bytes of the body, which are the prelude. Returns the time from the
    /// first packet on, or `None` if the connection was refused or there was no byte within ten seconds.
    pub async fn begin(&mut self) -> Option<Duration> {
        let began = Instant::now();
        let mut connection = self.connect().await?;
        let begun = self.fill(&mut connection, usize::MAX, began + PRELUDE).await;
        let took = began.elapsed();
        self.begun = Some(connection);
        begun.then_some(took)
    }

    /// Continues to read, over as many connections as necessary, until the goal is reached.
    pub async fn follow(&mut self, goal: &Goal) {
        while !goal.is_reached(self.got.numbers.len()) {
            let begun = self.begun.take();
            let connection = if begun.is_some() {
                begun
            } else {
                self.connect().await
            };
            match connection {
                Some(mut connection) => self.follow_from(&mut connection, goal).await,
                None => sleep(RECONNECT).await,
            }
        }
    }

    /// Reads from one connection.
    async fn follow_from(&mut self, connection: &mut Connection, goal: &Goal) {
        while !goal.is_reached(self.got.numbers.len()) {
            let look_up = Instant::now() + LOOK_UP;
            if !self.fill(connection, usize::MAX, look_up).await && Instant::now() < look_up {
                let planned = connection.response.ended();
                self.ends.push(End {
                    at: Moment::now(),
                    planned,
                });
                return;
            }
        }
    }

    /// Connects, and reads one byte per second for this time. Returns the connection for further use, unless
    /// it ended.
    pub(crate) async fn trickle(&mut self, slowly: Duration) -> Option<Connection> {
        let mut connection = self.connect().await?;
        let until = Instant::now() + slowly;
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        while seconds.tick().await < until {
            if !self.fill(&mut connection, 1, until).await {
                return None;
            }
        }
        Some(connection)
    }

    async fn connect(&mut self) -> Option<Connection> {
        self.connects += 1;
        let ask = self.ask.clone().resume(self.last_id.clone());
        match Response::connect(self.server, &ask).await {
            Ok(response) if response.status == 200 => Some(Connection {
                response,
                blocks: Blocks::default(),
            }),
            Ok(response) => {
                self.refusals.push(response.head);
                None
            }
            Err(error) => {
                self.refusals.push(error.to_string());
                None
            }
        }
    }

    /// Reads from one connection. Returns whether there are `upto` numbers in all.
    pub(crate) async fn read_from(
        &mut self,
        connection: &mut Connection,
        upto: usize,
        deadline: Instant,
    ) -> bool {
        while self.got.numbers.len() < upto {
            if !self.fill(connection, usize::MAX, deadline).await {
                return false;
            }
        }
        true
    }

    /// Reads some more bytes and closes the connection anywhere, as when a connection is lost.
    async fn tear(&mut self, mut connection: Connection) {
        let more = between(1, 3_000);
        self.fill(&mut connection, more, Instant::now() + TEAR).await;
    }

    /// Reads once and takes whole events. Returns false at the end of the response or of the time.
    async fn fill(&mut self, connection: &mut Connection, limit: usize, deadline: Instant) -> bool {
        let Connection { response, blocks } = connection;
        match timeout_at(deadline, response.read(limit, blocks.tail())).await {
            Ok(Ok(read)) if read > 0 => self.take_all(blocks) && !response.ended(),
            _ => false,
        }
    }

    fn take_all(&mut self, blocks: &mut Blocks) -> bool {
        let now = Moment::now();
        let before = self.got.numbers.len();
        let taken = loop {
            match blocks.next() {
                Ok(Some(block)) => self.take(block, now),
                Ok(None) => break true,
                Err(error) => {
                    self.got.strange.push(error.to_string());
                    break false;
                }
            }
        };
        let more = self.got.numbers.len() - before;
        self.delivered.fetch_add(more as u64, Ordering::Relaxed);
        taken
    }

    fn take(&mut self, block: Block<'_>, now: Moment) {
        if let Some(id) = block.id {
            let last = self.last_id.get_or_insert_default();
            last.clear();
            last.push_str(id);
        }
        let Some(data) = block.data else { return };
        if block.event == Some("gap") {
            self.got.gaps.push(data.to_owned());
        } else if let Some(number) = number(data) {
            if !self.seen.as_mut().is_none_or(|seen| seen.insert(number)) {
                self.repeats += 1;
                return;
            }
            self.got.numbers.push(number);
            if let Some(stopwatch) = &mut self.stopwatch {
                stopwatch.arrived(number, now);
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    response: Response,
    blocks: Blocks,
}

fn between(low: usize, high: usize) -> usize {
    fastrand::usize(low.max(1)..=high.max(low).max(1))
}

/// The pause after an attempt that the server refused.
const RECONNECT: Duration = Duration::from_millis(100);

/// The prelude waits for nothing on the server's side.
const PRELUDE: Duration = Duration::from_secs(10);

/// The time without events after which a reader checks whether it is done.
const LOOK_UP: Duration = Duration::from_millis(500);

/// The time without bytes after which a connection that is about to be cut is closed.
const TEAR: Duration = Duration::from_millis(50);
