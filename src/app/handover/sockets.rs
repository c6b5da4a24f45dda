//! The listening sockets: inherited from systemd or a predecessor, or bound here.

use std::{
    env, io,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use listenfd::ListenFd;
use socket2::{Domain, Type};

use super::{super::StartError, CHANNEL, Predecessor};
use crate::{health::Health, http::BoundListener};

/// The sockets to serve, and the process that served them before.
pub(in crate::app) struct ListenSockets {
    pub(in crate::app) public: BoundListener,
    pub(in crate::app) admin: BoundListener,
    pub(in crate::app) predecessor: Option<Predecessor>,
}

/// Duplicates of the sockets, for a successor.
pub(in crate::app) struct SpareSockets {
    pub(super) public: OwnedFd,
    pub(super) admin: OwnedFd,
}

impl ListenSockets {
    /// Binds both sockets.
    ///
    /// # Errors
    /// If a port cannot be bound.
    pub(in crate::app) fn bind(public: SocketAddr, admin: SocketAddr) -> Result<Self, StartError> {
        Ok(Self {
            public: bind(public)?,
            admin: bind(admin)?,
            predecessor: None,
        })
    }

    /// Takes the inherited sockets, the public one first and then the admin one, and binds those that are missing. Must be called
    /// before there is any other thread that reads the environment, because it removes the inheritance from the environment.
    ///
    /// # Errors
    /// If a port cannot be bound, or an inherited descriptor is no socket of the kind.
    pub(in crate::app) fn inherit(public: SocketAddr, admin: SocketAddr) -> Result<Self, StartError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut inherited = ListenFd::from_env();
        let public = inherit(&mut inherited, 0, public)?;
        let admin = inherit(&mut inherited, 1, admin)?;
        let channel = names.split(':').position(|name| name == CHANNEL);
        let channel = channel.map(|index| {
            let (domain, kind) = (i32::from(Domain::UNIX), i32::from(Type::STREAM));
            inherited.take_custom::<UnixStream>(index, domain, kind, "Unix stream socket")
        });
        let channel = channel.transpose()?.flatten();
        Ok(Self {
            public,
            admin,
            predecessor: channel.map(Predecessor::new),
        })
    }

    /// Returns the bound addresses, the public one first.
    pub(in crate::app) fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.public.address(), self.admin.address())
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

    /// Duplicates both sockets.
    pub(in crate::app) fn spare(&self) -> io::Result<SpareSockets> {
        Ok(SpareSockets {
            public: self.public.try_clone_fd()?,
            admin: self.admin.try_clone_fd()?,
        })
    }
}

fn inherit(inherited: &mut ListenFd, index: usize, address: SocketAddr) -> Result<BoundListener, StartError> {
    let listener = inherited.take_tcp_listener(index);
    let refused = |why| StartError::Inherited { index, why };
    let Some(listener) = listener.map_err(refused)? else {
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

fn bind(address: SocketAddr) -> Result<BoundListener, StartError> {
    BoundListener::bind(address).map_err(|error| StartError::Bind(address, error))
}
