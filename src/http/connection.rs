//! One connection, from accept to close.

use std::{
    future::{Future, poll_fn},
    io,
    net::{Shutdown, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::response::Response;
use futures_util::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    carrier::Carrier,
    http1, http2,
    link::Link,
    opening::{self, NotTold, Protocol},
    presence::Presence,
    settings::Sink,
    shards::Shards,
    socket::SocketSink,
    takeover::Parked,
};
use crate::{
    client::{ClientAddr, PeerAddr, Proxies, Told},
    limits::{Admission, Lobby},
    metrics::{EndReason, HttpMetrics, TurnedAway},
};

/// Answers the requests of a connection.
pub(super) trait Answer: Clone + Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>) -> BoxFuture<'static, Response>;
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// After this long without one byte taken a connection is reset.
    pub(super) stall_timeout: Duration,
    /// A stream's silence is at most this long, so that a live peer acknowledges something this often.
    pub(super) heartbeat: Duration,
    /// How long a request's head may take, the first with all that comes before it.
    pub(super) head_timeout: Duration,
}

/// How the connections of one listener are treated.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) limits: Limits,
    /// What connections without a stream count under; nothing on a listener that strangers do not reach.
    pub(super) admission: Option<Arc<Admission>>,
    /// Where they wait.
    pub(super) lobby: fn(&Admission) -> &Lobby,
    /// Whose word is taken.
    pub(super) proxies: Proxies,
    /// Whether every connection begins with a PROXY header.
    pub(super) proxy_protocol: bool,
    /// Which way streams of HTTP/1.1 leave.
    pub(super) sink: Sink,
    pub(super) metrics: HttpMetrics,
}

impl Rules {
    /// Where connections without a stream wait, if they are counted.
    pub(super) fn lobby(&self) -> Option<&Lobby> {
        self.admission.as_deref().map(self.lobby)
    }
}

/// How a connection is told that the process is going.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// Answer what is being asked, then close.
    pub(super) last_call: CancellationToken,
    /// Wait for nobody's first request any more.
    pub(super) hang_up: CancellationToken,
    /// Close, whatever is going on.
    pub(super) cut: CancellationToken,
}

/// A listener, as each of its connections sees it.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) rules: Rules,
    pub(super) closing: Closing,
    /// Who takes over the connections that hyper gives back; nobody where it keeps them all.
    pub(super) shards: Option<Shards>,
}

impl Port {
    /// One with shards if its rules want them. Inside a runtime.
    pub(super) fn open(rules: Rules) -> Self {
        let closing = Closing::default();
        let shards = (rules.sink == Sink::Socket).then(|| Shards::start(&rules.metrics, &closing.cut));
        Self {
            rules,
            closing,
            shards,
        }
    }
}

/// Serves one connection, to its end or until somebody else does.
///
/// Not an `async fn`, whose arguments lie in its future twice: where they came, and where they are used. What stands before the
/// `async` runs where connections are accepted, and must not fail.
pub(super) fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    answer: impl Answer,
    port: Arc<Port>,
    presence: Presence,
) -> impl Future<Output = ()> + Send {
    let lobby = port.rules.lobby();
    let link = Arc::new(Link::new(socket, lobby.map(Lobby::place)));
    async move {
        if let Err(error) = tune(link.socket(), port.rules.limits) {
            // It works without; and a peer that is gone already shows itself when it is read.
            tracing::debug!(%peer, %error, "cannot tune a socket");
        }
        let parked = tokio::select! {
            parked = converse(&link, PeerAddr(peer), &answer, &port) => parked,
            () = link.sent_away() => return link.set_reset_on_close(),
            () = port.closing.cut.cancelled() => return,
        };
        if let (Some(parked), Some(shards)) = (parked, &port.shards) {
            link.leave_lobby_for_good();
            shards.take(SocketSink::new(
                link,
                parked,
                port.rules.limits.stall_timeout,
                presence,
            ));
        }
    }
}

