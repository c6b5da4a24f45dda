//! Server-Sent Events on the wire (WHATWG HTML, section 9.2): writing their lines, and reading them back.
//!
//! Not here: what an event says (`event`), and when heartbeats are due (`http::delivery`).

mod read;
mod write;

pub use read::{EventTooLong, SseMessage, SseReader};
pub use write::{HEARTBEAT, PRELUDE, data_line, data_lines};
