//! The sessions of many clients of one server.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};

/// The session tickets of all clients, of which each is used once. To the server it is the same as if each client kept its
/// own, because a ticket says nothing of an address.
///
/// At first tickets are only kept, so that clients that connect for the first time do full handshakes.
#[derive(Debug, Default)]
pub struct SessionPool {
    /// The oldest first. So what was kept before a restart is used first after it.
    tickets: Mutex<VecDeque<Tls13ClientSessionValue>>,
    is_open: AtomicBool,
}

impl SessionPool {
    /// Lets clients use the tickets from now on.
    pub fn open(&self) {
        self.is_open.store(true, Relaxed);
    }

    /// Returns the number of tickets that are kept.
    pub fn len(&self) -> usize {
        self.tickets().len()
    }

    /// Returns whether no ticket is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn tickets(&self) -> MutexGuard<'_, VecDeque<Tls13ClientSessionValue>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for SessionPool {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.tickets().push_back(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        match self.is_open.load(Relaxed) {
            true => self.tickets().pop_front(),
            false => None,
        }
    }
}
