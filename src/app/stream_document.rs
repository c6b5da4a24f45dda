//! Reading the document that `[stream_config]` names.
//!
//! Not here: what is in it (`config`), and when it is read (`stream_config`).

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use tokio::task::spawn_blocking;

use crate::{
    config::{MAX_DOCUMENT_BYTES, StreamConfigSettings, StreamConfigSource, StreamDocument},
    fetch::HttpsClient,
    storage,
    tls::client::{connector, system_roots},
};

/// Reads documents. Trusts the system's root certificates, which are read with the first document. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct DocumentReader(Arc<OnceLock<HttpsClient>>);

impl DocumentReader {
    /// Reads the document. Must be called inside a runtime.
    ///
    /// # Errors
    /// Says why it cannot be used, for an operator.
    pub(crate) async fn read(self, settings: StreamConfigSettings) -> Result<StreamDocument, String> {
        let fetched = match &settings.source {
            StreamConfigSource::Url(url) => {
                let client = self.client().await?;
                Some(client.get(url, ACCEPTED, MAX_DOCUMENT_BYTES).await?)
            }
            StreamConfigSource::File(_) => None,
        };
        let parse = move || match (fetched, &settings.source) {
            (Some(text), _) => settings.parse(&text),
            (None, StreamConfigSource::File(path)) => settings.parse(&read_file(path)?),
            (None, StreamConfigSource::Url(_)) => Err("nothing was fetched".to_owned()),
        };
        // A large document takes a part of a second.
        let parsed = spawn_blocking(parse).await;
        parsed.unwrap_or_else(|panic| Err(panic.to_string()))
    }

    async fn client(self) -> Result<HttpsClient, String> {
        // The faults of the certificates are told with each fetch.
        let create = || HttpsClient::new(system_roots().and_then(connector).ok());
        let client = spawn_blocking(move || self.0.get_or_init(create).clone()).await;
        client.map_err(|panic| panic.to_string())
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    storage::read_up_to(path, MAX_DOCUMENT_BYTES as u64).map_err(|error| error.to_string())
}

/// The types of documents that are understood: JSON, and YAML (RFC 9512) also under the name that servers used before.
const ACCEPTED: &str = "application/json, application/yaml, application/x-yaml;q=0.9, */*;q=0.1";
