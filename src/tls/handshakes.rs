//! Running handshakes, a bounded number at once, on threads of their own, which give way to those that write streams.

use std::{
    future::Future,
    io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{
        Notify,
        oneshot::{self, error::RecvError},
    },
    task::spawn_blocking,
};

use super::turns::{HandshakeTurn, HandshakeTurns, Progress};
use crate::client::ClientKey;

/// Runs the handshakes of a listener.
#[derive(Debug)]
pub(super) struct Handshakes {
    turns: HandshakeTurns,
    threads: HandshakeThreads,
}

impl Handshakes {
    /// Runs as many at once as there are processors for that: half of them, and at least one.
    pub(super) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::of((processors / 2).max(1))
    }

    /// Runs at most so many at once.
    fn of(count: usize) -> Self {
        Self {
            turns: HandshakeTurns::of(count),
            threads: HandshakeThreads::start(count),
        }
    }

    /// Waits for the turn of a handshake of `client` that has not begun. It lasts until it is dropped.
    pub(super) async fn turn(&self, client: ClientKey) -> Option<HandshakeTurn> {
        self.turns.next(client, Progress::New).await
    }

    /// Runs a handshake of `client` to its end. Whenever it can go on, it waits for a turn, and is polled on a thread of its own kind.
    /// So none of it delays the threads of the runtime: neither the signature, nor the check of a client's certificates, of
    /// which a stranger can send a chain that takes tens of milliseconds. While it waits for the client it has no turn.
    ///
    /// # Errors
    /// When the runtime ends.
    ///
    /// # Panics
    /// When the handshake does.
    pub(super) async fn run<F>(&self, client: ClientKey, handshake: F) -> Result<F::Output, RecvError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (mut handshake, woken) = (Box::pin(handshake), Arc::new(Woken::default()));
        let mut step = 0_u32;
        loop {
            let turn = self.turns.next(client, progress(step)).await;
            let (waker, runtime) = (Waker::from(Arc::clone(&woken)), Handle::current());
            let poll = move || {
                // Its timers and sockets are those of the connection. (It must spawn nothing on threads for blocking work: a thread that is
                // started for that from here would keep this low priority.)
                let _entered = runtime.enter();
                let polled = handshake.as_mut().poll(&mut Context::from_waker(&waker));
                drop(turn);
                (handshake, polled)
            };
            let (rest, polled) = self.threads.run(poll).await?;
            match polled {
                Poll::Ready(output) => return Ok(output),
                Poll::Pending => handshake = rest,
            }
            woken.0.notified().await;
            step = step.saturating_add(1);
        }
    }
}

/// Threads on which handshakes are polled, which end when this is dropped.
///
/// Turns alone do not keep them from delaying streams: on a host with few processors, a thread that signs has one for milliseconds, and
/// thousands of clients that come back after a restart keep it busy for seconds. So their priority is lower. They are no threads of the
/// runtime, which shares its threads for blocking work among all uses.
#[derive(Debug)]
struct HandshakeThreads {
    /// `None` if no thread could be started. Then the runtime's have to do.
    jobs: Option<mpsc::Sender<Job>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl HandshakeThreads {
    /// Starts so many threads.
    fn start(count: usize) -> Self {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let started = (0..count).filter(|_| {
            start_thread(Arc::clone(&queue))
                .inspect_err(|error| tracing::warn!(%error, "cannot start a thread for TLS handshakes"))
                .is_ok()
        });
        Self {
            jobs: (started.count() > 0).then_some(jobs),
        }
    }

    /// Does some work on one of the threads.
    ///
    /// # Errors
    /// When the runtime ends.
    ///
    /// # Panics
    /// If the work panics. The task of the connection catches the panic and counts it.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RecvError> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Fails if the connection has been given up meanwhile.
            _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        });
        match &self.jobs {
            // The threads are there for as long as this is.
            Some(jobs) => _ = jobs.send(job),
            None => drop(spawn_blocking(job)),
        }
        result.await?.map_or_else(|panic| resume_unwind(panic), Ok)
    }
}

fn start_thread(queue: Arc<Mutex<mpsc::Receiver<Job>>>) -> io::Result<()> {
    let run = move || {
        lower_priority();
        loop {
            // Those that wait for the lock wait for a job too.
            let job = queue.lock().recv();
            match job {
                Ok(job) => job(),
                Err(mpsc::RecvError) => return,
            }
        }
    };
    let thread = thread::Builder::new().name("tls-handshake".to_owned());
    thread.spawn(run).map(drop)
}

