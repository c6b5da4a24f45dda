//! One cluster for all tests of a binary, one test at a time.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cluster::Cluster;

/// The cluster of this process, healthy, and for the caller alone until the guard is dropped.
///
/// The first call starts it (4 s, 0.6 GB) and later calls [`heal`](Cluster::heal) it, so that a test finds
/// nothing of the tests before it but numbers that are taken and internal topics. It ends with the process.
///
/// # Panics
///
/// If the cluster does not start or does not become healthy.
pub fn shared() -> SharedCluster {
    static TURN: Mutex<()> = Mutex::new(());
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    // A test that failed in its turn has poisoned the lock; the cluster is healed for the next one.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let first = CLUSTER.get().is_none();
    let cluster = CLUSTER.get_or_init(Cluster::start);
    if !first {
        cluster.heal();
    }
    SharedCluster { cluster, _turn: turn }
}

/// A test's turn with the shared [`Cluster`]. If the test fails, the end of every node's log is printed.
#[derive(Debug)]
pub struct SharedCluster {
    cluster: &'static Cluster,
    _turn: MutexGuard<'static, ()>,
}

impl SharedCluster {
    /// The cluster itself, for threads and tasks of the test; they must end before the test's turn does.
    pub fn get(&self) -> &'static Cluster {
        self.cluster
    }
}

impl Deref for SharedCluster {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.cluster
    }
}

impl Drop for SharedCluster {
    fn drop(&mut self) {
        self.cluster.tell_logs_of_a_failure();
    }
}
