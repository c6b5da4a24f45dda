//! One connection, from accept to close.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::{Shutdown, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::response::Response;
use futures_util::future::BoxFuture;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{io::Io, link::Link};
use crate::{client::PeerAddr, metrics::EndReason};

/// Answers the requests of a connection.
pub(super) trait Answer: Clone + Send + 'static {
    fn answer(&self, request: Request<Incoming>) -> BoxFuture<'static, Response>;
}

/// How connections are treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// After this long without one byte taken a connection is reset.
    pub(super) stall_timeout: Duration,
    /// A stream's silence is at most this long, so that a live peer acknowledges something this often.
    pub(super) heartbeat: Duration,
    /// How long a request's head may take.
    pub(super) head_timeout: Duration,
}

/// How a connection is told that the process is going.
#[derive(Clone, Debug, Default)]
pub(super) struct Closing {
    /// Answer what is being asked, then close.
    pub(super) last_call: CancellationToken,
    /// Close, whatever is going on.
    pub(super) cut: CancellationToken,
}

/// Serves one connection to its end.
pub(super) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    answer: impl Answer,
    limits: Limits,
    closing: Closing,
) {
    if let Err(error) = tune(&socket, limits) {
        // It works without; and a peer that is gone already shows itself when it is read.
        tracing::debug!(%peer, %error, "cannot tune a socket");
    }
    let link = Arc::new(Link::new(socket));
    let served = async {
        converse(&link, peer, answer, limits, &closing.last_call).await;
        if link.end() != EndReason::Stalled {
            linger(&link).await;
        }
    };
    tokio::select! {
        () = served => {}
        () = closing.cut.cancelled() => {}
    }
}

/// Lets hyper answer requests until the connection is done, or its client is gone.
async fn converse(
    link: &Arc<Link>,
    peer: SocketAddr,
    answer: impl Answer,
    limits: Limits,
    last_call: &CancellationToken,
) {
    let seat = Arc::clone(link);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(peer));
        request.extensions_mut().insert(Arc::clone(&seat));
        let response = answer.answer(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let io = TokioIo::new(Io::new(Arc::clone(link), limits.stall_timeout));
    let mut connection = pin!(protocol(limits).serve_connection(io, service));
    let mut last_call = pin!(last_call.cancelled());
    let (mut called, mut discard) = (false, PIPELINED);
    poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !called && (link.is_streaming() || last_call.as_mut().poll(context).is_ready()) {
            called = true;
            // Its head is out by now: this only says that no second request will be answered.
            connection.as_mut().graceful_shutdown();
            context.waker().wake_by_ref();
        }
        if link.is_streaming() {
            return link.poll_gone(context, &mut discard);
        }
        Poll::Pending
    })
    .await;
}

fn protocol(limits: Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        // Whoever closes its side behind a request gets its answer; a stream ends then, but by our own look (`poll_gone`).
        .half_close(true)
        .max_buf_size(READ_BUFFER);
    builder
}

/// Closes without destroying what the client has not read yet.
///
/// Closing a socket that holds unread input sends a reset, and a reset throws away the answer on its way: whoever sent
/// too large a head would see a broken connection instead of the 431.
async fn linger(link: &Link) {
    // Fails when the peer is gone, which the read below finds out too.
    let _ = SockRef::from(link.socket()).shutdown(Shutdown::Write);
    let mut discard = LINGER_BYTES;
    let gone = poll_fn(|context| link.poll_gone(context, &mut discard));
    let _ = timeout(LINGER, gone).await;
}

fn tune(socket: &TcpStream, limits: Limits) -> io::Result<()> {
    let socket = SockRef::from(socket);
    // An event is written whole and must leave at once.
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(limits.stall_timeout)
        .with_interval(limits.heartbeat);
    socket.set_tcp_keepalive(&keepalive)?;
    tune_linux(&socket, limits)
}

#[cfg(target_os = "linux")]
fn tune_linux(socket: &SockRef<'_>, limits: Limits) -> io::Result<()> {
    // It counts the time of a closed window too, hence no less than our own deadline, which is the one that says why.
    socket.set_tcp_user_timeout(Some(limits.stall_timeout + limits.heartbeat))?;
    socket.set_tcp_notsent_lowat(NOT_SENT)
}

#[cfg(not(target_os = "linux"))]
fn tune_linux(_socket: &SockRef<'_>, _limits: Limits) -> io::Result<()> {
    Ok(())
}

/// How many bytes the kernel takes beyond what it has sent: one batch, so that a socket that is writable takes the whole
/// of it in one write. Without a limit it keeps megabytes for a peer that does not read. Less costs wake-ups.
#[cfg(target_os = "linux")]
const NOT_SENT: u32 = 64 * 1024;

/// How much of a head hyper reads, in bytes: what we answer ourselves when it is too large (`http::front`), and some more
/// so that most of what is too large gets the same JSON as everything else. Beyond it hyper answers a bare 431.
const READ_BUFFER: usize = 128 * 1024;

/// How many bytes a client may send behind its request for a stream: a few requests of a confused client. More is no
/// client of ours, and reading it costs CPU for nothing.
const PIPELINED: usize = 64 * 1024;

/// How long, and for how many bytes, a closed connection is still read. Enough for the rest of a head that was too large
/// to arrive over a slow line; little enough that a flood gains nothing by it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
