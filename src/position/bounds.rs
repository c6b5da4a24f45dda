//! Bounds of the ids that are read: a longer one is refused.

/// The longest id that is read, in bytes.
///
/// Twice what the usual proxies pass on in one header line (8 KiB), and far more than our ids need: they turn compact
/// at 4 KiB. A longer one is somebody's mistake or an attack, and is refused before it is looked at.
pub const MAX_ID_BYTES: usize = 16 * 1024;

/// The most entries an id in JSON may have, counted before duplicates are merged. Ours turn compact long before. Without the
/// limit a hostile one could name four times as many topics, each of which costs a look-up.
pub const MAX_ENTRIES: usize = 1024;

/// The same of an id in the compact form. An entry takes 9 to 16 characters there, so that of what is sent [`MAX_ID_BYTES`] is
/// the narrower bound. Without this one a hostile id could have six times as many entries, each of which costs a look-up.
pub const MAX_COMPACT_ENTRIES: usize = 2048;
