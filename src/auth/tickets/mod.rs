//! Tickets: credentials that may stand in a URL, because they are short-lived and good for little.
//!
//! A ticket holds all that is needed to check it again, encrypted and authenticated. Nothing of it is kept here. So every replica
//! with the same keys opens it, also after a restart.
//!
//! Not here: what is checked of the credential behind a ticket (`rules`), and how a request carries a ticket (`http`).
//!
//! - `grant`: what a ticket is good for.
//! - `key`: one key, which seals and opens.
//! - `ticket`: what a ticket holds.
//! - `text`: the ticket as a text, and which of several keys it belongs to.

mod grant;
mod key;
mod text;
mod ticket;

pub use self::{grant::TicketGrant, key::TicketKey};
pub(super) use self::{
    text::{open, seal},
    ticket::{Ticket, TicketCredential},
};
