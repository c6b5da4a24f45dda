//! An event as a line of text.

use std::{borrow::Cow, fmt::Write, str::FromStr};

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{
    position::TopicKey,
    stream_client::{IdPositions, PartitionKey},
};

/// A pattern for lines, such as `{@topic} {user.name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A member of the value, in objects and by index in arrays.
    Field(Vec<String>),
    Coordinate(Coordinate),
}

/// A property of the record beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coordinate {
    Topic,
    Partition,
    Offset,
    Timestamp,
    /// The id of the event.
    Id,
    /// The whole value.
    Value,
}

/// The text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// A brace stands alone.
    #[error("a `{0}` stands alone: write `{0}{0}` for the character itself")]
    Brace(char),
    /// The name behind `@` is unknown.
    #[error("unknown `@{0}`: expected @topic, @partition, @offset, @timestamp, @id or @value")]
    Coordinate(String),
    /// There is no name between the braces.
    #[error("expected a name between the braces")]
    Empty,
}

/// The coordinates of a record, as far as ids tell them.
#[derive(Clone, Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) id: &'a str,
    pub(super) partition: Option<PartitionKey>,
    pub(super) offset: Option<i64>,
    pub(super) timestamp: Option<i64>,
}

impl<'a> Record<'a> {
    /// Returns the record that lies between two ids. `None` for what cannot be told: several partitions have moved, as behind records
    /// that were skipped.
    pub(super) fn between(before: &IdPositions, behind: &IdPositions, id: &'a str) -> Self {
        let advanced = behind.advanced(before);
        let mut moved = advanced.into_iter();
        let (Some((partition, next)), None) = (moved.next(), moved.next()) else {
            return Self {
                id,
                ..Self::default()
            };
        };
        Self {
            id,
            offset: Some(next - 1),
            timestamp: behind.get(&partition).timestamp,
            partition: Some(partition),
        }
    }
}

impl Template {
    /// Whether an event is printed with something that only its id tells.
    pub(super) fn needs_id(&self) -> bool {
        let is_of_id = |part: &Part| matches!(part, Part::Coordinate(name) if *name != Coordinate::Value);
        self.0.iter().any(is_of_id)
    }

    /// Appends the line of an event. What it does not have is empty.
    pub(super) fn write(&self, line: &mut String, data: &str, record: &Record<'_>) {
        let value: Value = serde_json::from_str(data).unwrap_or_else(|_| data.into());
        for part in &self.0 {
            match part {
                Part::Text(text) => line.push_str(text),
                Part::Field(path) => {
                    if let Some(found) = member(&value, path) {
                        push_value(line, found);
                    }
                }
                Part::Coordinate(name) => name.write(line, data, record),
            }
        }
        line.push('\n');
    }
}

impl Coordinate {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "topic" => Self::Topic,
            "partition" => Self::Partition,
            "offset" => Self::Offset,
            "timestamp" => Self::Timestamp,
            "id" => Self::Id,
            "value" => Self::Value,
            _ => return None,
        })
    }

    fn write(self, line: &mut String, data: &str, record: &Record<'_>) {
        let partition = record.partition.as_ref();
        let number = match self {
            Self::Topic => {
                return push_text(line, partition.and_then(topic).unwrap_or_default());
            }
            Self::Id => return push_text(line, record.id),
            Self::Value => return line.push_str(&json_line(data)),
            Self::Partition => partition.map(|key| key.partition.into()),
            Self::Offset => record.offset,
            Self::Timestamp => record.timestamp,
        };
        if let Some(number) = number {
            // Writing into a string does not fail.
            _ = write!(line, "{number}");
        }
    }
}

/// Returns the name of the topic. Compact ids have none.
fn topic(key: &PartitionKey) -> Option<&str> {
    match &key.topic {
        TopicKey::Name(name) => Some(name),
        TopicKey::Tag(_) => None,
    }
}

fn member<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        value => value.get(name),
    })
}

/// Appends a text without its quotes, and everything else as JSON.
fn push_value(line: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => push_text(line, text),
        other => line.push_str(&printable(&other.to_string())),
    }
}

