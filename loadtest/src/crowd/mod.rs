//! Thousands of clients in one thread. What they receive is checked at its arrival, with less work than
//! sending it takes.

mod body;
mod checker;
mod driver;
mod http2;
mod load_client;
mod pace;
mod scan;
mod sealed;
mod tally;

pub(crate) use checker::NEVER;
pub use driver::{ClientTask, LoadClients, LoadOutcome};
pub use tally::{ClientCounts, DeliveredCounts};

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    fd::OwnedFd,
};

use self::{
    checker::DeliveryChecker,
    load_client::{LoadClient, ReadMode, ReadOutcome},
    pace::ReadPacer,
};
use crate::{ask::Ask, numbers::Faults, stopwatch::Stopwatch};

/// The clients to create.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// The server's address.
    pub server: SocketAddr,
    /// The number of clients.
    pub clients: usize,
    /// The number of partitions over which the numbers are spread in turn.
    pub partitions: usize,
    /// Every client with this distance is checked, from the first on. For the others, bytes are counted. 1
    /// checks all.
    pub judge_every: usize,
    /// Whether clients keep their last ids, to resume from.
    pub keep_ids: bool,
}

/// The clients of a plan, and the one epoll set in which all of them wait.
#[derive(Debug)]
pub(crate) struct ClientPool {
    plan: LoadPlan,
    epoll: OwnedFd,
    clients: Vec<LoadClient>,
    checker: DeliveryChecker,
    stopwatch: Option<Stopwatch>,
    pub(crate) tally: Arc<ClientCounts>,
    /// Clients whose connection ended or was refused, and that were not taken from this list yet.
    pub(crate) gone: VecDeque<usize>,
    buffer: Vec<u8>,
    pace: ReadPacer,
}

