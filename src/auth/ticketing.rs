//! Making tickets of principals, and checking those that clients show.
//!
//! Not here: what a ticket holds and how it is sealed (`tickets`).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::{
    authenticator::Authenticator,
    error::InvalidCredential,
    principal::{CredentialKind, Principal},
    rules::Rules,
    tickets::{self, Ticket, TicketCredential, TicketGrant, TicketKey},
};
use crate::position::Timestamp;

/// A ticket that was made.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedTicket {
    /// The ticket itself.
    pub text: String,
    /// Until when it begins a stream, in milliseconds since the Unix epoch.
    pub begins_until: Timestamp,
}

/// A ticket would be too long, because of what it has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketError;

impl Authenticator {
    /// Makes a ticket of this principal, which is good for so much. `needed` are the claims that filters of streams are made of.
    ///
    /// # Errors
    /// When it would be too long for a URL.
    pub fn issue_ticket(
        &self,
        principal: &Principal,
        grant: TicketGrant,
        mut needed: BTreeSet<String>,
    ) -> Result<IssuedTicket, TicketError> {
        let now = jiff::Timestamp::now().as_millisecond();
        let rules = self.rules();
        needed.extend(scopes_claim(&rules, principal));
        let lifetime = rules.settings.ticket_lifetime;
        let resume = rules.settings.ticket_resume.max(lifetime);
        let ticket = Ticket {
            credential: TicketCredential::of(principal, &needed).ok_or(TicketError)?,
            grant,
            begins_until: end_of(principal, now, lifetime),
            resumes_until: end_of(principal, now, resume),
        };
        let random = self.0.random_ticket_key.read();
        let key = rules.settings.ticket_keys.first().unwrap_or(&random);
        let text = tickets::seal(key, &ticket).ok_or(TicketError)?;
        Ok(IssuedTicket {
            text,
            begins_until: ticket.begins_until,
        })
    }

    /// Returns whom a ticket stands for: the principal that it was made of, with what the ticket is good for. `resumes` says that the
    /// request takes up a stream again.
    ///
    /// # Errors
    /// When it is bad, has expired, or its credential would not be accepted any more.
    pub fn check_ticket(&self, text: &str, resumes: bool) -> Result<Arc<Principal>, InvalidCredential> {
        let checked = self.opened(text, resumes);
        let (name, result) = match &checked {
            Ok(principal) => (&*principal.name, "ok"),
            Err(why) => ("", why.name()),
        };
        self.0.metrics.checked(KIND, name, result);
        checked.map(Arc::new)
    }

    fn opened(&self, text: &str, resumes: bool) -> Result<Principal, InvalidCredential> {
        let now = jiff::Timestamp::now().as_millisecond();
        let rules = self.rules();
        let ticket = {
            let random = self.0.random_ticket_key.read();
            let configured = rules.settings.ticket_keys.iter();
            tickets::open(configured.chain([&*random]), text)?
        };
        ticket.check_time(resumes, now)?;
        let principal = rules.restored(ticket.credential, now)?;
        match self.is_revoked(&principal) {
            true => Err(InvalidCredential::Revoked),
            false => Ok(Principal {
                grant: Some(ticket.grant),
                ..principal
            }),
        }
    }

    /// Returns the random key of tickets, for a successor.
    pub fn pass_on_ticket_key(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.random_ticket_key.read().bytes().to_vec())
    }

    /// Takes the random key of a predecessor in place of its own. Does nothing if it is none: it is of a version that is not known.
    pub fn take_ticket_key(&self, bytes: &[u8]) {
        if let Some(key) = TicketKey::copy_of(bytes) {
            *self.0.random_ticket_key.write() = key;
        }
    }
}

/// Returns the name of the claim that has the scopes of this principal.
fn scopes_claim(rules: &Rules, principal: &Principal) -> Option<String> {
    match principal.kind {
        CredentialKind::ApiKey | CredentialKind::Certificate => None,
        CredentialKind::Token => Some(rules.issuer_of(principal)?.settings.scopes.clone()),
    }
}

/// Returns the time after this duration, or the end of the credential if that is sooner.
fn end_of(principal: &Principal, now: Timestamp, duration: Duration) -> Timestamp {
    let duration = Timestamp::try_from(duration.as_millis()).unwrap_or(Timestamp::MAX);
    let end = now.saturating_add(duration);
    principal.accepted_until.map_or(end, |until| until.min(end))
}

/// The kind of a credential that is a ticket, in metrics.
const KIND: &str = "ticket";
