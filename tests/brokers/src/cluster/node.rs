//! One JVM of a cluster.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::Signal;

use crate::{home::KafkaHome, process::Process};

/// A node that can be restarted repeatedly on the same data and the same ports.
#[derive(Debug)]
pub(super) struct Node {
    id: i32,
    properties: PathBuf,
    heap_mb: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Down,
    Running(Process),
    Frozen(Process),
}

impl Node {
    pub(super) fn new(id: i32, properties: PathBuf, heap_mb: u32) -> Self {
        Self {
            id,
            properties,
            heap_mb,
            state: Mutex::new(State::Down),
        }
    }

    pub(super) fn spawn(&self) {
        let mut state = self.state();
        assert!(matches!(*state, State::Down), "node {} is not down", self.id);
        let command = KafkaHome::get().node(&self.properties, self.heap_mb);
        let process = Process::spawn_logged(command, &self.properties.with_extension("log"));
        *state = State::Running(process.expect("a JVM"));
    }

    pub(super) fn stop(&self) {
        let mut process = self.take_running();
        process.signal(Signal::TERM);
        process.wait(STOP, &format!("node {} to end after SIGTERM", self.id));
    }

    pub(super) fn kill(&self) {
        // Dropping a process kills it and waits for its end.
        drop(std::mem::replace(&mut *self.state(), State::Down));
    }

    pub(super) fn freeze(&self) {
        let process = self.take_running();
        process.signal(Signal::STOP);
        *self.state() = State::Frozen(process);
    }

    pub(super) fn thaw(&self) {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Down) {
            State::Frozen(process) => {
                process.signal(Signal::CONT);
                *state = State::Running(process);
            }
            other => *state = other,
        }
    }

    /// Returns whether it runs and is not frozen.
    pub(super) fn is_running(&self) -> bool {
        matches!(*self.state(), State::Running(_))
    }

    /// Continues it if it is frozen, and starts it if it is down or has ended by itself. Returns whether that
    /// was necessary.
    pub(super) fn bring_back(&self) -> bool {
        let was_well = self.is_running() && !self.has_ended();
        self.thaw();
        if self.has_ended() {
            self.kill();
            self.spawn();
        }
        !was_well
    }

    pub(super) fn has_ended(&self) -> bool {
        match &mut *self.state() {
            State::Down => true,
            State::Running(process) | State::Frozen(process) => process.ended().is_some(),
        }
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        match &*self.state() {
            State::Down => 0,
            State::Running(process) | State::Frozen(process) => resident_bytes(process.id()).unwrap_or(0),
        }
    }

    fn take_running(&self) -> Process {
        match std::mem::replace(&mut *self.state(), State::Down) {
            State::Running(process) => process,
            other => panic!("node {} is not running: {other:?}", self.id),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parses the line `VmRSS:   153480 kB`.
fn resident_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// A broker with its controller takes 0.4 s. Without one it waits for it, in vain.
const STOP: Duration = Duration::from_secs(30);
