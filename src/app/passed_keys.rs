//! The keys of tickets that a hot restart passes on: those of session tickets of TLS, and those of tickets in URLs.
//!
//! Not here: the way to the successor (`handover`).

use zeroize::Zeroizing;

use super::{
    auth::Authentication,
    ticket_message::{self, TicketKeysOf},
    tls::TlsServers,
};

/// Whoever has keys to pass on. Clones share them.
#[derive(Clone)]
pub(super) struct PassedKeys {
    tls: TlsServers,
    auth: Authentication,
}

impl PassedKeys {
    pub(super) fn new(tls: &TlsServers, auth: &Authentication) -> Self {
        Self {
            tls: tls.clone(),
            auth: auth.clone(),
        }
    }

    /// Returns the random keys, as a message to a successor. It is empty if there are none.
    pub(super) fn pass_on(&self) -> Zeroizing<Vec<u8>> {
        let of_auth = self.auth.pass_on_ticket_key().map(|key| (AUTH, key));
        let all = self.tls.pass_on_ticket_keys().chain(of_auth);
        let all = all.map(|(owner, keys)| TicketKeysOf { owner, keys });
        ticket_message::encode(&all.collect::<Vec<_>>())
    }

    /// Takes the keys in the message of a predecessor.
    pub(super) fn take(&self, message: &[u8]) {
        let Some(passed_on) = ticket_message::decode(message) else {
            return tracing::warn!(
                "the predecessor passed on the keys of tickets in another format; clients do full handshakes, and tickets \
                 in URLs that it made without `auth.ticket_keys` do not open"
            );
        };
        for TicketKeysOf { owner, keys } in passed_on {
            match owner {
                AUTH => self.auth.take_ticket_key(&keys),
                listener => self.tls.take_ticket_keys(listener, &keys),
            }
        }
    }
}

/// The number of the check of credentials in messages. The listeners have 1 and 2.
const AUTH: u8 = 3;
