//! Server-Sent Events on the wire (WHATWG HTML, section 9.2): writing the lines of events, and reading events back.
//!
//! Not here: the content of an event (`event`), and when heartbeats are due (`http::delivery`).
//!
//! ```
//! use riverhead::sse::{PRELUDE, SseReader, data_lines};
//!
//! let mut stream = PRELUDE.to_vec();
//! stream.extend_from_slice(b"event: message\nid: 7\n");
//! data_lines(&mut stream, "two\nlines");
//! stream.push(b'\n');
//!
//! let mut reader = SseReader::new(1024);
//! reader.push(&stream)?;
//! let message = reader.next_message().expect("the stream holds one event");
//! assert_eq!(message.data, "two\nlines");
//! assert_eq!(reader.last_id(), "7");
//! # Ok::<(), riverhead::sse::EventTooLong>(())
//! ```

mod read;
mod write;

pub use read::{EventTooLong, SseMessage, SseReader};
pub use write::{HEARTBEAT, PRELUDE, data_line, data_lines};
