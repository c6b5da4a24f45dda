//! Turns of clients, so that the pages of those that are being read for fit into the cache together.
//!
//! A client takes a page in batches of 64 KiB, and holds nothing in between. If its page is evicted meanwhile, it is fetched
//! again. So many clients at different places would read every page many times. Instead, as many of them as fit have their turn,
//! and the others wait in line.
//!
//! A client that finds its pages in the cache, or whose page another one has requested, needs no turn.
//!
//! A client that reads one partition on and on has its turn when a fetch of [`RUN_FETCH_BYTES`] fits, because many small fetches
//! take longer than a few large ones. Clients that came a moment ago, and may want a few events only, need less room.
//!
//! Not here: the order of requests within a turn (`request_queue`), and the cache itself (`cache`).

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{log_key::LogKey, pool::own_client_key};
use crate::{
    client::ClientKey,
    kafka::client::config::{FETCH_BYTES, RUN_AFTER, RUN_FETCH_BYTES},
};

/// The clients that have their turn, and those in line. Shared by all readers of a cluster, because a client that merges
/// partitions needs a page of each of them.
#[derive(Debug)]
pub(super) struct Turns {
    /// Bytes that the pages of all turns may take.
    room: usize,
    state: Mutex<TurnState>,
}

#[derive(Debug)]
struct TurnState {
    /// The clients that requested a page of late.
    clients: HashMap<ClientKey, Demand>,
    /// The clients that have their turn.
    reading: Vec<ClientKey>,
    /// Bytes that their pages take, as of the last sweep and of those that came since.
    taken: usize,
    /// The clients in line: ticket to client.
    line: BTreeMap<u64, ClientKey>,
    next_ticket: u64,
    /// The size of a fetch, as the mean of the last ones.
    mean_fetch: usize,
    /// When those were last looked for that request nothing any more.
    last_sweep: Option<Instant>,
}

/// What a client requests.
#[derive(Debug)]
struct Demand {
    /// The logs that it reads, and the size of the last fetch of each; `None` if there was none.
    logs: Vec<(LogKey, Option<usize>)>,
    /// Bytes that were fetched for it since it came.
    fetched: usize,
    /// When it last requested a page, or one that it waits for was last looked at.
    last_seen: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// It has what it requested from the cache, or from a read for another client, as far as is known.
    Served,
    /// It is in line, with this ticket.
    InLine(u64),
    /// It has its turn.
    Reading {
        /// Bytes that were fetched for it since the turn began.
        bytes: usize,
        /// When the turn began.
        since: Instant,
        /// Whether there is room for a fetch of [`RUN_FETCH_BYTES`].
        may_run: bool,
    },
}

impl Turns {
    /// Creates the turns of a pool whose cache has `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            // The other half is what started partitions may hold fetched ahead.
            room: budget / 2,
            state: Mutex::new(TurnState {
                clients: HashMap::new(),
                reading: Vec::new(),
                taken: 0,
                line: BTreeMap::new(),
                next_ticket: 0,
                mean_fetch: FETCH_BYTES,
                last_sweep: None,
            }),
        }
    }

    /// Records that a client requests a page of a log. A client requests those of all its partitions before it waits for one, so
    /// it is known how much it needs when its turn comes.
    pub(super) fn expect(&self, client: ClientKey, log: LogKey, now: Instant) {
        let mut state = self.state.lock();
        state.sweep(now);
        state.demand(client, now).add(log);
    }

    /// Returns whether a page may be read for `client` now. Otherwise it is in line.
    pub(super) fn admit(&self, client: ClientKey, now: Instant) -> bool {
        if client == own_client_key() {
            return true;
        }
        let mut state = self.state.lock();
        state.sweep(now);
        match state.demand(client, now).stage {
            Stage::Reading { .. } => state.goes_on(client, self.room, now),
            Stage::Served | Stage::InLine(_) => state.enter(client, self.room, now),
        }
    }

    /// Records that `bytes` of a log were fetched for a client; none if all that it got had been fetched before.
    pub(super) fn record_read(&self, client: ClientKey, log: LogKey, bytes: usize) {
        let mut state = self.state.lock();
        if bytes == 0 {
            return;
        }
        let before = state.footprint(client);
        state.mean_fetch = (state.mean_fetch * 7 + bytes) / 8;
        let Some(demand) = state.clients.get_mut(&client) else {
            return;
        };
        demand.record_read(log, bytes);
        if matches!(demand.stage, Stage::Reading { .. }) {
            state.taken = state.taken.saturating_sub(before) + state.footprint(client);
        }
    }

    /// Returns whether a fetch of [`RUN_FETCH_BYTES`] of a log fits beside the pages of all turns, in place of the client's last one.
    pub(super) fn fits_run(&self, client: Option<ClientKey>, log: LogKey) -> bool {
        let state = self.state.lock();
        let demand = client.and_then(|client| state.clients.get(&client));
        if demand.is_some_and(Demand::may_run) {
            return true;
        }
        // Half of the last fetch of each partition is lost when the turn of a client that merges several ends.
        if demand.is_some_and(|demand| demand.logs.len() > 1) && !state.line.is_empty() {
            return false;
        }
        let last = demand.map_or(0, |demand| demand.counted_of(log, state.mean_fetch));
        let others = state.taken.saturating_sub(footprint(last));
        others.saturating_add(RUN_FOOTPRINT) <= self.room
    }

    /// Returns whether at most one client reads.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.line.is_empty() && state.reading.len() <= 1
    }
}

