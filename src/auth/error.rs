//! Why a credential gives nobody access, and why it was not revoked.

use std::time::Duration;

/// A credential that was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It is bad. Sending it again does not help.
    #[error("{0}")]
    Invalid(#[from] InvalidCredential),
    /// It cannot be checked now, because the keys of its issuer are not known.
    #[error("the keys of the token's issuer are not known now; retry after the time in Retry-After")]
    Unavailable {
        /// When to send it again.
        retry_after: Duration,
    },
}

named! {
    /// What is wrong with a credential. `Display` says it to the client.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
    pub enum InvalidCredential {
        /// It is neither a token nor an API key.
        #[error("the credential is malformed")]
        Malformed = "malformed",
        /// It has the form of an API key, but there is no such key.
        #[error("the API key is unknown")]
        UnknownApiKey = "unknown_api_key",
        /// Its `iss` is not that of a known issuer.
        #[error("the issuer of the token is unknown")]
        Issuer = "issuer",
        /// Its `aud` names none of the configured audiences.
        #[error("the token is for another audience")]
        Audience = "audience",
        /// It is signed with an algorithm that its issuer does not use.
        #[error("the token is signed with an algorithm that is not accepted")]
        Algorithm = "algorithm",
        /// Its issuer has no such key.
        #[error("the token is signed with an unknown key")]
        UnknownKey = "unknown_key",
        /// Its signature is wrong.
        #[error("the signature of the token is wrong")]
        Signature = "signature",
        /// Its header `typ` is not the expected one.
        #[error("the token is of another type")]
        Type = "type",
        /// A claim that is needed is missing or malformed.
        #[error("a claim of the token is missing or malformed")]
        Claims = "claims",
        /// It was valid until some time ago.
        #[error("the credential has expired")]
        Expired = "expired",
        /// It is valid from some time on.
        #[error("the token is not valid yet")]
        NotYetValid = "not_yet_valid",
        /// It is a ticket of a key that is not known here.
        #[error("the ticket is sealed with an unknown key")]
        UnknownTicketKey = "unknown_ticket_key",
        /// It is a ticket that the key which it names does not open.
        #[error("the ticket was altered")]
        AlteredTicket = "altered_ticket",
        /// It was revoked.
        #[error("the credential was revoked")]
        Revoked = "revoked",
    }
}

/// Why nothing was revoked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// There is no file to keep it in.
    #[error("there is no `auth.revocations_file`, so nothing can be revoked")]
    NoFile,
    /// The time until which it is to be kept has passed, by more than any leeway.
    #[error("`expires` is in the past: nothing that expired then is accepted any more")]
    Expired,
    /// The file cannot be read or written, or is full: for this reason.
    #[error("{0}")]
    File(String),
}
