//! Session tickets: what they are sealed with, for how long they open, and where the keys come from.
//!
//! A ticket holds a client's session, so that nothing of it is kept here. Whoever has the key of a ticket can read and forge
//! sessions. So keys are wiped from memory when they are dropped, and have no `Debug`.
//!
//! - `key`: one key, which seals and opens.
//! - `key_file`: keys that replicas share.
//! - `keys`: all keys of a listener, which are random and rotate, or are those of a file. They can be passed on to a successor.
//! - `session`: what is read of a session.
//! - `ticketer`: what rustls calls.

mod key;
mod key_file;
mod keys;
mod session;
mod ticketer;

pub(super) use self::{key_file::read_keys, keys::TicketKeys, ticketer::Ticketer};
