//! Graceful shutdown of connections: closes are spread over a window, so that reconnects do not come all at once, and completion
//! is known.
//!
//! The [`DrainSignal`] starts the drain and learns when it is complete: when every [`DrainWatch`] and [`DrainGuard`] is dropped.
//!
//! Not here: what a drain does. `http` keeps accepting until the window's end, or leaves new connections to a successor.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// Creates the two halves of a drain.
pub fn channel() -> (DrainSignal, DrainWatch) {
    let (drained_tx, drained_rx) = mpsc::channel(1);
    let (signal_tx, signal_rx) = watch::channel(None);
    let close_order = Arc::new(CloseOrder::default());
    let signal = DrainSignal {
        close_order: Arc::clone(&close_order),
        signal_tx,
        drained_rx,
    };
    let watch = DrainWatch {
        close_order,
        signal_rx,
        drained_tx,
    };
    (signal, watch)
}

/// Starts the drain, once.
#[derive(Debug)]
pub struct DrainSignal {
    close_order: Arc<CloseOrder>,
    signal_tx: watch::Sender<Option<DrainWindow>>,
    /// Never receives a message. It is closed when the last watch is dropped.
    drained_rx: mpsc::Receiver<Infallible>,
}

impl DrainSignal {
    /// Starts the drain, spread over `window`, and waits until every watch and guard is dropped.
    ///
    /// There is no timeout: the caller bounds the wait if it must.
    pub async fn drain(self, window: Duration) {
        self.run(window, false).await;
    }

    /// As [`drain`](Self::drain), but a successor process accepts new connections from now on.
    pub async fn hand_over(self, window: Duration) {
        self.run(window, true).await;
    }

    async fn run(mut self, window: Duration, handed_over: bool) {
        let window = DrainWindow {
            start: Instant::now(),
            length: window,
            handed_over,
        };
        self.close_order.begin(window);
        self.signal_tx.send_replace(Some(window));
        // No message can be received. `None` means that the last watch was dropped.
        let _ = self.drained_rx.recv().await;
    }
}

/// Delays the end of a drain, and is notified of its start.
#[derive(Clone, Debug)]
pub struct DrainWatch {
    close_order: Arc<CloseOrder>,
    signal_rx: watch::Receiver<Option<DrainWindow>>,
    drained_tx: mpsc::Sender<Infallible>,
}

impl DrainWatch {
    /// Returns whether the drain has started.
    pub fn is_draining(&self) -> bool {
        self.close_order.schedule.get().is_some()
    }

    /// Waits until the end of the window. Waits forever if no drain starts.
    pub async fn wait_until_ended(&self) {
        tokio::time::sleep_until(self.window().await.end()).await;
    }

    /// Waits until no new connection should be accepted: until the end of the window, so that no client meets a closed port, or
    /// until its start if a successor listens on the same socket.
    pub async fn wait_until_closed(&self) {
        let window = self.window().await;
        if !window.handed_over {
            tokio::time::sleep_until(window.end()).await;
        }
    }

    async fn window(&self) -> DrainWindow {
        let mut signal_rx = self.signal_rx.clone();
        let window = signal_rx.wait_for(Option::is_some).await.map(|window| *window);
        match window {
            Ok(Some(window)) => window,
            // The signal was dropped unused: there will be no drain.
            _ => std::future::pending().await,
        }
    }

    /// Returns a position in the closing order, behind all existing ones.
    pub fn guard(&self) -> DrainGuard {
        let number = self.close_order.next.fetch_add(1, Ordering::Relaxed);
        let waker = Arc::new(AtomicWaker::new());
        self.close_order.open.lock().insert(number, Arc::clone(&waker));
        DrainGuard {
            close_order: Arc::clone(&self.close_order),
            _drained_tx: self.drained_tx.clone(),
            number,
            waker,
        }
    }
}

/// A position in the closing order: the oldest is due first, and the newest at the end of the window.
///
/// The newest are last because their clients have just reconnected from elsewhere.
#[derive(Debug)]
pub struct DrainGuard {
    close_order: Arc<CloseOrder>,
    _drained_tx: mpsc::Sender<Infallible>,
    number: u64,
    waker: Arc<AtomicWaker>,
}

