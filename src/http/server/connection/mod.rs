//! One connection, from accept to close: its socket options, its client, its protocol.
//!
//! Not here: HTTP itself (`http1`, `http2`), and a stream that has left hyper (`fanout`).

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    close::lingering_close,
    conn::ConnState,
    connection_guard::ConnectionGuard,
    context::{ListenerConfig, ServerContext, Timeouts},
    handler::{Peer, RequestHandler},
    http1, http2,
    io::HyperIo,
    sniff::{self, Protocol, ProxyHeaderError},
    tls,
    transport::{Transport, client_certificate},
};
use crate::{
    client::{ClientAddr, ClientKey, Ipv6Prefix, PeerAddr, ProxyHeader},
    http::{delivery::handoff::DetachedStream, fanout::socket::SocketSink},
    limits::{IdleConnections, IdleGuard},
    metrics::ConnectionRefusal,
    tls::TlsServer,
};

/// Serves one connection until it ends, or until a write task takes it over.
///
/// It is no `async fn`, because the future of one holds its arguments twice: as they came, and where they are used. The code
/// before the `async` block runs in the task that accepts connections, and must not panic.
pub(in crate::http) fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    handler: impl RequestHandler,
    server: Arc<ServerContext>,
    connection_guard: ConnectionGuard,
) -> impl Future<Output = ()> + Send {
    let idle_connections = server.config.idle_connections();
    let conn = Arc::new(ConnState::new(
        socket,
        idle_connections.map(IdleConnections::guard),
    ));
    // Before the next connection is accepted, which waits for capacity. The task of this one may run after many others were accepted.
    enter_idle(&conn, PeerAddr(peer), &server.config);
    async move {
        if let Err(error) = tune(conn.socket(), server.config.timeouts) {
            // The connection works without the options. A peer that is gone already is noticed by the next read.
            tracing::debug!(%peer, %error, "cannot set socket options; the connection works without them");
        }
        let detached = tokio::select! {
            detached = serve_protocol(&conn, PeerAddr(peer), &handler, &server) => detached,
            () = conn.evicted() => return conn.set_reset_on_close(),
            () = server.shutdown.abort.cancelled() => return,
        };
        if let (Some(detached), Some(writers)) = (detached, &server.writers) {
            conn.release_idle_guard();
            writers.assign(SocketSink::new(
                conn,
                detached,
                server.config.timeouts.stall_timeout,
                connection_guard,
            ));
        }
    }
}

/// Identifies the client and the protocol, and serves the connection until it ends. Returns the stream if one left hyper
/// before that.
async fn serve_protocol(
    conn: &Arc<ConnState>,
    peer: PeerAddr,
    handler: &impl RequestHandler,
    server: &ServerContext,
) -> Option<DetachedStream> {
    let ServerContext { config, shutdown, .. } = server;
    let deadline = Instant::now() + config.timeouts.head_timeout;
    // On the heap, and freed after the first bytes: the rest of this future may stay for days.
    let identifying = Box::pin(timeout_at(deadline, identify(conn, peer, config, deadline)));
    let identified = tokio::select! {
        identified = identifying => identified,
        () = shutdown.close_idle.cancelled() => return None,
    };
    let Identified {
        peer,
        is_http2,
        transport,
    } = identified.ok()??;
    // Not bound before the stream is known to be there: what is bound stays in the task while the connection closes.
    let Some(detached) = (match is_http2 {
        false => http1::serve(conn, peer, transport, handler, server, deadline).await,
        true => {
            let graceful = &shutdown.graceful;
            let conversation =
                http2::serve(conn, peer, transport, handler.clone(), config, deadline, graceful);
            // On the heap, because otherwise the futures of HTTP/1.1 connections would have to be as large.
            Box::pin(conversation).await;
            None
        }
    }) else {
        lingering_close(conn).await;
        return None;
    };
    Some(detached)
}

/// What is known of a connection before its first request.
struct Identified {
    peer: Arc<Peer>,
    is_http2: bool,
    transport: Transport,
}

/// Counts a connection that was just accepted as idle. Behind the PROXY protocol it is its proxy's, until its header has come.
fn enter_idle(conn: &ConnState, peer: PeerAddr, config: &ListenerConfig) {
    if !config.proxy_protocol {
        enter_idle_as(conn, peer.into(), config);
    } else if config.proxies.trusts(peer.into()) {
        conn.with_idle_guard(IdleGuard::enter_as_proxy);
    }
}

/// Counts a connection as one of this client's, or of this trusted proxy's.
fn enter_idle_as(conn: &ConnState, client: ClientAddr, config: &ListenerConfig) {
    match &config.admission {
        Some(_) if config.proxies.trusts(client) => conn.with_idle_guard(IdleGuard::enter_as_proxy),
        Some(_) => conn.with_idle_guard(|guard| guard.enter_as(client_key(client, config))),
        None => {}
    }
}

/// Returns the key that this client is counted under.
fn client_key(client: ClientAddr, config: &ListenerConfig) -> ClientKey {
    match &config.admission {
        Some(admission) => admission.policy().key(client),
        None => client.key(Ipv6Prefix::default()),
    }
}

