//! Upper bounds of the ids that are read. A longer id is refused.

/// The longest id that is read, in bytes.
///
/// Twice what the usual proxies pass on in one header line (8 KiB), and far more than our own ids need: they change to the
/// compact form at 4 KiB. A longer one is a mistake or an attack, and is refused before it is parsed.
pub const MAX_ID_BYTES: usize = 16 * 1024;

/// The most entries of a JSON id, counted before duplicates are merged.
///
/// Our own ids change to the compact form long before. Without this limit a hostile id could name four times as many topics,
/// and each topic costs a look-up.
pub const MAX_ENTRIES: usize = 1024;

/// The most entries of a compact id.
///
/// An entry takes 9 to 16 characters in that form, so for the ids that we send [`MAX_ID_BYTES`] is the narrower bound. Without
/// this limit a hostile id could have six times as many entries, and each entry costs a look-up.
pub const MAX_COMPACT_ENTRIES: usize = 2048;
