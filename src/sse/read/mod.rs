//! Reading events, as the standard has a browser do it.

use std::{collections::VecDeque, mem, time::Duration};

use memchr::memchr2;

/// An incremental reader of one stream: bytes go in as they come, whole events come out.
///
/// How the bytes are cut makes no difference. What stands behind the last blank line is no event, and never comes out.
#[derive(Clone, Debug)]
pub struct SseReader {
    max_event: usize,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// No line has been seen yet, so a byte order mark may come.
    at_start: bool,
    broken: bool,
    pending: PendingEvent,
    last_id: String,
    retry: Option<Duration>,
    comments: u64,
    messages: VecDeque<SseMessage>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseMessage {
    /// Its type; `message` unless it says otherwise.
    pub event: String,
    /// The id that it brought itself. That of the stream is [`SseReader::last_id`].
    pub id: Option<String>,
    /// Its data, with LF between lines.
    pub data: String,
}

/// An event, or a single line, passed the limit that the reader was given. Nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {max} bytes")]
pub struct EventTooLong {
    /// The limit, in bytes.
    pub max: usize,
}

/// What the lines since the last blank line have said.
#[derive(Clone, Debug, Default)]
struct PendingEvent {
    event: String,
    id: Option<String>,
    /// Each line with an LF behind it, so that no line and an empty one differ.
    data: String,
}

impl SseReader {
    /// Reads events of at most `max_event` bytes: a line that is not ended yet and what came before it in its event.
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            partial: Vec::new(),
            after_cr: false,
            at_start: true,
            broken: false,
            pending: PendingEvent::default(),
            last_id: String::new(),
            retry: None,
            comments: 0,
            messages: VecDeque::new(),
        }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// When an event is longer than the limit, and ever after. Events before it can still be taken.
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

    /// Takes out the next event.
    pub fn next_message(&mut self) -> Option<SseMessage> {
        self.messages.pop_front()
    }

    /// The id to resume with: the last one that an ended event brought. Empty when there is none.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// How long the server wants a client to wait before it reconnects.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// How many comment lines there were: the prelude, and heartbeats.
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
        let line = line
            .strip_prefix(BYTE_ORDER_MARK)
            .filter(|_| first)
            .unwrap_or(line);
        match line {
            [] => self.dispatch(),
            [b':', ..] => self.comments += 1,
            _ => self.field(&String::from_utf8_lossy(line)),
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
        let PendingEvent {
            mut event,
            id,
            mut data,
        } = mem::take(&mut self.pending);
        if let Some(id) = &id {
            id.clone_into(&mut self.last_id);
        }
        // Without any `data` there is no event, only perhaps an id.
        if data.pop().is_none() {
            return;
        }
        if event.is_empty() {
            event.push_str("message");
        }
        self.messages.push_back(SseMessage { event, id, data });
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

impl PendingEvent {
    fn len(&self) -> usize {
        self.event.len() + self.id.as_ref().map_or(0, String::len) + self.data.len()
    }
}

fn milliseconds(digits: &str) -> Option<Duration> {
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().ok())
        .flatten()
        .map(Duration::from_millis)
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests;
