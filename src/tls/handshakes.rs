//! The bound on handshakes that take processor time at once.

use std::{
    future::Future,
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::{JoinError, spawn_blocking},
};

/// Grants turns to handshakes, in the order in which they ask.
///
/// A handshake takes a third of a millisecond of processor time with an ECDSA key, and two with RSA. When all clients of a host
/// connect at once, streams must not wait for all of them. So half of the processors, and at least one, work on handshakes.
#[derive(Clone, Debug)]
pub(super) struct HandshakeTurns(Arc<Semaphore>);

impl HandshakeTurns {
    pub(super) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self(Arc::new(Semaphore::new((processors / 2).max(1))))
    }

    /// Waits for a turn, which lasts until the permit is dropped.
    pub(super) async fn next(&self) -> Option<OwnedSemaphorePermit> {
        // Fails only for a semaphore that was closed, and this one never is.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }

    /// Runs a handshake to its end. Whenever it can go on, it waits for a turn, and is polled on a thread for blocking work. So none
    /// of it delays the threads of the runtime: neither the signature, nor the check of a client's certificates, of which a stranger
    /// can send a chain that takes tens of milliseconds. While it waits for the client it has no turn.
    ///
    /// # Errors
    /// When the runtime ends.
    ///
    /// # Panics
    /// When the handshake does.
    pub(super) async fn run<F>(&self, handshake: F) -> Result<F::Output, JoinError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (mut handshake, woken) = (Box::pin(handshake), Arc::new(Woken::default()));
        loop {
            let (turn, waker) = (self.next().await, Waker::from(Arc::clone(&woken)));
            let poll = move || {
                let polled = handshake.as_mut().poll(&mut Context::from_waker(&waker));
                drop(turn);
                (handshake, polled)
            };
            let (rest, polled) = spawn_blocking(poll).await.or_else(resume_panic)?;
            match polled {
                Poll::Ready(output) => return Ok(output),
                Poll::Pending => handshake = rest,
            }
            woken.0.notified().await;
        }
    }
}

/// Goes on with the panic of a handshake, so that whoever catches the panics of the connection counts it.
fn resume_panic<T>(error: JoinError) -> Result<T, JoinError> {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(cancelled) => Err(cancelled),
    }
}

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
    use std::{hint, panic::AssertUnwindSafe, time::Duration};

    use futures_util::FutureExt;
    use tokio::{sync::oneshot, time::timeout};

    use super::*;

    #[tokio::test]
    async fn a_handshake_runs_on_another_thread_and_has_no_turn_while_it_waits() {
        let turns = HandshakeTurns(Arc::new(Semaphore::new(1)));
        let ((send, received), (is_polled, polled)) = (oneshot::channel(), oneshot::channel());
        let own = thread::current().id();
        let handshake = turns.run(async move {
            assert_ne!(thread::current().id(), own);
            is_polled.send(()).unwrap();
            let received = received.await;
            assert_ne!(thread::current().id(), own);
            received
        });
        let other = async {
            // It has taken its turn, and waits without one.
            polled.await.unwrap();
            let turn = turns.next().await;
            send.send(7).unwrap();
            drop(turn);
        };
        let ran = async { tokio::join!(handshake, other).0 };
        assert_eq!(timeout(DEADLINE, ran).await.unwrap().unwrap(), Ok(7));
        assert_eq!(turns.0.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_wake_during_a_poll_is_not_lost() {
        let turns = HandshakeTurns(Arc::new(Semaphore::new(1)));
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
        let ran = timeout(DEADLINE, turns.run(handshake)).await;
        assert_eq!(ran.unwrap().unwrap(), 100);
    }

    #[tokio::test]
    async fn a_handshake_that_panics_gives_its_turn_back_and_is_no_error_of_its_client() {
        let turns = HandshakeTurns(Arc::new(Semaphore::new(1)));
        let handshake = async { assert!(hint::black_box(false), "on purpose") };
        let run = AssertUnwindSafe(turns.run(handshake));
        let panic = run.catch_unwind().await.expect_err("it goes on with the panic");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
        assert_eq!(turns.0.available_permits(), 1);
    }

    const DEADLINE: Duration = Duration::from_secs(10);
}
