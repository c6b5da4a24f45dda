//! How the values of a topic become `data:` lines: said by the catalog, done by `event`.
//!
//! Not here: the doing.

/// How the values of a topic become `data:` lines.
///
/// An event is encoded once per topic, so all streams that share a topic share its encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// What the values are.
    pub payload: Payload,
    /// What becomes of a record without a value.
    pub tombstones: Tombstones,
}

/// What the values of a topic are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// JSON objects or arrays, passed through unchanged but for line breaks.
    #[default]
    Json,
    /// UTF-8 text; each of its lines is a `data:` line.
    Raw,
    /// Bytes, sent as one line of base64.
    Base64,
}

impl Payload {
    /// Every payload, in the order in which they are explained.
    pub const ALL: &[Self] = &[Self::Json, Self::Raw, Self::Base64];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Raw => "raw",
            Self::Base64 => "base64",
        }
    }
}

/// What becomes of a record without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tombstones {
    /// It is skipped.
    #[default]
    Skip,
    /// It is sent as `event: delete`, with the key as data.
    Delete,
}

impl Tombstones {
    /// Both ways, in the order in which they are explained.
    pub const ALL: &[Self] = &[Self::Skip, Self::Delete];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Delete => "delete",
        }
    }
}
