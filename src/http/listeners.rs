//! The sockets of a gateway.

use super::server::listener::BoundListener;
use crate::tls::TlsServer;

/// The bound sockets, and the certificates of those with TLS.
#[derive(Debug)]
pub struct BoundListeners {
    /// The public listener without TLS, if there is one.
    pub http: Option<BoundListener>,
    /// The public listener with TLS, if there is one.
    pub https: Option<TlsListener>,
    /// The listener for operators.
    pub admin: BoundListener,
    /// The certificates of the listener for operators, if it speaks TLS.
    pub admin_tls: Option<TlsServer>,
}

/// A socket, and the certificates that are served on it.
#[derive(Debug)]
pub struct TlsListener {
    /// The socket.
    pub listener: BoundListener,
    /// The certificates.
    pub tls: TlsServer,
}

impl BoundListeners {
    /// Returns two listeners without TLS.
    pub fn plain(http: BoundListener, admin: BoundListener) -> Self {
        Self {
            http: Some(http),
            https: None,
            admin,
            admin_tls: None,
        }
    }
}
