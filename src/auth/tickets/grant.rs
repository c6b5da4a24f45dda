//! What a ticket is good for.

use serde::{Deserialize, Serialize};

/// What a ticket is good for: less than the credential that it was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketGrant {
    /// The names of the streams that it may read.
    #[serde(rename = "s")]
    pub streams: Vec<String>,
    /// A filter that a request with it cannot leave out.
    #[serde(rename = "f", skip_serializing_if = "Option::is_none", default)]
    pub filter: Option<String>,
}

impl TicketGrant {
    /// Whether it is for a stream with any of these names. A stream has several, and may have got another first one since.
    pub fn covers<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> bool {
        names.any(|name| self.streams.iter().any(|own| own == name))
    }
}
