//! Settings for the conversion of a topic's values to `data:` lines. The catalog sets them, and `event` applies them.
//!
//! Not here: the conversion itself (`event`).

/// How the values of a topic become `data:` lines.
///
/// An event is encoded once per topic, so all streams of the topic share its encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Content of the values.
    pub payload: Payload,
    /// Treatment of records without a value.
    pub tombstones: Tombstones,
}

named! {
    /// Content of a topic's values.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum Payload {
        /// JSON objects or arrays, passed through unchanged except for line breaks.
        #[default]
        Json = "json",
        /// UTF-8 text. Each line becomes a `data:` line.
        Raw = "raw",
        /// Bytes, sent as one line of base64.
        Base64 = "base64",
    }
}

/// The deepest nesting of JSON that is sent. Clients' parsers recurse: a few kilobytes of brackets would crash some of
/// them. serde_json itself stops at 128.
pub const MAX_DEPTH: usize = 128;

named! {
    /// Treatment of records without a value.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum Tombstones {
        /// Skip the record.
        #[default]
        Skip = "skip",
        /// Send it as `event: delete`, with the key as data.
        Delete = "delete",
    }
}
