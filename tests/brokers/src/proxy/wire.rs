//! The state that the connections of a proxy share: the current flow, the counters, and the connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Counts, Direction, connection::Connection};

/// The flow of bytes in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlowMode {
    Free,
    Stopped,
    Late(Duration),
    /// Bytes per second.
    Narrow(u64),
}

#[derive(Debug)]
pub(super) struct Wire {
    pub(super) target: SocketAddr,
    lanes: Mutex<[DirectionState; 2]>,
    changed: Condvar,
    connections: Mutex<Vec<Weak<Connection>>>,
    forwarded: [AtomicU64; 2],
    accepted: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct DirectionState {
    flow: FlowMode,
    /// When the last byte admitted so far has passed, if the bandwidth is limited.
    busy_until: Instant,
}

impl Wire {
    pub(super) fn new(target: SocketAddr) -> Self {
        let lane = DirectionState {
            flow: FlowMode::Free,
            busy_until: Instant::now(),
        };
        Self {
            target,
            lanes: Mutex::new([lane; 2]),
            changed: Condvar::new(),
            connections: Mutex::default(),
            forwarded: Default::default(),
            accepted: AtomicU64::new(0),
        }
    }

    /// Sets the flow, in one direction or in both.
    pub(super) fn set_flow(&self, direction: Option<Direction>, flow: FlowMode) {
        let mut lanes = self.lanes();
        for side in [Direction::ToBroker, Direction::ToClient] {
            if direction.is_none_or(|wanted| wanted == side) {
                lanes[side as usize].flow = flow;
            }
        }
        self.changed.notify_all();
    }

    /// Returns when bytes that have just been read may be forwarded.
    pub(super) fn due(&self, direction: Direction, bytes: usize) -> Instant {
        let now = Instant::now();
        let lane = &mut self.lanes()[direction as usize];
        match lane.flow {
            FlowMode::Free | FlowMode::Stopped => now,
            FlowMode::Late(delay) => now + delay,
            FlowMode::Narrow(rate) => {
                let takes = Duration::from_secs_f64(bytes as f64 / rate as f64);
                lane.busy_until = lane.busy_until.max(now) + takes;
                lane.busy_until
            }
        }
    }

    /// Returns how many bytes to read at once: few if the bandwidth is limited, so that they flow evenly.
    pub(super) fn sip(&self, direction: Direction) -> usize {
        match self.lanes()[direction as usize].flow {
            FlowMode::Narrow(rate) => usize::try_from(rate / SIPS_PER_SECOND)
                .unwrap_or(MOST_AT_ONCE)
                .clamp(1, MOST_AT_ONCE),
            FlowMode::Free | FlowMode::Stopped | FlowMode::Late(_) => MOST_AT_ONCE,
        }
    }

    /// Waits while the flow is stopped. Returns at once for a connection that has been reset.
    pub(super) fn wait_while_stopped(&self, direction: Direction, connection: &Connection) {
        let stopped = |lanes: &mut [DirectionState; 2]| {
            lanes[direction as usize].flow == FlowMode::Stopped && !connection.is_reset()
        };
        drop(
            self.changed
                .wait_while(self.lanes(), stopped)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    pub(super) fn count_forwarded(&self, direction: Direction, bytes: usize) {
        self.forwarded[direction as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn register(&self, connection: &Arc<Connection>) {
        let mut connections = self.connections();
        connections.retain(|known| known.strong_count() > 0);
        connections.push(Arc::downgrade(connection));
    }

    pub(super) fn reset_all(&self) {
        let connections: Vec<_> = self
            .connections()
            .drain(..)
            .filter_map(|known| known.upgrade())
            .collect();
        // Under the lock, so that no waiting thread misses the change between its check and its wait.
        let lanes = self.lanes();
        connections.iter().for_each(|connection| connection.reset());
        self.changed.notify_all();
        drop(lanes);
    }

    pub(super) fn counts(&self) -> Counts {
        let open = self
            .connections()
            .iter()
            .filter(|known| known.strong_count() > 0)
            .count();
        Counts {
            to_broker: self.forwarded[Direction::ToBroker as usize].load(Ordering::Relaxed),
            to_client: self.forwarded[Direction::ToClient as usize].load(Ordering::Relaxed),
            open: open as u64,
            accepted: self.accepted.load(Ordering::Relaxed),
        }
    }

    fn lanes(&self) -> MutexGuard<'_, [DirectionState; 2]> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The size of the buffers of each direction of each connection. A fetch response is tens of these.
pub(super) const MOST_AT_ONCE: usize = 64 * 1024;

/// 50 ms apart: a slow link is slow evenly.
const SIPS_PER_SECOND: u64 = 20;
