//! Session tickets, as rustls asks for them.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use tokio_rustls::rustls::server::ProducesTickets;

use super::{
    keys::{TICKET_LIFETIME, TicketKeys},
    session,
};

/// Seals and opens the tickets of a listener, under the rules that its clients are judged by.
///
/// A resumed session trusts the certificate that the client showed when the session began. So the rules are part of what a ticket
/// is sealed with: under others it does not open, also at a replica, and after a restart with the same keys. Nor does it once that
/// certificate has expired. The client then does a full handshake, and shows the certificate that it has by then.
pub(in crate::tls) struct Ticketer {
    keys: Arc<TicketKeys>,
    rules: [u8; 32],
}

impl Ticketer {
    /// Creates one with these keys, for the rules with this digest.
    pub(in crate::tls) fn new(keys: Arc<TicketKeys>, rules: [u8; 32]) -> Self {
        Self { keys, rules }
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(TICKET_LIFETIME.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.keys.seal(&self.rules, session, Instant::now())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let session = self.keys.open(&self.rules, ticket, Instant::now());
        session.filter(|session| session::is_resumable(session, SystemTime::now()))
    }
}

debug_by_name!(Ticketer);
