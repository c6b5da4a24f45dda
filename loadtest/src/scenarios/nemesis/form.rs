//! The forms in which readers request a stream.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use memchr::memchr;

use super::note::{GapData, ObservationKind};
use crate::{ask::Ask, blocks::Blocks, numbers::number};

/// The request of a reader, and how it reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) name: &'static str,
    query: &'static str,
    /// JSON documents in lines, which have no ids.
    lines: bool,
    gzip: bool,
    filtered: bool,
    /// Reads slower than records are written, with a small buffer.
    pub(super) slow: bool,
    /// Over HTTP/2.
    pub(super) http2: bool,
}

/// All forms.
pub(super) const FORMS: [Form; 10] = [
    Form::named("json", ""),
    Form::named("compact", "&id=compact"),
    Form {
        filtered: true,
        ..Form::named("filter", FILTER)
    },
    Form {
        gzip: true,
        ..Form::named("gzip", "&encoding=gzip")
    },
    Form {
        lines: true,
        ..Form::named("lines", "")
    },
    Form {
        slow: true,
        ..Form::named("slow", "")
    },
    Form {
        gzip: true,
        filtered: true,
        ..Form::named(
            "gzip compact filter",
            "&encoding=gzip&id=compact&filter=%40key%20%3D%20%221%22",
        )
    },
    Form {
        slow: true,
        ..Form::named("slow compact", "&id=compact")
    },
    Form {
        http2: true,
        ..Form::named("HTTP/2", "")
    },
    Form {
        http2: true,
        gzip: true,
        slow: true,
        ..Form::named("HTTP/2 gzip slow", "&encoding=gzip")
    },
];

impl Form {
    const fn named(name: &'static str, query: &'static str) -> Self {
        Self {
            name,
            query,
            lines: false,
            gzip: false,
            filtered: false,
            slow: false,
            http2: false,
        }
    }

    /// Returns a request for these streams, from the start of their logs or from `last_id` on.
    pub(super) fn ask(self, streams: &str, last_id: Option<String>) -> Ask {
        let mut ask = Ask::new(format!("/v2/stream/{streams}?since=1{}", self.query)).resume(last_id);
        if self.lines {
            ask.headers.push("Accept: application/json".into());
        }
        ask.receive_buffer = self.slow.then_some(SMALL_BUFFER);
        ask
    }

    /// Returns whether the form requests the record with this number.
    pub(super) fn wants(self) -> fn(u64) -> bool {
        if self.filtered {
            |number| key(number) == FILTERED
        } else {
            |_| true
        }
    }

    /// Returns the parser of a response in this form.
    pub(super) fn parser(self) -> Parser {
        Parser {
            gzip: self.gzip.then(|| MultiGzDecoder::new(Vec::new())),
            text: if self.lines {
                Text::Lines(Vec::new())
            } else {
                Text::Events(Blocks::default())
            },
            last_id: None,
        }
    }
}

/// Returns the key of the record with this number.
pub(super) fn key(number: u64) -> u64 {
    number % 3
}

/// Parses a response, wherever reads cut it.
#[derive(Debug)]
pub(super) struct Parser {
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    text: Text,
    pub(super) last_id: Option<String>,
}

#[derive(Debug)]
enum Text {
    Events(Blocks),
    Lines(Vec<u8>),
}

impl Parser {
    /// Takes more of the body, and appends the observations that are complete then.
    ///
    /// # Errors
    /// If the body is not what a gateway sends.
    pub(super) fn push(&mut self, body: &[u8], out: &mut Vec<ObservationKind>) -> io::Result<()> {
        let unpacked = match &mut self.gzip {
            None => None,
            Some(gzip) => {
                gzip.write_all(body)?;
                gzip.flush()?;
                Some(std::mem::take(gzip.get_mut()))
            }
        };
        let text = unpacked.as_deref().unwrap_or(body);
        match &mut self.text {
            Text::Events(blocks) => events(blocks, text, &mut self.last_id, out),
            Text::Lines(rest) => lines(rest, text, out),
        }
    }
}

