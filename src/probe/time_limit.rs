//! A limit to the time of a run, also if it hangs.

use std::{sync::mpsc, thread, time::Duration};

/// The reason why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoResult {
    #[error("the probe hangs: no result within {0:?}")]
    Hung(Duration),
    #[error("the probe panicked")]
    Panicked,
    #[error("cannot start a thread for the probe")]
    NoThread,
}

/// Runs `work` on a thread of its own. The thread is abandoned if it takes longer than `limit`.
///
/// The deadlines inside are those of a runtime, and so protect only against peers. They do not protect against a resolver or a
/// file system that blocks its thread.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoResult> {
    let (send, result) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name("probe".to_owned()).spawn(move || {
        // Sending fails if the receiver has given up.
        let _ = send.send(work());
    });
    if spawned.is_err() {
        return Err(NoResult::NoThread);
    }
    result.recv_timeout(limit).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => NoResult::Hung(limit),
        mpsc::RecvTimeoutError::Disconnected => NoResult::Panicked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_hangs_or_panics_ends_in_an_answer() {
        let forever = || thread::park_timeout(LONG * 60);
        assert_eq!(
            within(Duration::from_millis(20), forever),
            Err(NoResult::Hung(Duration::from_millis(20)))
        );
        assert_eq!(within(LONG, || 7), Ok(7));
        assert_eq!(
            within(LONG, || -> u8 { panic!("on purpose") }),
            Err(NoResult::Panicked)
        );
    }
}
