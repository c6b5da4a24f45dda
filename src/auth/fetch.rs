//! Fetching the key set of an issuer over https.

use http::Uri;
use hyper::body::Bytes;
use tokio_rustls::TlsConnector;

use super::kept_keys::KeptKeys;
use crate::fetch::HttpsClient;

/// Fetches key sets.
#[derive(Clone)]
pub(super) struct Fetcher {
    https: HttpsClient,
    /// What was fetched before.
    pub(super) kept: KeptKeys,
}

impl Fetcher {
    pub(super) fn new(tls: Option<TlsConnector>, kept: KeptKeys) -> Self {
        Self {
            https: HttpsClient::new(tls),
            kept,
        }
    }

    /// Fetches a key set of at most [`MAX_BYTES`].
    ///
    /// # Errors
    /// Says what went wrong, for an operator.
    pub(super) async fn get(&self, url: &Uri) -> Result<Bytes, String> {
        self.https.get(url, "application/json", MAX_BYTES).await
    }
}

debug_by_name!(Fetcher);

/// The largest key set, in bytes. Those of large providers have 10 KB.
pub(super) const MAX_BYTES: usize = 256 * 1024;