impl ClientPool {
    pub(crate) fn new(plan: LoadPlan, stopwatch: Option<Stopwatch>) -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            clients: (0..plan.clients).map(|_| LoadClient::default()).collect(),
            checker: DeliveryChecker::new(plan.clients, plan.partitions),
            stopwatch,
            tally: Arc::default(),
            gone: VecDeque::new(),
            buffer: vec![0; BUFFER],
            pace: ReadPacer::new(plan.clients, None),
            plan,
        })
    }

    /// Limits each client to this many bytes per second.
    pub(crate) fn paced(self, pace: Option<u64>) -> Self {
        Self {
            pace: ReadPacer::new(self.plan.clients, pace),
            ..self
        }
    }

    pub(crate) fn plan(&self) -> &LoadPlan {
        &self.plan
    }

    /// Expects of each client every `step`-th number of a partition, instead of all.
    pub(crate) fn stepping(self, step: u64) -> Self {
        Self {
            checker: self.checker.stepping(step),
            ..self
        }
    }

    /// Returns the number of bytes that each client has received.
    pub(crate) fn read_by_client(&self) -> Vec<u64> {
        self.pace.read().to_vec()
    }

    /// Starts to connect a client.
    pub(crate) fn come(&mut self, client: usize, ask: &Ask) -> io::Result<()> {
        let connection = &mut self.clients[client];
        connection.connect(self.plan.server, ask)?;
        let Some(socket) = &connection.socket else {
            return Ok(());
        };
        epoll::add(&self.epoll, socket, token(client), EventFlags::OUT)?;
        self.tally.coming.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Closes a client. A closed socket leaves the epoll set.
    pub(crate) fn leave(&mut self, client: usize) {
        let connection = &mut self.clients[client];
        if connection.socket.is_none() {
            return;
        }
        let which = if connection.has_begun() {
            &self.tally.here
        } else {
            &self.tally.coming
        };
        which.fetch_sub(1, Relaxed);
        connection.close();
    }

    /// Makes a client stop reading, or continue.
    pub(crate) fn set_reading(&self, client: usize, reading: bool) -> io::Result<()> {
        let Some(socket) = &self.clients[client].socket else {
            return Ok(());
        };
        // Without flags the kernel still reports errors and resets.
        let flags = if reading {
            EventFlags::IN
        } else {
            EventFlags::empty()
        };
        Ok(epoll::modify(&self.epoll, socket, token(client), flags)?)
    }

    /// Returns the number of clients.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns whether the client's stream has begun and it lacks a number below `end`.
    pub(crate) fn is_behind(&self, client: usize, end: u64) -> bool {
        self.clients[client].has_begun() && !self.checker.has_all(client, end)
    }

    /// Returns the id of the client's last whole event.
    pub(crate) fn last_id(&self, client: usize) -> Option<String> {
        let id = &self.clients[client].last_id;
        (!id.is_empty()).then(|| String::from_utf8_lossy(id).into_owned())
    }

    /// Makes a client start again without an id, with any number.
    pub(crate) fn forget(&mut self, client: usize) {
        self.clients[client].last_id.clear();
        self.checker.forget(client);
    }

    pub(crate) fn expect(&mut self, client: usize, next: &[u64]) {
        self.checker.expect(client, next);
    }

    pub(crate) fn faults(&self) -> Faults {
        self.checker.faults()
    }

    pub(crate) fn into_stopwatch(self) -> Option<Stopwatch> {
        self.stopwatch
    }

    /// Returns how many checked clients have everything below `end`.
    pub(crate) fn finished(&self, end: u64) -> usize {
        let judged = (0..self.plan.clients).step_by(self.plan.judge_every);
        judged.filter(|client| self.checker.has_all(*client, end)).count()
    }

    /// Waits for events of sockets, no longer than `patience`, and handles them.
    pub(crate) fn poll(&mut self, patience: Duration) -> io::Result<()> {
        // Not kept in `self`: the kernel's events may hold pointers, which would make the type stay in one
        // thread.
        let mut ready = Vec::with_capacity(READY);
        let timeout = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let spare = rustix::buffer::spare_capacity(&mut ready);
        match epoll::wait(&self.epoll, spare, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for client in self.pace.resume(Instant::now()) {
            self.set_reading(client, true)?;
        }
        for event in &ready {
            let (data, flags) = (event.data, event.flags);
            self.look(data.u64() as usize, flags)?;
        }
        Ok(())
    }

    fn look(&mut self, client: usize, flags: EventFlags) -> io::Result<()> {
        let begun = self.clients[client].has_begun();
        let looked = self.read(client, flags);
        if !begun && self.clients[client].has_begun() {
            self.tally.coming.fetch_sub(1, Relaxed);
            self.tally.here.fetch_add(1, Relaxed);
        }
        match looked {
            ReadOutcome::Nothing => {}
            ReadOutcome::Asked => self.set_reading(client, true)?,
            ReadOutcome::Shaken { resumed } => self.tally.shaken(resumed),
            ReadOutcome::Bytes(read) => {
                self.tally.bytes.fetch_add(read as u64, Relaxed);
                if self.pace.has_read(client, read) {
                    self.set_reading(client, false)?;
                }
            }
            ReadOutcome::Ended | ReadOutcome::Refused => {
                if looked == ReadOutcome::Ended && self.clients[client].has_ended_whole() {
                    self.tally.ended_whole.fetch_add(1, Relaxed);
                }
                let count = if begun {
                    &self.tally.ended
                } else {
                    &self.tally.refused
                };
                count.fetch_add(1, Relaxed);
                self.leave(client);
                self.gone.push_back(client);
            }
        }
        Ok(())
    }

    fn read(&mut self, client: usize, flags: EventFlags) -> ReadOutcome {
        let mode = self.mode(client);
        let Self {
            clients,
            checker,
            stopwatch,
            tally,
            buffer,
            pace,
            ..
        } = self;
        let buffer = &mut buffer[..pace.room(client).min(BUFFER)];
        let now = Instant::now();
        let (mut events, mut newest) = (0, 0);
        let looked = clients[client].look(flags, buffer, mode, |block| {
            if let Some(number) = block.number() {
                events += 1;
                newest = number.max(newest);
                checker.judge(client, number);
                if let Some(stopwatch) = stopwatch {
                    stopwatch.arrived(number, now);
                }
            } else if block.is_gap() {
                tally.gaps.fetch_add(1, Relaxed);
            }
        });
        if let ReadOutcome::Bytes(read) = looked
            && mode != ReadMode::Counted
        {
            tally.judged(events, read, newest);
        }
        looked
    }

    fn mode(&self, client: usize) -> ReadMode {
        if !client.is_multiple_of(self.plan.judge_every) {
            ReadMode::Counted
        } else if self.plan.keep_ids {
            ReadMode::Keeping
        } else {
            ReadMode::Judged
        }
    }
}

fn token(client: usize) -> EventData {
    EventData::new_u64(client as u64)
}

/// Returns the local address of a client, one of `addresses` from 127.0.0.2 on. One address has ports for
/// 28,000 connections.
pub fn address(client: usize, addresses: usize) -> SocketAddr {
    let index = (client % addresses.max(1)) as u32;
    let first = u32::from(Ipv4Addr::new(127, 0, 1, 1));
    (Ipv4Addr::from(first + index), 0).into()
}

/// The maximum number of sockets that are handled in one turn.
const READY: usize = 1024;

/// The most bytes that are read at once. A server writes this much at once to a client that is behind.
const BUFFER: usize = 256 * 1024;
