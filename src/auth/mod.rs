//! Who asks: principals from bearer credentials, which are API keys and JSON Web Tokens (JWT, RFC 7519), from the certificates of
//! clients, and from tickets, which are made of those.
//!
//! Not here: how a request carries a credential, and what a refusal looks like (`http`); what a principal may use (`limits`); which
//! streams need one (`catalog`).
//!
//! A credential is never kept and never logged. What is remembered of it, and sealed into a ticket, is its SHA-256 digest.

mod api_key;
mod authenticator;
mod certificates;
mod check;
mod digest_text;
mod error;
mod fault;
mod fetch;
mod files;
mod issuer;
mod jwt;
mod kept_keys;
mod key_editing;
mod key_file;
mod key_set;
mod principal;
mod remembered;
mod report;
mod revocations;
mod revoking;
mod rules;
mod sessions;
pub mod settings;
mod size;
mod stream_principal;
mod ticketing;
mod tickets;

pub use api_key::ApiKey;
pub use authenticator::Authenticator;
pub use check::{AuthSummary, check};
pub use error::{CredentialError, InvalidCredential, RevokeError};
pub use fault::{AuthFault, AuthFaults};
pub use key_editing::{NewKey, append, revoke};
pub use key_file::{KeyEntry, KeyFile};
pub use principal::{CredentialKind, Principal};
pub use report::{AuthReport, CertificateReport, IssuerReport, KeyReport, PrincipalReport};
pub use revocations::Revocation;
pub use sessions::{Needs, SessionGuard};
pub use ticketing::{IssuedTicket, TicketError};
pub use tickets::{TicketGrant, TicketKey};

#[cfg(test)]
pub(crate) use principal::tests;