impl TurnState {
    /// Returns what is known of a client that was seen now.
    fn demand(&mut self, client: ClientKey, now: Instant) -> &mut Demand {
        let demand = self.clients.entry(client).or_insert_with(|| Demand {
            logs: Vec::new(),
            fetched: 0,
            last_seen: now,
            stage: Stage::Served,
        });
        demand.last_seen = now;
        demand
    }

    /// Returns the memory of the pages that a client needs at once.
    fn footprint(&self, client: ClientKey) -> usize {
        let demand = self.clients.get(&client);
        demand.map_or(0, |demand| demand.footprint(self.mean_fetch))
    }

    /// Goes on with a client's turn. Ends it if the client has had enough while others wait, or if it reads on and on, and there
    /// is no room for large fetches beside the others' pages: it goes on when there is.
    fn goes_on(&mut self, client: ClientKey, room: usize, now: Instant) -> bool {
        let others_wait = !self.line.is_empty();
        let others = self.taken.saturating_sub(self.footprint(client));
        let has_room = others.saturating_add(RUN_FOOTPRINT) <= room;
        let demand = self.demand(client, now);
        let is_crowded = demand.should_begin_run() && !has_room && RUN_FOOTPRINT <= room;
        let is_over = is_crowded || (others_wait && demand.has_had_enough(now));
        if is_over {
            demand.stage = Stage::Served;
            self.reading.retain(|reading| *reading != client);
            self.count_taken();
            self.line_up(client, now);
        } else {
            if has_room {
                demand.begin_run();
            }
            self.taken = others.saturating_add(self.footprint(client));
        }
        !is_over
    }

    /// Begins the turn of a client if it is one of the next in line and its pages fit, or if nobody reads.
    fn enter(&mut self, client: ClientKey, room: usize, now: Instant) -> bool {
        let ticket = self.line_up(client, now);
        let is_next = self.line.keys().take(NEXT).any(|next| *next == ticket);
        // A client that needs more than there is room for reads alone.
        let taken = self.taken.saturating_add(self.footprint(client));
        if !is_next || (taken > room && !self.reading.is_empty()) {
            return false;
        }
        self.line.remove(&ticket);
        self.reading.push(client);
        self.taken = taken;
        let demand = self.demand(client, now);
        demand.stage = Stage::Reading {
            bytes: 0,
            since: now,
            may_run: demand.is_replay(),
        };
        true
    }

    fn count_taken(&mut self) {
        let bytes = self.reading.iter().map(|client| self.footprint(*client));
        self.taken = bytes.sum();
    }

    /// Puts a client at the end of the line, unless it is in it. Returns its ticket.
    fn line_up(&mut self, client: ClientKey, now: Instant) -> u64 {
        let next = self.next_ticket;
        let demand = self.demand(client, now);
        if let Stage::InLine(ticket) = demand.stage {
            return ticket;
        }
        demand.stage = Stage::InLine(next);
        self.line.insert(next, client);
        self.next_ticket += 1;
        next
    }

    /// Forgets the clients that request nothing any more.
    fn sweep(&mut self, now: Instant) {
        let is_due = |last| now.saturating_duration_since(last) >= SWEEP_INTERVAL;
        if !self.last_sweep.is_none_or(is_due) {
            return;
        }
        self.last_sweep = Some(now);
        let line = &mut self.line;
        self.clients.retain(|_, demand| {
            let is_kept = now.saturating_duration_since(demand.last_seen) < FORGET_AFTER;
            if let (false, Stage::InLine(ticket)) = (is_kept, &demand.stage) {
                line.remove(ticket);
            }
            is_kept
        });
        let clients = &self.clients;
        self.reading.retain(|client| clients.contains_key(client));
        self.count_taken();
    }
}

impl Demand {
    /// Adds a log, unless it is known. Those beyond [`MAX_LOGS`] are not counted.
    fn add(&mut self, log: LogKey) {
        if self.logs.len() < MAX_LOGS && !self.logs.iter().any(|(known, _)| *known == log) {
            self.logs.push((log, None));
        }
    }

