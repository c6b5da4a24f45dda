//! The listening sockets: inherited from systemd or a predecessor, or bound here.

use std::{
    env, io,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use listenfd::ListenFd;
use socket2::{Domain, Type};
use zeroize::Zeroizing;

use super::{super::StartError, Predecessor, slots::Slots, ticket_keys};
use crate::{config::Config, health::Health, http::BoundListener};

/// The sockets to serve, and the process that served them before.
pub(in crate::app) struct ListenSockets {
    pub(in crate::app) http: Option<BoundListener>,
    pub(in crate::app) https: Option<BoundListener>,
    pub(in crate::app) admin: BoundListener,
    pub(in crate::app) predecessor: Option<Predecessor>,
    /// The predecessor's message with its keys of tickets, which is empty without any.
    pub(in crate::app) ticket_keys: Zeroizing<Vec<u8>>,
}

/// Addresses of the sockets: those to bind, or those that are bound.
#[derive(Clone, Copy, Debug)]
pub(in crate::app) struct ListenAddresses {
    /// The public listener without TLS, if there is one.
    pub(in crate::app) http: Option<SocketAddr>,
    /// The public listener with TLS, if there is one.
    pub(in crate::app) https: Option<SocketAddr>,
    /// The admin listener.
    pub(in crate::app) admin: SocketAddr,
}

impl ListenAddresses {
    /// Returns the addresses that the configuration names.
    pub(in crate::app) fn of(config: &Config) -> Self {
        Self {
            http: config.http.listen,
            https: config.http.tls.as_ref().map(|https| https.listen),
            admin: config.admin.listen,
        }
    }
}

/// Duplicates of the sockets, for a successor, each with the name that it is passed on by.
pub(in crate::app) struct SpareSockets(pub(super) Vec<(&'static str, OwnedFd)>);

impl ListenSockets {
    /// Binds all sockets.
    ///
    /// # Errors
    /// If a port cannot be bound.
    pub(in crate::app) fn bind(addresses: ListenAddresses) -> Result<Self, StartError> {
        Ok(Self {
            http: addresses.http.map(bind).transpose()?,
            https: addresses.https.map(bind).transpose()?,
            admin: bind(addresses.admin)?,
            predecessor: None,
            ticket_keys: Zeroizing::default(),
        })
    }

    /// Takes the inherited sockets, and binds those that are missing. Must be called before there is any other thread that reads
    /// the environment, because it removes the inheritance from the environment.
    ///
    /// # Errors
    /// If a port cannot be bound, or an inherited descriptor is no socket of the kind.
    pub(in crate::app) fn inherit(addresses: ListenAddresses) -> Result<Self, StartError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut inherited = ListenFd::from_env();
        let slots = Slots::assign(&names, inherited.len(), addresses.http.is_some());
        let mut optional = |slot: Option<usize>, address: Option<SocketAddr>| match (slot, address) {
            (slot, Some(address)) => inherit(&mut inherited, slot, address).map(Some),
            (Some(index), None) => close_unused(&mut inherited, index).map(|()| None),
            (None, None) => Ok(None),
        };
        let http = optional(slots.http, addresses.http)?;
        let https = optional(slots.https, addresses.https)?;
        let admin = inherit(&mut inherited, slots.admin, addresses.admin)?;
        let channel = inherit_channel(&mut inherited, slots.channel)?;
        let ticket_keys = inherit_channel(&mut inherited, slots.ticket_keys)?;
        Ok(Self {
            http,
            https,
            admin,
            predecessor: channel.map(Predecessor::new),
            ticket_keys: ticket_keys
                .map(|channel| read_ticket_keys(&channel))
                .unwrap_or_default(),
        })
    }

    /// Returns the bound addresses.
    pub(in crate::app) fn addresses(&self) -> ListenAddresses {
        ListenAddresses {
            http: self.http.as_ref().map(BoundListener::address),
            https: self.https.as_ref().map(BoundListener::address),
            admin: self.admin.address(),
        }
    }

    /// Waits until the sockets may be served: not at all without a predecessor.
    ///
    /// # Errors
    /// [`StartError::Unanswered`] if Kafka does not answer within `takeover`.
    pub(in crate::app) async fn wait_ready(
        &self,
        health: &Health,
        takeover: Duration,
    ) -> Result<(), StartError> {
        match &self.predecessor {
            Some(predecessor) => predecessor.wait_ready(health, takeover).await,
            None => Ok(()),
        }
    }

    /// Duplicates all sockets. The older two come first, because a successor of an older version knows them by their order.
    pub(in crate::app) fn spare(&self) -> io::Result<SpareSockets> {
        let sockets = [
            (Slots::HTTP, self.http.as_ref()),
            (Slots::ADMIN, Some(&self.admin)),
            (Slots::HTTPS, self.https.as_ref()),
        ];
        let sockets = sockets.into_iter();
        let sockets = sockets.filter_map(|(name, socket)| Some((name, socket?)));
        let spare = sockets.map(|(name, socket)| Ok((name, socket.try_clone_fd()?)));
        spare.collect::<io::Result<_>>().map(SpareSockets)
    }
}

/// Takes the inherited socket at `slot`, or binds `address` if there is none.
fn inherit(
    inherited: &mut ListenFd,
    slot: Option<usize>,
    address: SocketAddr,
) -> Result<BoundListener, StartError> {
    let Some(index) = slot else {
        return bind(address);
    };
    let refused = |why| StartError::Inherited { index, why };
    let Some(listener) = inherited.take_tcp_listener(index).map_err(refused)? else {
        return bind(address);
    };
    let bound = BoundListener::from_inherited(listener).map_err(refused)?;
    if address.port() != 0 && address != bound.address() {
        tracing::warn!(
            configured = %address,
            inherited = %bound.address(),
            "the inherited socket has another address than configured, and is served"
        );
    }
    Ok(bound)
}

/// Takes the inherited channel at `slot`, if there is one.
fn inherit_channel(inherited: &mut ListenFd, slot: Option<usize>) -> io::Result<Option<UnixStream>> {
    let Some(index) = slot else { return Ok(None) };
    let (domain, kind) = (i32::from(Domain::UNIX), i32::from(Type::STREAM));
    inherited.take_custom(index, domain, kind, "Unix stream socket")
}

/// Reads the predecessor's keys of tickets. Without them clients do full handshakes, which is no reason not to serve.
fn read_ticket_keys(channel: &UnixStream) -> Zeroizing<Vec<u8>> {
    ticket_keys::read_from(channel).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read the predecessor's keys of tickets; clients do full handshakes, and tickets in URLs that it made without `auth.ticket_keys` do not open");
        Zeroizing::default()
    })
}

/// Closes an inherited socket that the configuration does not serve.
fn close_unused(inherited: &mut ListenFd, index: usize) -> Result<(), StartError> {
    let listener = inherited.take_tcp_listener(index);
    let listener = listener.map_err(|why| StartError::Inherited { index, why })?;
    if let Some(listener) = listener {
        let address = listener.local_addr()?;
        tracing::warn!(inherited = %address, "an inherited socket is not served, because the configuration has no listener for it");
    }
    Ok(())
}

fn bind(address: SocketAddr) -> Result<BoundListener, StartError> {
    BoundListener::bind(address).map_err(|error| StartError::Bind(address, error))
}
