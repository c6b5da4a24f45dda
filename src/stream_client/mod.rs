//! A client of streams: from a URL to the head of a response, and to its bytes. The probe and `tail` read with it.
//!
//! Not here: what is checked of a stream (`probe`), and following it over cuts (`tail`).

mod client;
mod credential;
mod deadline;
mod failure;
mod id_positions;
mod response;
mod target;
mod tls;

pub use target::{InvalidTarget, StreamTarget};
pub use tls::TlsOptions;

pub(crate) use client::{RequestOptions, StreamClient};
pub(crate) use credential::CredentialFile;
pub(crate) use deadline::Deadline;
pub(crate) use failure::StreamError;
pub(crate) use id_positions::{IdPositions, PartitionKey, position_at};
pub(crate) use response::StreamResponse;
pub(crate) use tls::TlsDetails;

/// The longest event that is read, in bytes. Above the largest event of a gateway: 8 MiB of value, with every byte escaped in the worst
/// case.
pub(crate) const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;
