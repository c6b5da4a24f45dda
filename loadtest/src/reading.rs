//! A client that reads numbers, and is cut now and then.

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

/// A reader's progress over any number of connections.
#[derive(Debug)]
pub struct Reading {
    server: SocketAddr,
    ask: Ask,
    /// What it got.
    pub got: Got,
    /// The id of the last whole event.
    pub last_id: Option<String>,
    /// How often it connected.
    pub connects: usize,
    /// Responses other than 200, and connections that failed.
    pub refusals: Vec<String>,
    /// The connections that ended while it wanted more.
    pub ends: Vec<End>,
    /// Events that it had before, where it leaves those out.
    pub repeats: usize,
    seen: Option<HashSet<u64>>,
    /// How long its events took, if that is measured.
    pub stopwatch: Option<Stopwatch>,
    /// Of all readers that share it, for whoever watches.
    delivered: Arc<AtomicU64>,
    /// Begun, and not read from yet.
    begun: Option<Connection>,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// When it was noticed.
    pub at: Moment,
    /// Whether the response was ended in order, by its last chunk.
    pub planned: bool,
}

impl Reading {
    /// Will ask `server` this, and later the same with its last id.
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

    /// Measures too.
    #[must_use]
    pub fn timed(mut self, stopwatch: Stopwatch) -> Self {
        self.stopwatch = Some(stopwatch);
        self
    }

    /// Takes each number once: what comes again it leaves out and counts, as who is told that events may repeat does.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.seen = Some(HashSet::new());
        self
    }

    /// Counts its events here too.
    #[must_use]
    pub fn counted(mut self, delivered: &Arc<AtomicU64>) -> Self {
        self.delivered = Arc::clone(delivered);
        self
    }

    /// Another client that has got what this one has, and goes on from there, through a receive buffer of so many bytes.
    pub fn fork(&self, receive_buffer: u32) -> Self {
        let mut ask = self.ask.clone();
        ask.receive_buffer = Some(receive_buffer);
        let mut fork = Self::new(self.server, ask);
        fork.got = self.got.clone();
        fork.seen.clone_from(&self.seen);
        fork.last_id.clone_from(&self.last_id);
        fork
    }

    /// Reads until it has `count` numbers in all, at the latest until `deadline`; with `cut_after`, connections break
    /// after about so many numbers each, anywhere, also inside an event. Whether it has them.
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

    /// Connects, and waits for the first bytes of the body, which are the prelude: how long that took from the first packet
    /// on. `None` if it was refused, or nothing came within ten seconds.
    pub async fn begin(&mut self) -> Option<Duration> {
        let began = Instant::now();
        let mut connection = self.connect().await?;
        let begun = self.fill(&mut connection, usize::MAX, began + PRELUDE).await;
        let took = began.elapsed();
        self.begun = Some(connection);
        begun.then_some(took)
    }

    /// Reads on, from what it has begun and over as many connections as it takes, until the goal is reached.
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

    /// One connection's worth.
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

    /// Connects and reads one byte a second for so long. The connection, to go on with, unless it ended.
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

    /// One connection's worth; whether it got as far as `upto` numbers in all.
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

    /// Reads some bytes more and breaks off, as a lost connection does: anywhere.
    async fn tear(&mut self, mut connection: Connection) {
        let more = between(1, 3_000);
        self.fill(&mut connection, more, Instant::now() + TEAR).await;
    }

    /// Reads once and takes what is whole; false at the end of the response or of the time.
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

/// Between two attempts that the server did not take.
const RECONNECT: Duration = Duration::from_millis(100);

/// The prelude waits for nothing.
const PRELUDE: Duration = Duration::from_secs(10);

/// How long a reader may be silent until it looks whether it is done.
const LOOK_UP: Duration = Duration::from_millis(500);

/// How long a connection that is about to be torn may stay silent.
const TEAR: Duration = Duration::from_millis(50);
