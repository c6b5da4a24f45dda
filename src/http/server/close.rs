//! Closing a connection so that its client can still read what was written.

use std::{future::poll_fn, net::Shutdown, time::Duration};

use socket2::SockRef;
use tokio::time::timeout;

use super::conn::ConnState;
use crate::metrics::EndReason;

/// Closes without destroying what the client has not read yet, unless it has had its time for that.
///
/// Closing a socket that holds unread input sends a reset, and a reset throws away the answer on its way: whoever sent
/// too large a head would see a broken connection instead of the 431.
pub(in crate::http) async fn lingering_close(conn: &ConnState) {
    if conn.end_reason() == EndReason::Stalled {
        return;
    }
    // Fails when the peer is gone, which the read below finds out too.
    let _ = SockRef::from(conn.socket()).shutdown(Shutdown::Write);
    let mut discard = LINGER_MAX_BYTES;
    let gone = poll_fn(|context| conn.poll_closed(context, &mut discard));
    let _ = timeout(LINGER, gone).await;
}

/// How long, and for how many bytes, a closed connection is still read. Enough for the rest of a head that was too large
/// to arrive over a slow line; little enough that a flood gains nothing by it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_MAX_BYTES: usize = 1024 * 1024;
