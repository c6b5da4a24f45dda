//! What carries a stream's body to its client: a connection of its own, or one stream of a connection of HTTP/2.

use std::sync::Arc;

use super::{link::Link, strand::Strand};
use crate::metrics::EndReason;

/// What a body and those who carry it tell each other.
#[derive(Clone, Debug)]
pub(super) enum Carrier {
    /// HTTP/1.1: an endless body is the last thing on its connection.
    Alone(Arc<Link>),
    /// HTTP/2: others are on the connection.
    Shared(Arc<Strand>),
}

impl Carrier {
    /// An endless body is what it will carry.
    pub(super) fn claim(&self) {
        match self {
            Self::Alone(link) => link.claim(),
            Self::Shared(strand) => strand.claim(),
        }
    }

    /// An endless body begins.
    pub(super) fn begin_stream(&self) {
        match self {
            Self::Alone(link) => link.begin_stream(),
            // Others may ask for more beside it.
            Self::Shared(_) => {}
        }
    }

    /// Whether a body must hold back; if so, its task is woken when it need not any more. HTTP/2 has windows for that, and
    /// asks for nothing while they are closed.
    pub(super) fn declines(&self) -> bool {
        match self {
            Self::Alone(link) => link.declines(),
            Self::Shared(_) => false,
        }
    }

    /// What was given must be written before more is asked for.
    pub(super) fn set_blocked(&self) {
        match self {
            Self::Alone(link) => link.set_blocked(),
            Self::Shared(_) => {}
        }
    }

    /// Why the stream ended, as far as its carrier knows.
    pub(super) fn end(&self) -> EndReason {
        match self {
            Self::Alone(link) => link.end(),
            Self::Shared(strand) => strand.end(),
        }
    }
}
