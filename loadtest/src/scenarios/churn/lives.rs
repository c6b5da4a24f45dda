//! The lives of clients: when each reads, lags, is cut, reconnects and leaves.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use crate::{
    ask::Ask,
    crowd::{ClientPool, address},
    numbers::Faults,
};

/// All clients, and the next act of each with its time.
pub(super) struct ClientChurn {
    pool: ClientPool,
    addresses: usize,
    /// The unused indexes of clients.
    free: Vec<usize>,
    plans: BinaryHeap<Reverse<(Instant, usize, Next)>>,
    began: Instant,
    per_second: f64,
    /// The number of connections started.
    pub(super) connects: u64,
    /// The number of these by clients that were cut.
    pub(super) returns: u64,
    /// How often a client stopped reading.
    pub(super) lags: u64,
    /// The number of clients that had read for seconds and lacked something older.
    pub(super) behind: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// The client stops reading.
    Lag,
    /// The client continues to read.
    Wake,
    /// The client loses its connection, at any byte.
    Cut,
    /// The client reconnects with its last id.
    Return,
    /// The client leaves for good.
    Leave,
}

impl ClientChurn {
    pub(super) fn new(pool: ClientPool, per_second: f64, addresses: usize) -> Self {
        Self {
            free: (0..pool.len()).rev().collect(),
            pool,
            addresses,
            plans: BinaryHeap::new(),
            began: Instant::now(),
            per_second,
            connects: 0,
            returns: 0,
            lags: 0,
            behind: 0,
        }
    }

    /// Performs the acts that are due, and reads. A client that has read for a while should have every number
    /// below `end`.
    pub(super) fn turn(&mut self, end: u64) -> io::Result<()> {
        let now = Instant::now();
        while let Some(Reverse((at, client, next))) = self.plans.peek().copied()
            && at <= now
        {
            self.plans.pop();
            self.act(client, next, end)?;
        }
        let due = (self.began.elapsed().as_secs_f64() * self.per_second) as u64;
        while self.connects < due
            && let Some(client) = self.free.pop()
        {
            self.pool.forget(client);
            self.come(client)?;
            self.plan_life(client);
        }
        self.pool.poll(TURN)?;
        // These are counted. Their indexes become free when their time is over.
        self.pool.gone.clear();
        Ok(())
    }

    pub(super) fn all_leave(&mut self) {
        (0..self.pool.len()).for_each(|client| self.pool.leave(client));
    }

    pub(super) fn here(&self) -> u64 {
        self.pool.tally.here.load(Relaxed)
    }

    /// Returns the number of streams that ended without being closed by the client, and of connections that
    /// got none.
    pub(super) fn ended(&self) -> u64 {
        self.pool.tally.gone()
    }

    pub(super) fn gaps(&self) -> u64 {
        self.pool.tally.gaps.load(Relaxed)
    }

    pub(super) fn delivered(&self) -> u64 {
        self.pool.tally.judged_events.load(Relaxed)
    }

    pub(super) fn faults(&self) -> Faults {
        self.pool.faults()
    }

    fn come(&mut self, client: usize) -> io::Result<()> {
        self.connects += 1;
        let mut ask = Ask::new("/v2/stream/numbers").resume(self.pool.last_id(client));
        ask.from = Some(address(client, self.addresses));
        ask.receive_buffer = Some(RECEIVE_BUFFER);
        self.pool.come(client, &ask)
    }

    /// Half of the clients read and leave. Of the others, some lag first and some are cut first.
    fn plan_life(&mut self, client: usize) {
        let mut at = Instant::now() + seconds(1.0, 10.0);
        let detour = match fastrand::u8(0..10) {
            0..3 => Some((Next::Lag, Next::Wake, seconds(2.0, 10.0))),
            3..5 => Some((Next::Cut, Next::Return, seconds(0.0, 5.0))),
            _ => None,
        };
        if let Some((away, back, how_long)) = detour {
            self.plan(at, client, away);
            at += how_long;
            self.plan(at, client, back);
            at += seconds(CATCH_UP, 10.0);
        }
        self.plan(at, client, Next::Leave);
    }

    fn plan(&mut self, at: Instant, client: usize, next: Next) {
        self.plans.push(Reverse((at, client, next)));
    }

    fn act(&mut self, client: usize, next: Next, end: u64) -> io::Result<()> {
        match next {
            Next::Lag => {
                self.lags += 1;
                self.pool.set_reading(client, false)
            }
            Next::Wake => self.pool.set_reading(client, true),
            Next::Cut => {
                self.pool.leave(client);
                Ok(())
            }
            Next::Return => {
                self.returns += 1;
                self.come(client)
            }
            Next::Leave => {
                // A client without any event connected when nothing was written, or is counted by `ended`.
                self.behind += u64::from(self.pool.is_behind(client, end));
                self.pool.leave(client);
                self.free.push(client);
                Ok(())
            }
        }
    }
}

fn seconds(least: f64, most: f64) -> Duration {
    Duration::from_secs_f64(least + fastrand::f64() * (most - least))
}

/// Small, so that a client that lags is noticed by the gateway, and not by the kernel only.
const RECEIVE_BUFFER: u32 = 8 * 1024;

/// The minimum time that a client gets to catch up, in seconds.
const CATCH_UP: f64 = 3.0;

/// The longest wait for something to read.
const TURN: Duration = Duration::from_millis(5);
