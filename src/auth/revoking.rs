//! Revocation of credentials while the process runs.
//!
//! Not here: what is revoked (`revocations`).

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use super::{
    authenticator::Authenticator,
    error::RevokeError,
    fault::AuthFault,
    files::{self, FileVersion},
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
            let _lock = files::lock_directory_of(&path);
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

    /// Adds from now on what another process writes into the file of revocations: during a hot restart two processes serve streams, and
    /// either of them may be told. Nothing is taken away, which needs a reload: somebody may be writing the file by hand. Never
    /// returns. Must be called inside a runtime.
    pub async fn follow_revocations(&self) -> Infallible {
        let mut seen = None;
        loop {
            self.learn_revocations(&mut seen).await;
            sleep(FOLLOW_INTERVAL).await;
        }
    }

    /// Adds what the file revokes, unless it is the version that was seen last.
    async fn learn_revocations(&self, seen: &mut Option<FileVersion>) {
        let _changing = self.0.changing.lock().await;
        let Some(path) = self.rules().settings.revocations_file.clone() else {
            return;
        };
        let before = *seen;
        let look = move || {
            let version = files::version(&path).filter(|version| Some(*version) != before)?;
            Some((version, Revocations::read(&path)))
        };
        let Ok(Some((version, read))) = spawn_blocking(look).await else {
            return;
        };
        *seen = Some(version);
        let mut all = (**self.0.revocations.read()).clone();
        let has_more = match read {
            Ok(read) => all.absorb(read),
            Err(fault) => {
                tracing::warn!(%fault, "what another process has revoked cannot be read");
                false
            }
        };
        if has_more {
            self.set_revocations(all);
            self.end_revoked();
        }
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

/// How often the file is looked at for what another process has written: streams of what is revoked have to end within a second.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
