//! A few clusters for all tests of a binary, each used by one test at a time.

use std::{
    ops::Deref,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{
    cluster::Cluster,
    turn::{TurnGuard, alone, turn},
};

/// Returns a healthy cluster of this process, for the caller alone until the guard is dropped.
///
/// If no cluster is unused, starts one (4 s, 0.6 GB), up to two; further calls wait. A cluster that was used
/// before is [`heal`](Cluster::heal)ed, so that a test finds nothing of earlier tests, except numbers that
/// are taken and internal topics. Clusters end with the process. Tests that run one at a time all get the
/// same one.
///
/// # Panics
///
/// If the cluster does not start or does not become healthy.
pub fn shared() -> SharedCluster {
    SharedCluster::of(turn())
}

/// Does the same while no other test runs, for a test that keeps every processor busy, or whose result a busy processor
/// would change.
///
/// # Panics
///
/// As [`shared`].
pub fn shared_alone() -> SharedCluster {
    SharedCluster::of(alone())
}

/// A test's use of a shared [`Cluster`]. If the test fails, the end of every node's log is printed.
#[derive(Debug)]
pub struct SharedCluster {
    cluster: &'static Cluster,
    _turn: TurnGuard,
}

impl SharedCluster {
    fn of(turn: TurnGuard) -> Self {
        match POOL.wait() {
            Found::Unused(cluster) => {
                // Returned even if it does not become healthy: the next test tries again.
                let shared = Self { cluster, _turn: turn };
                shared.heal();
                shared
            }
            Found::Room => Self {
                cluster: start(),
                _turn: turn,
            },
        }
    }
}

/// Starts another cluster, which the pool has counted already.
fn start() -> &'static Cluster {
    let uncount = UncountGuard;
    let cluster = Box::leak(Box::new(Cluster::start()));
    std::mem::forget(uncount);
    cluster
}

impl SharedCluster {
    /// Returns the cluster itself, for threads and tasks of the test. They must end before the guard is
    /// dropped.
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
        POOL.change(|clusters| clusters.unused.push(self.cluster));
    }
}

/// The clusters of this process.
struct Pool<C: 'static> {
    clusters: Mutex<Clusters<C>>,
    changed: Condvar,
}

struct Clusters<C: 'static> {
    unused: Vec<&'static C>,
    /// The number of clusters, including those in use and those being started.
    count: usize,
}

/// What a test may use.
enum Found<C: 'static> {
    Unused(&'static C),
    /// Room for a cluster that the caller has to start, and that is counted.
    Room,
}

impl<C> Pool<C> {
    const fn new() -> Self {
        Self {
            clusters: Mutex::new(Clusters {
                unused: Vec::new(),
                count: 0,
            }),
            changed: Condvar::new(),
        }
    }

    fn wait(&self) -> Found<C> {
        let exhausted = |clusters: &mut Clusters<C>| clusters.unused.is_empty() && clusters.count == MOST;
        let clusters = self.changed.wait_while(self.lock(), exhausted);
        let mut clusters = clusters.unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = clusters.unused.pop() {
            return Found::Unused(cluster);
        }
        clusters.count += 1;
        Found::Room
    }

    fn change(&self, change: impl FnOnce(&mut Clusters<C>)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Clusters<C>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On drop, subtracts a cluster that did not start from the count, so that the next test tries again.
struct UncountGuard;

impl Drop for UncountGuard {
    fn drop(&mut self) {
        POOL.change(|clusters| clusters.count -= 1);
    }
}

static POOL: Pool<Cluster> = Pool::new();

/// Tests mostly wait, and two processors can run the brokers of two.
const MOST: usize = 2;

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn no_more_than_two_are_started_and_none_serves_two_tests_at_a_time() {
        static POOL: Pool<AtomicUsize> = Pool::new();
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let test = || {
            let users: &'static AtomicUsize = match POOL.wait() {
                Found::Unused(users) => users,
                Found::Room => {
                    STARTED.fetch_add(1, Ordering::Relaxed);
                    Box::leak(Box::default())
                }
            };
            assert_eq!(users.fetch_add(1, Ordering::Relaxed), 0, "it is in use");
            thread::sleep(Duration::from_millis(1));
            users.fetch_sub(1, Ordering::Relaxed);
            POOL.change(|clusters| clusters.unused.push(users));
        };
        thread::scope(|scope| (0..20).for_each(|_| drop(scope.spawn(test))));
        assert!((1..=MOST).contains(&STARTED.load(Ordering::Relaxed)));
    }

    #[test]
    fn tests_that_run_one_at_a_time_get_the_same() {
        let pool: Pool<u8> = Pool::new();
        assert!(matches!(pool.wait(), Found::Room));
        pool.change(|clusters| clusters.unused.push(&7));
        for _ in 0..2 {
            assert!(matches!(pool.wait(), Found::Unused(7)));
            pool.change(|clusters| clusters.unused.push(&7));
        }
    }
}