    /// Returns whether the client reads one partition on and on, so that large fetches are worth their room.
    fn is_replay(&self) -> bool {
        self.logs.len() == 1 && self.fetched >= RUN_AFTER
    }

    /// Returns whether the client goes on with large fetches, for which there was no room so far.
    fn should_begin_run(&self) -> bool {
        self.is_replay() && matches!(self.stage, Stage::Reading { may_run: false, .. })
    }

    /// Returns whether its turn has room for large fetches.
    fn may_run(&self) -> bool {
        self.logs.len() == 1 && matches!(self.stage, Stage::Reading { may_run: true, .. })
    }

    /// Takes room for large fetches, if the client goes on with them.
    fn begin_run(&mut self) {
        let is_replay = self.is_replay();
        if let Stage::Reading { may_run, .. } = &mut self.stage {
            *may_run |= is_replay;
        }
    }

    fn record_read(&mut self, log: LogKey, of_fetch: usize) {
        self.fetched = self.fetched.saturating_add(of_fetch);
        if let Stage::Reading { bytes, .. } = &mut self.stage {
            *bytes += of_fetch;
        }
        self.add(log);
        if let Some((_, last)) = self.logs.iter_mut().find(|(known, _)| *known == log) {
            *last = Some(of_fetch);
        }
    }

    /// Returns the bytes that count for this log while the client has its turn.
    fn counted_of(&self, log: LogKey, mean_fetch: usize) -> usize {
        let known = self.logs.iter().find(|(known, _)| *known == log);
        match self.stage {
            Stage::Reading { .. } => known.map_or(0, |(_, last)| self.counted(*last, mean_fetch)),
            Stage::Served | Stage::InLine(_) => 0,
        }
    }

    /// Returns the memory of the pages that the client needs at once, if a fetch has `mean_fetch` bytes.
    fn footprint(&self, mean_fetch: usize) -> usize {
        if self.logs.is_empty() {
            return footprint(mean_fetch);
        }
        let fetches = self.logs.iter().map(|(_, last)| self.counted(*last, mean_fetch));
        footprint(fetches.sum())
    }

    /// Returns the bytes that count for a log whose last fetch had `last` bytes.
    fn counted(&self, last: Option<usize>, mean_fetch: usize) -> usize {
        let of_run = match self.stage {
            Stage::Reading { .. } => self.may_run(),
            Stage::Served | Stage::InLine(_) => self.is_replay(),
        };
        let last = last.unwrap_or(mean_fetch);
        if of_run { last.max(RUN_FETCH_BYTES) } else { last }
    }

    /// Returns whether others may have their turn now.
    fn has_had_enough(&self, now: Instant) -> bool {
        let Stage::Reading { bytes, since, .. } = self.stage else {
            return true;
        };
        let enough = match self.logs.len() {
            // The records of a fetch have a little less than its bytes.
            0 | 1 => TURN_BYTES - FETCH_BYTES,
            logs => MERGED_TURN_BYTES * logs,
        };
        bytes >= enough || now.saturating_duration_since(since) >= MAX_TURN
    }
}

/// Returns the memory of the pages of fetches of `bytes`: their events and lines take a third more than the records.
const fn footprint(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 3)
}

/// Bytes that a client of one partition gets in a turn while others wait: one large fetch, or as much in small ones. It has taken
/// them all when its turn ends. Longer turns save little: to begin at a place costs half a batch of the producer, and the next
/// place is fetched while the pages of this one are built. But they take more of the cache for each client, and those in line wait
/// longer.
const TURN_BYTES: usize = RUN_FETCH_BYTES;

/// The memory of the pages of a large fetch.
const RUN_FOOTPRINT: usize = footprint(RUN_FETCH_BYTES);

/// Bytes of each partition that a client which merges several gets in a turn. When its turn ends it has taken about half of the last
/// fetch of each, and the other half may be fetched again. With 1 MiB, 40 clients of 6 partitions fetched 1.6 times what they took.
const MERGED_TURN_BYTES: usize = 3 << 20;

/// The longest turn while others wait. A slow client would otherwise keep others waiting for minutes.
const MAX_TURN: Duration = Duration::from_secs(5);

/// Time without a request after which a client's turn, or its place in line, is free. A client that takes 200 KB/s requests a page
/// that often. One that has what it wanted keeps the place of others for as long.
const FORGET_AFTER: Duration = Duration::from_secs(1);

/// The clients at the head of the line that may begin their turn. The first one's reader may be waiting for a broker that does
/// not answer.
const NEXT: usize = 8;

/// The logs of a client that are counted. Only memory bounds them.
const MAX_LOGS: usize = 128;

const SWEEP_INTERVAL: Duration = Duration::from_millis(50);

#[cfg(test)]
impl Turns {
    /// Returns how many clients have their turn.
    fn active_clients(&self) -> usize {
        self.state.lock().reading.len()
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests;