/// Finds out who speaks what, and lets it, to the end of the connection or of hyper's part in it.
async fn converse(link: &Arc<Link>, peer: PeerAddr, answer: &impl Answer, port: &Port) -> Option<Parked> {
    let Port { rules, closing, .. } = port;
    let deadline = Instant::now() + rules.limits.head_timeout;
    // On the heap, and gone with the first bytes: what follows may stay for days.
    let opening = Box::pin(timeout_at(deadline, open(link, peer, rules)));
    let opened = tokio::select! {
        opened = opening => opened,
        () = closing.hang_up.cancelled() => return None,
    };
    let (peer, protocol) = opened.ok()??;
    let parked = match protocol {
        Protocol::Http1(first) => http1::converse(link, peer, first, answer, port, deadline).await,
        Protocol::Http2(first) => {
            let last_call = &closing.last_call;
            let conversation = http2::converse(link, peer, first, answer.clone(), rules, deadline, last_call);
            // On the heap, because those of HTTP/1.1 would have to make room for it.
            Box::pin(conversation).await;
            None
        }
    };
    if parked.is_none() {
        take_leave(link).await;
    }
    parked
}

/// Reads as far as is needed to know who speaks what; nobody who may not, or is gone.
async fn open(link: &Link, peer: PeerAddr, rules: &Rules) -> Option<(PeerAddr, Protocol)> {
    let trusted = rules.proxies.trusts(peer.into());
    let peer = match (rules.proxy_protocol, trusted) {
        (false, _) => peer,
        // Whoever may write this header chooses the address that limits count.
        (true, false) => {
            rules.metrics.turned_away(TurnedAway::Untrusted);
            return None;
        }
        (true, true) => {
            link.enter_lobby_as_proxy();
            told(link, peer, rules).await?
        }
    };
    let client = ClientAddr::from(peer);
    match &rules.admission {
        Some(_) if rules.proxies.trusts(client) => link.enter_lobby_as_proxy(),
        Some(admission) => link.enter_lobby_as(admission.policy().key(client)),
        None => {}
    }
    Some((peer, opening::protocol(link).await.ok()?))
}

async fn told(link: &Link, proxy: PeerAddr, rules: &Rules) -> Option<PeerAddr> {
    match opening::told(link).await {
        Ok(Told::For(peer)) => Some(peer),
        Ok(Told::Itself) => Some(proxy),
        Err(NotTold::Bad(_)) => {
            rules.metrics.turned_away(TurnedAway::BadProxyHeader);
            None
        }
        Err(NotTold::Gone(_)) => None,
    }
}

/// Tells a request what is known of its connection.
pub(super) fn introduce<B>(request: &mut Request<B>, peer: PeerAddr, link: &Arc<Link>, carrier: Carrier) {
    let known = request.extensions_mut();
    known.insert(peer);
    known.insert(Arc::clone(link));
    known.insert(carrier);
}

/// Closes without destroying what the client has not read yet, unless it has had its time for that.
///
/// Closing a socket that holds unread input sends a reset, and a reset throws away the answer on its way: whoever sent
/// too large a head would see a broken connection instead of the 431.
pub(super) async fn take_leave(link: &Link) {
    if link.end() == EndReason::Stalled {
        return;
    }
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
    // Counted in whole seconds, of which none is an error.
    let keepalive = TcpKeepalive::new()
        .with_time(limits.stall_timeout.max(SECOND))
        .with_interval(limits.heartbeat.max(SECOND));
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
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

const SECOND: Duration = Duration::from_secs(1);

/// How many bytes the kernel takes beyond what it has sent: one batch, so that a socket that is writable takes the whole
/// of it in one write. Without a limit it keeps megabytes for a peer that does not read. Less costs wake-ups.
#[cfg(target_os = "linux")]
const NOT_SENT: u32 = 64 * 1024;

/// How many bytes the kernel keeps until they are acknowledged; it doubles this for its own bookkeeping, and left to itself
/// goes to 4 MiB for a peer with a large window that acknowledges nothing. A replay gets 2 MB/s of it over a line of 100 ms.
const SEND_BUFFER: usize = 208 * 1024;

/// How long, and for how many bytes, a closed connection is still read. Enough for the rest of a head that was too large
/// to arrive over a slow line; little enough that a flood gains nothing by it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
