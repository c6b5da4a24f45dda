//! Which tests run at the same time.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A test's permission to run. It is over when this is dropped.
#[derive(Debug)]
pub struct TurnGuard {
    _guard: Guard,
}

#[derive(Debug)]
#[allow(dead_code, reason = "held until they are dropped")]
enum Guard {
    Beside(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// Waits for permission to run beside others, for a test with brokers of its own. [`shared`](crate::shared)
/// includes it.
pub fn turn() -> TurnGuard {
    let guard = TURNS.read().unwrap_or_else(PoisonError::into_inner);
    TurnGuard {
        _guard: Guard::Beside(guard),
    }
}

/// Waits until no other test runs, and keeps others from starting: for a test that keeps every processor
/// busy, or whose result a busy processor would change.
pub fn alone() -> TurnGuard {
    let guard = TURNS.write().unwrap_or_else(PoisonError::into_inner);
    TurnGuard {
        _guard: Guard::Alone(guard),
    }
}

static TURNS: RwLock<()> = RwLock::new(());

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn nobody_has_a_turn_while_one_is_alone() {
        static THERE: AtomicUsize = AtomicUsize::new(0);
        let beside = || {
            let _turn = turn();
            THERE.fetch_add(1, Ordering::SeqCst);
            thread::yield_now();
            THERE.fetch_sub(1, Ordering::SeqCst);
        };
        let by_itself = || {
            let _turn = alone();
            assert_eq!(THERE.fetch_add(1, Ordering::SeqCst), 0);
            thread::yield_now();
            assert_eq!(THERE.fetch_sub(1, Ordering::SeqCst), 1);
        };
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(beside);
                scope.spawn(by_itself);
            }
        });
    }
}
