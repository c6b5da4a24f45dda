//! The event that says that a bounded read has ended.

use serde::Serialize;
use serde_json::value::RawValue;

use super::EventFormat;
use crate::position::{EndMark, IdWriter, write_end_id};

/// Why a bounded read has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEndReason {
    /// It has given as many events as it was to give.
    Limit,
    /// It has given everything before its end.
    Until,
}

/// The event that ends a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndEvent {
    pub(super) reason: ReadEndReason,
    /// How many events the read has given.
    pub(super) events: u64,
    /// The mark of its id.
    pub(super) mark: EndMark,
}

impl ReadEndReason {
    /// Returns the reason as written in the event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Until => "until",
        }
    }
}

/// Returns the event that ends a stream which has come to no end of its own: without an id, because what comes behind the last
/// event was not read.
pub fn end_of_stream(reason: &'static str, events: u64, format: EventFormat) -> Vec<u8> {
    let data = EndData {
        reason,
        events,
        id: None,
        position: None,
    };
    let mut out = Vec::new();
    write(&data, None, format, &mut out);
    out
}

/// The data of the event.
#[derive(Serialize)]
struct EndData<'a> {
    reason: &'static str,
    events: u64,
    /// The id of the event, in a line of JSON, which has no other place for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// The position of the id, without the mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<PositionValue<'a>>,
}

/// A position in JSON: the array of an id in this form, or the text of a compact one.
#[derive(Serialize)]
#[serde(untagged)]
enum PositionValue<'a> {
    Json(&'a RawValue),
    Compact(&'a str),
}

impl EndEvent {
    /// Appends the event. If the ids are too long to be read back, it has none.
    pub(super) fn write(self, format: EventFormat, ids: &IdWriter, out: &mut Vec<u8>) {
        let (mut marked, mut plain) = (Vec::new(), Vec::new());
        if ids.is_readable() {
            write_end_id(ids, self.mark, &mut marked);
            ids.write(&mut plain);
        }
        // Ids are ASCII.
        let (marked, plain) = (String::from_utf8_lossy(&marked), String::from_utf8_lossy(&plain));
        let id = Some(&*marked).filter(|id| !id.is_empty());
        let mut data = EndData {
            reason: self.reason.as_str(),
            events: self.events,
            id: None,
            position: None,
        };
        match format {
            EventFormat::Sse => data.position = id.map(|_| PositionValue::of(&plain)),
            EventFormat::Ndjson => data.id = id,
        }
        write(&data, id, format, out);
    }
}

/// Appends the event with these data.
fn write(data: &EndData<'_>, id: Option<&str>, format: EventFormat, out: &mut Vec<u8>) {
    match format {
        EventFormat::Sse => {
            out.extend_from_slice(b"event: end\n");
            if let Some(id) = id {
                out.extend_from_slice(format!("id: {id}\n").as_bytes());
            }
            out.extend_from_slice(b"data: ");
            write_json(data, out);
            out.extend_from_slice(b"\n\n");
        }
        EventFormat::Ndjson => {
            out.extend_from_slice(b"{\"end\":");
            write_json(data, out);
            out.extend_from_slice(b"}\n");
        }
    }
}

impl<'a> PositionValue<'a> {
    fn of(id: &'a str) -> Self {
        serde_json::from_str(id).map_or(Self::Compact(id), Self::Json)
    }
}

fn write_json(data: &EndData<'_>, out: &mut Vec<u8>) {
    // Strings and numbers can always be written.
    out.extend_from_slice(&serde_json::to_vec(data).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{IdForm, PartitionPosition};

    fn written(form: IdForm, format: EventFormat) -> String {
        let ids = IdWriter::new(form, [("edits".into(), 0, PartitionPosition::Earliest)]);
        let end = EndEvent {
            reason: ReadEndReason::Limit,
            events: 7,
            mark: EndMark::First,
        };
        let mut out = Vec::new();
        end.write(format, &ids, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_end_says_why_after_how_many_events_and_where() {
        assert_eq!(
            written(IdForm::Json, EventFormat::Sse),
            "event: end\n\
             id: [{\"topic\":\"edits\",\"partition\":0,\"offset\":-2,\"end\":true}]\n\
             data: {\"reason\":\"limit\",\"events\":7,\"position\":[{\"topic\":\"edits\",\"partition\":0,\"offset\":-2}]}\n\n"
        );
        assert_eq!(
            written(IdForm::Json, EventFormat::Ndjson),
            "{\"end\":{\"reason\":\"limit\",\"events\":7,\
             \"id\":\"[{\\\"topic\\\":\\\"edits\\\",\\\"partition\\\":0,\\\"offset\\\":-2,\\\"end\\\":true}]\"}}\n"
        );
    }

    #[test]
    fn the_end_of_a_stream_that_was_removed_has_no_place_to_come_back_to() {
        let text = |format| String::from_utf8(end_of_stream("removed", 3, format)).unwrap();
        assert_eq!(
            text(EventFormat::Sse),
            "event: end\ndata: {\"reason\":\"removed\",\"events\":3}\n\n"
        );
        assert_eq!(
            text(EventFormat::Ndjson),
            "{\"end\":{\"reason\":\"removed\",\"events\":3}}\n"
        );
    }

    #[test]
    fn a_compact_position_is_a_text() {
        let text = written(IdForm::Compact, EventFormat::Sse);
        let (_, data) = text.trim_end().split_once("data: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let position = data["position"].as_str().unwrap();
        assert!(
            position.starts_with("~1") && !text.contains(&format!("id: {position}\n")),
            "{text}"
        );
    }
}
