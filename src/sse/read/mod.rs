//! An incremental parser of event streams, by the rules of the standard for browsers.

use std::{collections::VecDeque, mem, time::Duration};

use memchr::memchr2;

/// Parses one event stream incrementally: bytes go in as they arrive, whole events come out.
///
/// The result does not depend on how the bytes are cut. Lines after the last blank line are an unfinished event, which
/// is never returned.
///
/// ```
/// use riverhead::sse::SseReader;
///
/// let mut reader = SseReader::new(1024);
/// reader.push(b"id: 7\nda")?;
/// assert_eq!(reader.next_message(), None);
/// reader.push(b"ta: hello\n\n")?;
/// let message = reader.next_message().expect("the event is complete");
/// assert_eq!((message.event.as_str(), message.data.as_str()), ("message", "hello"));
/// assert_eq!(message.id.as_deref(), Some("7"));
/// # Ok::<(), riverhead::sse::EventTooLong>(())
/// ```
#[derive(Clone, Debug)]
pub struct SseReader {
    max_event: usize,
    /// The beginning of a line whose end has not arrived yet.
    partial: Vec<u8>,
    /// Whether the last byte was a CR. An LF right after it belongs to the same line break.
    after_cr: bool,
    /// Whether no line has been read yet. Only then is a byte order mark skipped.
    at_start: bool,
    broken: bool,
    /// The fields read since the last blank line. The data has an LF after each line, so that no line differs from one
    /// empty line.
    pending: SseMessage,
    last_id: String,
    retry: Option<Duration>,
    comments: u64,
    messages: VecDeque<SseMessage>,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseMessage {
    /// The event's type; `message` if the event names none.
    pub event: String,
    /// The id in the event itself. For the stream's current id see [`SseReader::last_id`].
    pub id: Option<String>,
    /// The event's data, with LF between lines.
    pub data: String,
}

/// An event, or a single line, is longer than the reader's limit. The reader cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {max} bytes")]
pub struct EventTooLong {
    /// The reader's limit, in bytes.
    pub max: usize,
}

impl SseReader {
    /// Creates a reader of events of at most `max_event` bytes. The current unfinished line and the event's earlier
    /// lines count towards the limit.
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            partial: Vec::new(),
            after_cr: false,
            at_start: true,
            broken: false,
            pending: SseMessage::default(),
            last_id: String::new(),
            retry: None,
            comments: 0,
            messages: VecDeque::new(),
        }
    }

    /// Parses the next bytes of the stream.
    ///
    /// # Errors
    /// Fails if an event is longer than the limit, and on every later call. Events completed before that can still be
    /// taken.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), EventTooLong> {
        if self.broken {
            return Err(self.too_long());
        }
        while let Some(first) = bytes.first() {
            if mem::take(&mut self.after_cr) && *first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', bytes) else {
                self.check(self.partial.len() + bytes.len())?;
                self.partial.extend_from_slice(bytes);
                break;
            };
            self.line_ends(&bytes[..end])?;
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    /// Removes and returns the oldest completed event; `None` if there is none.
    pub fn next_message(&mut self) -> Option<SseMessage> {
        self.messages.pop_front()
    }

    /// Returns the id to resume with: the one that the last completed event with an id had. Empty if there was none.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// Returns the reconnection delay that the server asked for with `retry:`.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Returns the number of comment lines read, the prelude and heartbeats included.
    pub fn comments(&self) -> u64 {
        self.comments
    }

    fn line_ends(&mut self, tail: &[u8]) -> Result<(), EventTooLong> {
        self.check(self.partial.len() + tail.len())?;
        if self.partial.is_empty() {
            self.line(tail);
            return Ok(());
        }
        let mut line = mem::take(&mut self.partial);
        line.extend_from_slice(tail);
        self.line(&line);
        line.clear();
        self.partial = line;
        Ok(())
    }

    fn line(&mut self, line: &[u8]) {
        let first = mem::take(&mut self.at_start);
        let unmarked = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| first);
        match unmarked.unwrap_or(line) {
            [] => self.dispatch(),
            [b':', ..] => self.comments += 1,
            line => self.field(&String::from_utf8_lossy(line)),
        }
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.pending.event),
            "data" => {
                self.pending.data.push_str(value);
                self.pending.data.push('\n');
            }
            "id" if !value.contains('\0') => self.pending.id = Some(value.to_owned()),
            "retry" => self.retry = milliseconds(value).or(self.retry),
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let mut message = mem::take(&mut self.pending);
        if let Some(id) = &message.id {
            id.clone_into(&mut self.last_id);
        }
        // Without a `data` field there is no event; an id alone still counts.
        if message.data.pop().is_none() {
            return;
        }
        if message.event.is_empty() {
            message.event.push_str("message");
        }
        self.messages.push_back(message);
    }

    fn check(&mut self, line: usize) -> Result<(), EventTooLong> {
        if line + self.pending.len() <= self.max_event {
            return Ok(());
        }
        self.broken = true;
        Err(self.too_long())
    }

    fn too_long(&self) -> EventTooLong {
        EventTooLong { max: self.max_event }
    }
}

impl SseMessage {
    fn len(&self) -> usize {
        self.event.len() + self.id.as_ref().map_or(0, String::len) + self.data.len()
    }
}

fn milliseconds(digits: &str) -> Option<Duration> {
    // `parse` alone would accept a sign.
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    let millis = digits.parse().ok().filter(|_| all)?;
    Some(Duration::from_millis(millis))
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests;
