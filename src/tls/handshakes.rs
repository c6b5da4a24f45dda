//! Running handshakes, a bounded number at once, on threads that write no streams.

use std::{
    future::Future,
    panic::resume_unwind,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use tokio::{
    sync::Notify,
    task::{JoinError, spawn_blocking},
};

use super::turns::{HandshakeTurns, Progress};
use crate::client::ClientKey;

impl HandshakeTurns {
    /// Runs a handshake of `client` to its end. Whenever it can go on, it waits for a turn, and is polled on a thread for blocking
    /// work. So none of it delays the threads of the runtime: neither the signature, nor the check of a client's certificates, of
    /// which a stranger can send a chain that takes tens of milliseconds. While it waits for the client it has no turn.
    ///
    /// # Errors
    /// When the runtime ends.
    ///
    /// # Panics
    /// When the handshake does.
    pub(super) async fn run<F>(&self, client: ClientKey, handshake: F) -> Result<F::Output, JoinError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (mut handshake, woken) = (Box::pin(handshake), Arc::new(Woken::default()));
        let mut step = 0_u32;
        loop {
            let turn = self.next(client, progress(step)).await;
            let waker = Waker::from(Arc::clone(&woken));
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
            step = step.saturating_add(1);
        }
    }
}

/// Returns how far a handshake is before this step.
fn progress(step: u32) -> Progress {
    match (1..=PREFERRED_STEPS).contains(&step) {
        true => Progress::Begun,
        false => Progress::New,
    }
}

/// Goes on with the panic of a handshake, so that whoever catches the panics of the connection counts it.
fn resume_panic<T>(error: JoinError) -> Result<T, JoinError> {
    match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(cancelled) => Err(cancelled),
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
    use std::{hint, panic::AssertUnwindSafe, thread, time::Duration};

    use futures_util::FutureExt;
    use tokio::{sync::oneshot, time::timeout};

    use super::*;

    #[tokio::test]
    async fn a_handshake_runs_on_another_thread_and_has_no_turn_while_it_waits() {
        let turns = HandshakeTurns::of(1);
        let ((send, received), (is_polled, polled)) = (oneshot::channel(), oneshot::channel());
        let own = thread::current().id();
        let handshake = turns.run(client(), async move {
            assert_ne!(thread::current().id(), own);
            is_polled.send(()).unwrap();
            let received = received.await;
            assert_ne!(thread::current().id(), own);
            received
        });
        let other = async {
            // It has taken its turn, and waits without one.
            polled.await.unwrap();
            let turn = turns.next(client(), Progress::New).await;
            send.send(7).unwrap();
            drop(turn);
        };
        let ran = async { tokio::join!(handshake, other).0 };
        assert_eq!(timeout(DEADLINE, ran).await.unwrap().unwrap(), Ok(7));
        assert_eq!(turns.free(), 1);
    }

    #[tokio::test]
    async fn a_wake_during_a_poll_is_not_lost() {
        let turns = HandshakeTurns::of(1);
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
        let ran = timeout(DEADLINE, turns.run(client(), handshake)).await;
        assert_eq!(ran.unwrap().unwrap(), 100);
    }

    #[tokio::test]
    async fn a_handshake_that_panics_gives_its_turn_back_and_is_no_error_of_its_client() {
        let turns = HandshakeTurns::of(1);
        let handshake = async { assert!(hint::black_box(false), "on purpose") };
        let run = AssertUnwindSafe(turns.run(client(), handshake));
        let panic = run.catch_unwind().await.expect_err("it goes on with the panic");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
        assert_eq!(turns.free(), 1);
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