fn events(
    blocks: &mut Blocks,
    text: &[u8],
    last_id: &mut Option<String>,
    out: &mut Vec<ObservationKind>,
) -> io::Result<()> {
    blocks.tail().extend_from_slice(text);
    while let Some(block) = blocks.next()? {
        let id = block.id.is_some();
        if let Some(id) = block.id {
            *last_id = Some(id.to_owned());
        }
        match (block.event, block.data) {
            (Some("message"), Some(data)) => out.push(event(data, id)?),
            (Some("gap"), Some(data)) => out.push(ObservationKind::Gap(Box::new(serde_json::from_str::<
                GapData,
            >(data)?))),
            (Some("checkpoint"), Some(_)) if id => out.push(ObservationKind::Id),
            (None, None) => {}
            _ => return Err(strange(&format!("{block:?}"))),
        }
    }
    Ok(())
}

fn lines(rest: &mut Vec<u8>, text: &[u8], out: &mut Vec<ObservationKind>) -> io::Result<()> {
    rest.extend_from_slice(text);
    let mut start = 0;
    while let Some(length) = memchr(b'\n', &rest[start..]) {
        let line = &rest[start..start + length];
        start += length + 1;
        if !line.is_empty() {
            out.push(line_of(line)?);
        }
    }
    rest.drain(..start);
    Ok(())
}

fn line_of(line: &[u8]) -> io::Result<ObservationKind> {
    #[derive(serde::Deserialize)]
    struct Gap {
        gap: GapData,
    }
    if line.starts_with(b"{\"gap\":") {
        let Gap { gap } = serde_json::from_slice(line)?;
        return Ok(ObservationKind::Gap(Box::new(gap)));
    }
    event(&String::from_utf8_lossy(line), false)
}

fn event(data: &str, id: bool) -> io::Result<ObservationKind> {
    let number = number(data).ok_or_else(|| strange(data))?;
    Ok(ObservationKind::Event { number, id })
}

fn strange(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("an unexpected event: {what:.120}"),
    )
}

const FILTER: &str = "&filter=%40key%20%3D%20%221%22";

/// The value that the filter above passes.
const FILTERED: u64 = 1;

/// The buffer of a slow reader: small, so that the gateway notices it, and not the kernel only.
const SMALL_BUFFER: u32 = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &str, body: &str) -> (Vec<String>, Option<String>) {
        let form = FORMS.iter().find(|it| it.name == form).unwrap();
        let mut parser = form.parser();
        let mut out = Vec::new();
        // One byte at a time is the worst case of a network.
        body.bytes()
            .for_each(|byte| parser.push(&[byte], &mut out).unwrap());
        (
            out.iter().map(|what| format!("{what:?}")).collect(),
            parser.last_id,
        )
    }

    const GAP: &str = r#"{"topic":"a","partition":2,"requested":6,"resumed":1,"reason":"truncated"}"#;

    #[test]
    fn events_gaps_and_checkpoints_are_noted_in_their_order() {
        let body = format!(
            ":ok\n\nevent: message\nid: [1]\ndata: {{\"n\":7}}\n\n:\nevent: gap\ndata: {GAP}\n\nevent: checkpoint\nid: [2]\ndata: {{\"skipped\":0}}\n\n"
        );
        let (notes, last_id) = parse("json", &body);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert_eq!(notes[0], "Event { number: 7, id: true }");
        assert!(notes[1].contains("resumed: Some(1)"), "{notes:?}");
        assert_eq!((&*notes[2], last_id.as_deref()), ("Id", Some("[2]")));
    }

    #[test]
    fn lines_have_events_and_gaps_and_no_ids() {
        let (notes, last_id) = parse("lines", &format!("\n{{\"n\":7}}\n\n{{\"gap\":{GAP}}}\n{{\"n\":8"));
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert_eq!(notes[0], "Event { number: 7, id: false }");
        assert_eq!(last_id, None);
    }

    #[test]
    fn what_no_gateway_sends_is_an_error() {
        let parse = |body: &str| FORMS[0].parser().push(body.as_bytes(), &mut Vec::new());
        for body in ["event: message\ndata: {}\n\n", "event: end\ndata: 1\n\n"] {
            assert!(parse(body).is_err(), "{body}");
        }
    }
}
