//! The events in what was received of a response.

use memchr::memmem;
use riverhead::sse::SseReader;

use crate::support::model::number;

/// What was received, and the numbers of the events in it.
pub(crate) struct ResponseEvents {
    /// The text so far. That of events that were read may be forgotten.
    pub(crate) text: Vec<u8>,
    /// The numbers of the events that were read.
    pub(crate) numbers: Vec<u64>,
    /// The length of the response's head, once it has come.
    head: usize,
    /// How much of the text was read as events.
    taken: usize,
    reader: SseReader,
}

impl ResponseEvents {
    pub(crate) fn new() -> Self {
        Self {
            text: Vec::new(),
            numbers: Vec::new(),
            head: 0,
            taken: 0,
            reader: SseReader::new(1 << 20),
        }
    }

    /// Reads the events of a text that is a response as it is on the wire: a head, and chunks. Of these the complete ones are read.
    pub(crate) fn take_chunks(&mut self) {
        if self.taken == 0 {
            let head = memmem::find(&self.text, b"\r\n\r\n");
            self.head = head.map_or(0, |head| head + 4);
            self.taken = self.head;
        }
        while self.taken > 0
            && let Some(line) = memmem::find(&self.text[self.taken..], b"\r\n")
        {
            let size = std::str::from_utf8(&self.text[self.taken..][..line]).unwrap();
            let start = self.taken + line + 2;
            let end = start + usize::from_str_radix(size, 16).unwrap();
            if self.text.len() < end + 2 {
                break;
            }
            self.reader.push(&self.text[start..end]).unwrap();
            self.taken = end + 2;
        }
        if self.taken > KEPT_LEN {
            self.text.drain(self.head..self.taken);
            self.taken = self.head;
        }
        self.take_events();
    }

    /// Reads the events of a text that is the body of a response.
    pub(crate) fn take_body(&mut self) {
        self.reader.push(&self.text).unwrap();
        self.text.clear();
        self.take_events();
    }

    fn take_events(&mut self) {
        let messages = std::iter::from_fn(|| self.reader.next_message());
        self.numbers.extend(messages.map(|message| number(&message.data)));
    }
}

/// The length, in bytes, above which the text of events that were read is forgotten.
const KEPT_LEN: usize = 1 << 20;
