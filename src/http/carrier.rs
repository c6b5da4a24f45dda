//! What carries a stream's body to its client: a connection of its own, or one stream of a connection of HTTP/2.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use axum::body::Body;

use super::{
    body::StreamBody,
    carried::Carried,
    delivery::{Delivery, Feed},
    held::Held,
    link::Link,
    strand::Strand,
    takeover::{HandOver, Seat},
};
use crate::{metrics::EndReason, subscription::Stuck};

/// What a body and those who carry it tell each other.
#[derive(Clone, Debug)]
pub(super) enum Carrier {
    /// HTTP/1.1: an endless body is the last thing on its connection.
    Alone {
        link: Arc<Link>,
        /// Where a body goes that leaves hyper; `None` if it must not.
        seat: Option<Arc<Seat>>,
    },
    /// HTTP/2: others are on the connection.
    Shared(Arc<Strand>),
}

impl Carrier {
    /// A connection of HTTP/1.1 that hyper keeps.
    pub(super) fn alone(link: Arc<Link>) -> Self {
        Self::Alone { link, seat: None }
    }

    /// Carries a delivery: as the body of an answer, which gives it to one of the two sinks.
    pub(super) fn carry<F: Feed + Unpin + Send + 'static>(self, delivery: Delivery<F>) -> Body {
        self.claim();
        match self {
            Self::Alone {
                link,
                seat: Some(seat),
            } => {
                let carrier = Self::alone(link);
                Body::new(HandOver::new(Carried { carrier, delivery }, seat))
            }
            carrier => Body::new(StreamBody::new(Carried { carrier, delivery })),
        }
    }

    /// An endless body is what it will carry.
    fn claim(&self) {
        match self {
            Self::Alone { link, .. } => link.claim(),
            Self::Shared(strand) => strand.claim(),
        }
    }

    /// An endless body begins.
    pub(super) fn begin_stream(&self) {
        match self {
            Self::Alone { link, .. } => link.begin_stream(),
            // Others may ask for more beside it.
            Self::Shared(_) => {}
        }
    }

    /// Whether a body must hold back; if so, its task is woken when it need not any more. HTTP/2 has windows for that, and
    /// asks for nothing while they are closed.
    pub(super) fn declines(&self) -> bool {
        match self {
            Self::Alone { link, .. } => link.declines(),
            Self::Shared(_) => false,
        }
    }

    /// What was given must be written before more is asked for.
    pub(super) fn set_blocked(&self) {
        match self {
            Self::Alone { link, .. } => link.set_blocked(),
            Self::Shared(_) => {}
        }
    }

    /// What it was given and has not written yet; of HTTP/2, what it was given last.
    pub(super) fn held(&self) -> &Held {
        match self {
            Self::Alone { link, .. } => link.held(),
            Self::Shared(strand) => strand.held(),
        }
    }

    /// Whether something that was given is not written yet.
    pub(super) fn is_blocked(&self) -> bool {
        match self {
            Self::Alone { link, .. } => link.is_blocked(),
            Self::Shared(strand) => strand.is_blocked(),
        }
    }

    /// For how long the peer has been silent although it should not be.
    pub(super) fn silence(&self) -> Duration {
        match self {
            Self::Alone { link, .. } => link.silence(),
            Self::Shared(strand) => strand.link().silence(),
        }
    }

    /// Ends a connection whose peer is gone, and with it all that it carries.
    pub(super) fn abandon(&self, reason: EndReason) {
        match self {
            Self::Alone { link, .. } => link.reset(reason),
            Self::Shared(strand) => strand.link().reset(reason),
        }
    }

    /// Ends this stream at once, possibly inside an event.
    pub(super) fn reset(&self, reason: EndReason) {
        match self {
            Self::Alone { link, .. } => link.reset(reason),
            Self::Shared(strand) => strand.reset(reason),
        }
    }

    /// The same, for who must not keep it.
    pub(super) fn downgrade(&self) -> Tether {
        match self {
            Self::Alone { link, .. } => Tether::Alone(Arc::downgrade(link)),
            Self::Shared(strand) => Tether::Shared(Arc::downgrade(strand)),
        }
    }

    /// Why the stream ended, as far as its carrier knows.
    pub(super) fn end(&self) -> EndReason {
        match self {
            Self::Alone { link, .. } => link.end(),
            Self::Shared(strand) => strand.end(),
        }
    }
}

/// A carrier while there is one.
#[derive(Clone, Debug)]
pub(super) enum Tether {
    /// See [`Carrier::Alone`].
    Alone(Weak<Link>),
    /// See [`Carrier::Shared`].
    Shared(Weak<Strand>),
}

impl Stuck for Tether {
    fn reset(&self) {
        if let Some(carrier) = self.carrier() {
            carrier.reset(EndReason::Memory);
        }
    }
}

impl Tether {
    /// The carrier, if its stream is still on it.
    pub(super) fn carrier(&self) -> Option<Carrier> {
        match self {
            Self::Alone(link) => link.upgrade().map(Carrier::alone),
            Self::Shared(strand) => strand.upgrade().map(Carrier::Shared),
        }
    }
}
