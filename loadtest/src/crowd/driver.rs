//! A crowd of clients in its own thread: it connects them, reads, reconnects them if requested, and closes
//! them.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{ClientCounts, ClientPool, LoadPlan};
use crate::{ask::Ask, numbers::Faults, stopwatch::Stopwatch};

/// A running crowd. After a drop it runs until the process ends, so call [`finish`](Self::finish).
#[derive(Debug)]
pub struct LoadClients {
    thread: JoinHandle<io::Result<LoadOutcome>>,
    shared: Arc<Shared>,
    /// The counts so far.
    pub tally: Arc<ClientCounts>,
    clients: usize,
    judged: usize,
    began: Instant,
}

/// The request of a client, and the numbers that it must receive first, one for each partition.
#[derive(Clone, Debug)]
pub struct ClientTask {
    /// The request.
    pub ask: Ask,
    /// The expected numbers; `None` for any.
    pub next: Option<Vec<u64>>,
}

/// The result of a crowd.
#[derive(Debug)]
pub struct LoadOutcome {
    /// The faults of all checked clients together.
    pub faults: Faults,
    /// The number of checked clients that received everything.
    pub finished: usize,
    /// The number of checked clients.
    pub judged: usize,
    /// The latency of events, if it was measured.
    pub stopwatch: Option<Stopwatch>,
    /// The number of bytes that each client received.
    pub read: Vec<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// The requested end, and how many checked clients have reached it.
    reached: Mutex<(u64, usize)>,
}

impl LoadClients {
    /// Connects all clients, two hundred at a time. `task` returns the request of each. With `back`, a client
    /// that loses its stream reconnects with its last id, at a random time within this duration.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn start(
        plan: LoadPlan,
        stopwatch: Option<Stopwatch>,
        back: Option<Duration>,
        task: impl Fn(usize) -> ClientTask + Send + 'static,
    ) -> io::Result<Self> {
        Self::of(ClientPool::new(plan, stopwatch)?, back, task)
    }

    /// Does the same without reconnects. Each client gets every `step`-th number of a partition.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn start_stepping(
        plan: LoadPlan,
        step: u64,
        task: impl Fn(usize) -> ClientTask + Send + 'static,
    ) -> io::Result<Self> {
        Self::of(ClientPool::new(plan, None)?.stepping(step), None, task)
    }

    /// Does the same without reconnects. Each client reads no more than `pace` bytes per second.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn start_paced(
        plan: LoadPlan,
        pace: Option<u64>,
        task: impl Fn(usize) -> ClientTask + Send + 'static,
    ) -> io::Result<Self> {
        Self::of(ClientPool::new(plan, None)?.paced(pace), None, task)
    }

    fn of(
        pool: ClientPool,
        back: Option<Duration>,
        task: impl Fn(usize) -> ClientTask + Send + 'static,
    ) -> io::Result<Self> {
        let plan = pool.plan();
        let (clients, judged) = (plan.clients, plan.clients.div_ceil(plan.judge_every));
        let shared = Arc::new(Shared::default());
        let tally = Arc::clone(&pool.tally);
        let driver = LoadDriver {
            pool,
            shared: Arc::clone(&shared),
            task: Box::new(task),
            back,
            first: 0,
            clients,
            judged,
            waiting: BinaryHeap::new(),
            looked: Instant::now(),
        };
        Ok(Self {
            thread: thread::spawn(move || driver.run()),
            shared,
            tally,
            clients,
            judged,
            began: Instant::now(),
        })
    }

    /// Waits until every stream has begun. Returns how long that took from the start, or `None` after
    /// `patience`.
    pub fn wait_until_here(&self, patience: Duration) -> Option<Duration> {
        self.wait(patience, || self.tally.here.load(Relaxed) == self.clients as u64)
    }

    /// Waits until every checked client has every number below `end`.
    pub fn wait_for(&self, end: u64, patience: Duration) -> Option<Duration> {
        self.aim(end);
        self.wait(patience, || self.has_reached(end))
    }

    /// Asks the thread to check which clients have every number below `end`.
    pub fn aim(&self, end: u64) {
        *self.reached() = (end, 0);
    }

    /// Returns whether every checked client had every number below `end` at the last check.
    pub fn has_reached(&self, end: u64) -> bool {
        *self.reached() == (end, self.judged)
    }

    /// Ends the crowd.
    ///
    /// # Errors
    /// If the kernel refused a socket or epoll.
    ///
    /// # Panics
    /// If the thread panicked.
    pub fn finish(self) -> io::Result<LoadOutcome> {
        self.shared.stop.store(true, Relaxed);
        self.thread.join().expect("the crowd's thread")
    }

    fn reached(&self) -> MutexGuard<'_, (u64, usize)> {
        self.shared.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, patience: Duration, done: impl Fn() -> bool) -> Option<Duration> {
        let until = Instant::now() + patience;
        while !done() {
            if Instant::now() > until || self.thread.is_finished() {
                return None;
            }
            thread::sleep(LOOK / 2);
        }
        Some(self.began.elapsed())
    }
}

struct LoadDriver {
    pool: ClientPool,
    shared: Arc<Shared>,
    task: Box<dyn Fn(usize) -> ClientTask + Send>,
    back: Option<Duration>,
    /// The first client that has not connected yet.
    first: usize,
    clients: usize,
    judged: usize,
    /// The clients that will reconnect, and when.
    waiting: BinaryHeap<Reverse<(Instant, usize)>>,
    looked: Instant,
}

impl LoadDriver {
    fn run(mut self) -> io::Result<LoadOutcome> {
        while !self.shared.stop.load(Relaxed) {
            self.let_in()?;
            self.pool.poll(TURN)?;
            self.see_off();
            self.look_who_is_done();
        }
        let (end, _) = *self.shared.reached.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(LoadOutcome {
            faults: self.pool.faults(),
            finished: self.pool.finished(end),
            judged: self.judged,
            read: self.pool.read_by_client(),
            stopwatch: self.pool.into_stopwatch(),
        })
    }

    fn let_in(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while self.pool.tally.coming.load(Relaxed) < AT_ONCE {
            let client = match self.waiting.peek() {
                Some(Reverse((at, client))) if *at <= now => *client,
                _ if self.first < self.clients => self.first,
                _ => break,
            };
            if client == self.first {
                self.first += 1;
            } else {
                self.waiting.pop();
            }
            self.come(client)?;
        }
        Ok(())
    }

    fn come(&mut self, client: usize) -> io::Result<()> {
        let ClientTask { mut ask, next } = (self.task)(client);
        match self.pool.last_id(client) {
            Some(id) => ask.last_event_id = Some(id),
            // Without an id there is no position to continue.
            None => next.iter().for_each(|next| self.pool.expect(client, next)),
        }
        self.pool.come(client, &ask)
    }

    fn see_off(&mut self) {
        while let Some(client) = self.pool.gone.pop_front() {
            if let Some(back) = self.back {
                let at = Instant::now() + back.mul_f64(fastrand::f64());
                self.waiting.push(Reverse((at, client)));
            }
        }
    }

    fn look_who_is_done(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let mut reached = self.shared.reached.lock().unwrap_or_else(PoisonError::into_inner);
        if reached.0 > 0 {
            reached.1 = self.pool.finished(reached.0);
        }
    }
}

/// The maximum number of connections whose stream has not begun. It fits into any backlog.
const AT_ONCE: u64 = 200;

/// The longest wait for an event of a socket.
const TURN: Duration = Duration::from_millis(20);

/// The time between two checks of which clients have everything.
const LOOK: Duration = Duration::from_millis(50);