impl DrainGuard {
    /// Returns the time at which the holder is due to close, once a drain has started. Wakes the task that polled last.
    pub fn poll_due(&self, context: &Context<'_>) -> Poll<Instant> {
        // Registered before the check, so that a drain that starts in between wakes the task.
        self.waker.register(context.waker());
        self.close_order
            .schedule
            .get()
            .map_or(Poll::Pending, |schedule| Poll::Ready(schedule.due(self.number)))
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        self.close_order.open.lock().remove(&self.number);
    }
}

/// The guards by age, and the schedule once the drain has started.
#[derive(Debug, Default)]
struct CloseOrder {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<AtomicWaker>>>,
    schedule: OnceLock<CloseSchedule>,
}

impl CloseOrder {
    /// Fixes the schedule and wakes all guards.
    fn begin(&self, window: DrainWindow) {
        let open = self.open.lock();
        let order = open.keys().copied().collect();
        if self.schedule.set(CloseSchedule { window, order }).is_ok() {
            open.values().for_each(|waker| waker.wake());
        }
    }
}

/// The times at which guards are due.
#[derive(Debug)]
struct CloseSchedule {
    window: DrainWindow,
    /// The numbers of the guards that existed at the start of the drain, oldest first.
    order: Vec<u64>,
}

impl CloseSchedule {
    /// Returns when the guard with this number is due.
    fn due(&self, number: u64) -> Instant {
        let rank = self.order.partition_point(|other| *other < number);
        let DrainWindow { start, length, .. } = self.window;
        // Guards created after the start rank last.
        match u32::try_from(self.order.len()) {
            Ok(count @ 1..) => start + length.mul_f64(((rank + 1) as f64 / f64::from(count)).min(1.0)),
            _ => self.window.end(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct DrainWindow {
    start: Instant,
    length: Duration,
    handed_over: bool,
}

impl DrainWindow {
    fn end(self) -> Instant {
        self.start + self.length
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(20);

    async fn due(guard: &DrainGuard) -> Duration {
        let at = poll_fn(|context| guard.poll_due(context)).await;
        at - Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn closes_are_spread_over_the_window_and_the_newest_is_last() {
        let (signal, watch) = channel();
        let guards: Vec<_> = (0..4).map(|_| watch.guard()).collect();
        let drain = tokio::spawn(signal.drain(WINDOW));

        let mut dues = Vec::new();
        for guard in &guards {
            dues.push(due(guard).await.as_secs());
        }
        assert_eq!(dues, [5, 10, 15, 20]);
        assert_eq!(
            due(&watch.guard()).await,
            WINDOW,
            "a guard that is created during the drain"
        );

        drop((guards, watch));
        drain.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_left_before_the_drain_take_no_part_of_the_window() {
        let (signal, watch) = channel();
        let old = watch.guard();
        let gone: Vec<_> = (0..98).map(|_| watch.guard()).collect();
        let new = watch.guard();
        drop(gone);
        let drain = tokio::spawn(signal.drain(WINDOW));
        assert_eq!(due(&old).await.as_secs(), 10);
        assert_eq!(due(&new).await.as_secs(), 20);
        drop((old, new, watch));
        drain.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_drain_is_complete_when_the_last_watch_is_dropped_and_not_before() {
        let (signal, watch) = channel();
        let guard = watch.guard();
        let other = watch.clone();
        drop(watch);
        let mut drain = Box::pin(signal.drain(WINDOW));
        assert!(drain.as_mut().now_or_never().is_none());
        assert!(other.is_draining());
        drop(other);
        assert!(drain.as_mut().now_or_never().is_none(), "a guard counts as well");
        drop(guard);
        assert!(drain.as_mut().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_a_successor_lets_nobody_in_any_more() {
        let (signal, watch) = channel();
        let start = Instant::now();
        let drain = tokio::spawn(signal.hand_over(WINDOW));
        watch.wait_until_closed().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        watch.wait_until_ended().await;
        assert_eq!(start.elapsed(), WINDOW, "open connections have their time");
        drop(watch);
        drain.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_ends_when_it_has_passed() {
        let (signal, watch) = channel();
        let start = Instant::now();
        let drain = tokio::spawn(signal.drain(WINDOW));
        watch.wait_until_closed().await;
        watch.wait_until_ended().await;
        assert_eq!(start.elapsed().as_secs(), WINDOW.as_secs());
        drop(watch);
        drain.await.unwrap();
    }
}
