//! Revocation of credentials while the process runs.
//!
//! Not here: what is revoked (`revocations`).

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{
    authenticator::Authenticator,
    error::RevokeError,
    fault::AuthFault,
    revocations::{Revocation, Revocations, counts_at},
};
use crate::position::Timestamp;

impl Authenticator {
    /// Revokes a credential, or all of a subject. It is in the file before this returns, and open streams end within a second. Returns
    /// how many. The entry is left out some time after `until`, or after the credential has expired, if that is known. Must be called
    /// inside a runtime.
    ///
    /// # Errors
    /// When `until` has passed, there is no file for it, or the file cannot be read or written. Nothing is revoked then.
    pub async fn revoke(
        &self,
        revocation: Revocation,
        until: Option<Timestamp>,
    ) -> Result<usize, RevokeError> {
        let _changing = self.0.changing.lock().await;
        let path = self.rules().settings.revocations_file.clone();
        let path = path.ok_or(RevokeError::NoFile)?;
        let now = jiff::Timestamp::now().as_millisecond();
        if until.is_some_and(|until| !counts_at(until, now)) {
            return Err(RevokeError::Expired);
        }
        let until = until.or_else(|| self.expiry_of(&revocation));
        let before = Arc::clone(&self.0.revocations.read());
        let change = move || {
            // Without the file, what was revoked stays so.
            let mut revocations = match path.try_exists() {
                Ok(false) => (*before).clone(),
                _ => Revocations::read(&path)?,
            };
            revocations.add(&revocation, until, now);
            revocations.write(&path)?;
            Ok::<_, AuthFault>(revocations)
        };
        let changed = spawn_blocking(change).await;
        let revocations = changed.map_err(|panic| RevokeError::File(panic.to_string()))?;
        self.set_revocations(revocations.map_err(|fault| RevokeError::File(fault.to_string()))?);
        Ok(self.end_revoked())
    }

    /// Returns from when on this revocation means nothing, if that is known: of an API key, and of a token that has a stream, if no
    /// other issuer may have given the same `jti` to a token that expires later.
    fn expiry_of(&self, revocation: &Revocation) -> Option<Timestamp> {
        let rules = self.rules();
        match revocation {
            Revocation::Key(name) => rules.keys.expiry_of(name),
            Revocation::TokenId(_) if rules.issuers.len() > 1 => None,
            Revocation::TokenId(_) => self.0.sessions.last_end(|principal| revocation.covers(principal)),
            // Its issuer can make another token at any time.
            Revocation::Subject(_) => None,
        }
    }
}
