//! The certificate that a client has shown on its connection, as the credential of a request.
//!
//! Not here: whom a certificate stands for (`auth`).
//!
//! A browser shows a certificate, as it sends a cookie, with whatever a page makes it ask. So it counts from the same pages as a cookie.
//! From others the request is one without a credential, and not refused: nothing in it says that it is meant to have one.

use std::sync::Arc;

use axum::extract::Request;

use super::{cookie, cors::Cors};
use crate::{
    auth::{Authenticator, CredentialError, Principal},
    tls::ClientCertificate,
};

/// Returns whom the certificate of the client stands for. Returns `None` if there is none, or it stands for nobody.
pub(super) fn principal(
    authenticator: &Authenticator,
    cors: &Cors,
    request: &Request,
) -> Option<Result<Arc<Principal>, CredentialError>> {
    let certificate: &Arc<ClientCertificate> = request.extensions().get()?;
    match cookie::is_of_trusted_page(request.headers(), cors) {
        true => authenticator.check_certificate(certificate),
        false => None,
    }
}