/// Reads the PROXY header if there is to be one, and then does the TLS handshake, or reads the bytes that identify the protocol.
/// Returns `None` if the peer may not connect, sent a bad header, fails the handshake, or is gone.
async fn identify(
    conn: &Arc<ConnState>,
    peer: PeerAddr,
    config: &ListenerConfig,
    deadline: Instant,
) -> Option<Identified> {
    let trusted = config.proxies.trusts(peer.into());
    let peer = match (config.proxy_protocol, trusted) {
        (false, _) => peer,
        // A peer that writes this header chooses the client address that limits count.
        (true, false) => {
            config.metrics.turned_away(ConnectionRefusal::Untrusted);
            return None;
        }
        (true, true) => {
            let peer = proxied_peer(conn, peer, config).await?;
            enter_idle_as(conn, peer.into(), config);
            peer
        }
    };
    let (is_http2, transport) = match &config.tls {
        Some(tls) => {
            let client = client_key(peer.into(), config);
            with_tls(tls, conn, client, config.timeouts.stall_timeout, deadline).await?
        }
        None => without_tls(conn, config).await?,
    };
    Some(Identified {
        peer: Arc::new(Peer {
            address: peer,
            certificate: client_certificate(&transport),
        }),
        is_http2,
        transport,
    })
}

/// Does the TLS handshake. Returns whether it chose HTTP/2.
async fn with_tls(
    tls: &TlsServer,
    conn: &Arc<ConnState>,
    client: ClientKey,
    stall_timeout: Duration,
    deadline: Instant,
) -> Option<(bool, Transport)> {
    // On the heap by itself, because otherwise connections without TLS would have room for it too.
    let io = Box::pin(tls::handshake(tls, conn, client, stall_timeout, deadline)).await?;
    Some((io.is_http2(), Transport::Right(io)))
}

/// Reads the bytes that identify the protocol. Returns whether it is HTTP/2.
async fn without_tls(conn: &Arc<ConnState>, config: &ListenerConfig) -> Option<(bool, Transport)> {
    let (is_http2, first) = match sniff::detect_protocol(conn).await.ok()? {
        Protocol::Http1(first) => (false, first),
        Protocol::Http2(first) => (true, first),
    };
    let io = HyperIo::new(Arc::clone(conn), first, config.timeouts.stall_timeout);
    Some((is_http2, Transport::Left(io)))
}

/// Reads the PROXY header, and returns the address in it, or the proxy's own for `LOCAL`.
async fn proxied_peer(conn: &ConnState, proxy: PeerAddr, config: &ListenerConfig) -> Option<PeerAddr> {
    match sniff::read_proxy_header(conn).await {
        Ok(ProxyHeader::Proxied(peer)) => Some(peer),
        Ok(ProxyHeader::Local) => Some(proxy),
        Err(ProxyHeaderError::Bad(_)) => {
            config.metrics.turned_away(ConnectionRefusal::BadProxyHeader);
            None
        }
        Err(ProxyHeaderError::Gone(_)) => None,
    }
}

/// Sets the socket's options.
fn tune(socket: &TcpStream, timeouts: Timeouts) -> io::Result<()> {
    let socket = SockRef::from(socket);
    // Each event is written whole, and must be sent at once.
    socket.set_tcp_nodelay(true)?;
    // The kernel counts in whole seconds, and takes zero for an error.
    let keepalive = TcpKeepalive::new()
        .with_time(timeouts.stall_timeout.max(SECOND))
        .with_interval(timeouts.heartbeat.max(SECOND));
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    tune_linux(&socket, timeouts)
}

#[cfg(target_os = "linux")]
fn tune_linux(socket: &SockRef<'_>, timeouts: Timeouts) -> io::Result<()> {
    // This timeout counts the time of a closed window too. It must not be less than our own deadline, which knows the reason.
    socket.set_tcp_user_timeout(Some(timeouts.stall_timeout + timeouts.heartbeat))?;
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT)
}

#[cfg(not(target_os = "linux"))]
fn tune_linux(_socket: &SockRef<'_>, _limits: Timeouts) -> io::Result<()> {
    Ok(())
}

const SECOND: Duration = Duration::from_secs(1);

/// How many bytes the kernel takes beyond what it has sent: one batch, so that a writable socket takes all of it in one
/// write. Without a limit the kernel keeps megabytes for a peer that does not read. Less costs wake-ups.
#[cfg(target_os = "linux")]
const NOTSENT_LOWAT: u32 = 64 * 1024;

/// How many bytes the kernel keeps until they are acknowledged. It doubles this for its own bookkeeping. Left to itself it
/// goes to 4 MiB for a peer with a large window that acknowledges nothing. With this much, a replay gets 2 MB/s over a line with
/// a round trip of 100 ms.
const SEND_BUFFER: usize = 208 * 1024;

#[cfg(test)]
mod test_client;
#[cfg(test)]
mod tests;