/// Lowers the priority of this thread, which needs no rights. Where that is forbidden all the same, the priority stays.
#[cfg(target_os = "linux")]
fn lower_priority() {
    use rustix::process::{getpriority_process, setpriority_process};

    // Without a process id this is the calling thread's, other than POSIX has it: see setpriority(2).
    let lowered = getpriority_process(None)
        .and_then(|nice| setpriority_process(None, (nice + NICER).min(LEAST_PRIORITY)));
    if let Err(error) = lowered {
        tracing::debug!(%error, "cannot lower the priority of a thread for TLS handshakes");
    }
}

/// Does nothing: other systems have no priorities of threads, or other calls for them.
#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

/// How much nicer these threads are. Where all processors are busy, one of these gets a third of what one gets that writes streams.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// The nice value of the least priority.
#[cfg(target_os = "linux")]
const LEAST_PRIORITY: i32 = 19;

/// Returns how far a handshake is before this step.
fn progress(step: u32) -> Progress {
    match (1..=PREFERRED_STEPS).contains(&step) {
        true => Progress::Begun,
        false => Progress::New,
    }
}

/// How many steps of a handshake go before those of handshakes that have not begun. An honest one has one or two behind its first
/// message, and one more after a HelloRetryRequest, each of which may come in two packets. Somebody who sends byte by byte makes a
/// step of each, and must not hold up all others by that.
const PREFERRED_STEPS: u32 = 6;

/// Tells that a handshake can go on. A wake before anybody waits for it is not lost.
#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{hint, time::Duration};

    use futures_util::FutureExt;
    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test]
    async fn a_handshake_runs_on_another_thread_and_has_no_turn_while_it_waits() {
        let handshakes = Handshakes::of(1);
        let ((send, received), (is_polled, polled)) = (oneshot::channel(), oneshot::channel());
        let own = thread::current().id();
        let handshake = handshakes.run(client(), async move {
            assert_ne!(thread::current().id(), own);
            is_polled.send(()).unwrap();
            let received = received.await;
            assert_ne!(thread::current().id(), own);
            received
        });
        let other = async {
            // It has taken its turn, and waits without one.
            polled.await.unwrap();
            let turn = handshakes.turn(client()).await;
            send.send(7).unwrap();
            drop(turn);
        };
        let ran = async { tokio::join!(handshake, other).0 };
        assert_eq!(timeout(DEADLINE, ran).await.unwrap().unwrap(), Ok(7));
        assert_eq!(handshakes.turns.free(), 1);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_handshake_gives_way_to_streams_and_may_wait_for_a_time() {
        use rustix::process::getpriority_process;

        let handshakes = Handshakes::of(1);
        let handshake = async {
            sleep(Duration::from_millis(1)).await;
            getpriority_process(None)
        };
        let its = handshakes.run(client(), handshake).await.unwrap().unwrap();
        let own = getpriority_process(None).unwrap();
        assert_eq!(its, (own + NICER).min(LEAST_PRIORITY));
        assert_eq!(getpriority_process(None), Ok(own));
    }

    #[tokio::test]
    async fn a_wake_during_a_poll_is_not_lost() {
        let handshakes = Handshakes::of(1);
        let mut polls = 0;
        let handshake = std::future::poll_fn(move |context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls < 100 {
                Poll::Pending
            } else {
                Poll::Ready(polls)
            }
        });
        let ran = timeout(DEADLINE, handshakes.run(client(), handshake)).await;
        assert_eq!(ran.unwrap().unwrap(), 100);
    }

    #[tokio::test]
    async fn a_handshake_that_panics_gives_its_turn_back_and_is_no_error_of_its_client() {
        let handshakes = Handshakes::of(1);
        let handshake = async { assert!(hint::black_box(false), "on purpose") };
        let run = AssertUnwindSafe(handshakes.run(client(), handshake));
        let panic = run.catch_unwind().await.expect_err("it goes on with the panic");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
        assert_eq!(handshakes.turns.free(), 1);
    }

    #[test]
    fn a_handshake_byte_by_byte_is_preferred_no_longer() {
        assert_eq!(progress(0), Progress::New);
        assert_eq!(progress(1), Progress::Begun);
        assert_eq!(progress(PREFERRED_STEPS), Progress::Begun);
        assert_eq!(progress(PREFERRED_STEPS + 1), Progress::New);
        assert_eq!(progress(u32::MAX), Progress::New);
    }

    fn client() -> ClientKey {
        ClientKey::of([192, 0, 2, 1].into())
    }

    const DEADLINE: Duration = Duration::from_secs(10);
}
