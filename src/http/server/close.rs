//! A close that lets the client read what was written.

use std::{future::poll_fn, net::Shutdown, time::Duration};

use socket2::SockRef;
use tokio::time::timeout;

use super::conn::ConnState;
use crate::metrics::EndReason;

/// Closes a connection without destroying what its client has not read yet. Returns at once for a client that has stalled,
/// because it had its time to read.
///
/// Closing a socket that holds unread input sends a reset, and a reset discards the response on its way. A client that sent
/// too large a head would see a broken connection instead of the 431.
pub(in crate::http) async fn lingering_close(conn: &ConnState) {
    if conn.end_reason() == EndReason::Stalled {
        return;
    }
    // Fails if the peer is gone. The read below notices that too.
    let _ = SockRef::from(conn.socket()).shutdown(Shutdown::Write);
    let mut discard = LINGER_MAX_BYTES;
    let gone = poll_fn(|context| conn.poll_closed(context, &mut discard));
    let _ = timeout(LINGER, gone).await;
}

/// How long, and for how many bytes, a closed connection is still read. That is enough for the rest of a too large head to
/// arrive over a slow line, and so little that a flood gains nothing by it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_MAX_BYTES: usize = 1024 * 1024;