/// Appends a text in one line. What would command a terminal is escaped.
fn push_text(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\t' => line.push('\t'),
            c if is_command(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
}

/// Returns the value as one line of JSON: itself, or a JSON string if it is none.
pub(super) fn json_line(data: &str) -> Cow<'_, str> {
    if serde_json::from_str::<IgnoredAny>(data).is_err() {
        return Cow::Owned(printable(&Value::from(data).to_string()).into_owned());
    }
    // In JSON a line break can only stand between tokens.
    match data.contains('\n') {
        true => Cow::Owned(printable(&data.replace('\n', " ")).into_owned()),
        false => printable(data),
    }
}

/// Returns JSON with the characters escaped that JSON allows in strings and that would command a terminal.
fn printable(json: &str) -> Cow<'_, str> {
    if !json.contains(is_command) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            c if is_command(c) && !c.is_whitespace() => _ = write!(text, "\\u{:04x}", u32::from(c)),
            c if is_command(c) => text.push(' '),
            c => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// Whether a terminal takes this character for a command: C0, DEL and C1.
fn is_command(c: char) -> bool {
    c.is_control()
}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(pattern: &str) -> Result<Self, InvalidTemplate> {
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut rest = pattern;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = if rest[at..].starts_with('{') { '{' } else { '}' };
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix(brace) {
                text.push(brace);
                rest = behind;
                continue;
            }
            if brace == '}' {
                return Err(InvalidTemplate::Brace(brace));
            }
            let (name, behind) = rest.split_once('}').ok_or(InvalidTemplate::Brace(brace))?;
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(part(name)?);
            rest = behind;
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self(parts))
    }
}

fn part(name: &str) -> Result<Part, InvalidTemplate> {
    if let Some(coordinate) = name.strip_prefix('@') {
        let known = Coordinate::of(coordinate);
        return known
            .map(Part::Coordinate)
            .ok_or_else(|| InvalidTemplate::Coordinate(coordinate.to_owned()));
    }
    let path: Vec<_> = name.split('.').map(str::to_owned).collect();
    match path.iter().any(String::is_empty) {
        true => Err(InvalidTemplate::Empty),
        false => Ok(Part::Field(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(template: &str, data: &str) -> String {
        let (mut line, template) = (String::new(), template.parse::<Template>().unwrap());
        let before = IdPositions::read(r#"[{"topic":"edits","partition":3,"offset":6}]"#).unwrap();
        let id = r#"[{"topic":"edits","partition":3,"offset":7,"timestamp":1790487705415}]"#;
        let behind = IdPositions::read(id).unwrap();
        template.write(&mut line, data, &Record::between(&before, &behind, id));
        line
    }

    #[test]
    fn fields_and_coordinates_stand_in_the_text() {
        let data = r#"{"title":"A {b}","user":{"name":"Ann"},"tags":["x",{"y":1}],"bot":false,"none":null}"#;
        for (template, expected) in [
            ("{title}", "A {b}\n"),
            (
                "{{{user.name}}}: {tags.0} {tags.1.y} {tags.1}",
                "{Ann}: x 1 {\"y\":1}\n",
            ),
            ("{bot}|{none}|{missing}|{title.x}|{tags.9}", "false||||\n"),
            (
                "{@topic}-{@partition}@{@offset} {@timestamp}",
                "edits-3@6 1790487705415\n",
            ),
            ("no field", "no field\n"),
        ] {
            assert_eq!(line(template, data), expected, "{template}");
        }
        assert_eq!(line("{@value}", data), format!("{data}\n"));
    }

    #[test]
    fn a_hostile_value_is_one_line_and_commands_no_terminal() {
        let data = "{\"t\":\"a\\n\\u001b[2Jb\u{9b}2J\"}";
        assert_eq!(line("{t}", data), "a\\n\\u{1b}[2Jb\\u{9b}2J\n");
        assert_eq!(json_line(data), "{\"t\":\"a\\n\\u001b[2Jb\\u009b2J\"}");
        assert_eq!(json_line("{\n\"a\": 1}"), "{ \"a\": 1}");
        assert_eq!(json_line("two\nlines\u{1b}"), "\"two\\nlines\\u001b\"");
    }

    #[test]
    fn what_is_no_template_is_said() {
        for (text, error) in [
            ("a } b", InvalidTemplate::Brace('}')),
            ("a { b", InvalidTemplate::Brace('{')),
            ("{}", InvalidTemplate::Empty),
            ("{a..b}", InvalidTemplate::Empty),
            ("{@tpoic}", InvalidTemplate::Coordinate("tpoic".into())),
        ] {
            assert_eq!(text.parse::<Template>(), Err(error), "{text}");
        }
    }
}
