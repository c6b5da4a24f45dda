//! Annotation: where a record comes from, told in the member `meta` of its value, as EventStreams does.

use super::{edits::Edits, fields::is_named};
use crate::projection::{NotADocument, cursor::Cursor};

/// What `meta` is to say: pairs of a name and a value, which is JSON text. The values lie in one buffer.
#[derive(Debug)]
pub(super) struct Annotation {
    text: Vec<u8>,
    /// Where the value of each name ends in the text. It begins where the one before ends.
    ends: Vec<(&'static str, usize)>,
}

impl Annotation {
    /// Creates the annotation of a record. `key` is its key, unless it has none.
    pub(super) fn new(topic: &str, partition: i32, offset: i64, key: Option<&str>) -> Self {
        let mut annotation = Self {
            text: Vec::with_capacity(topic.len() + key.map_or(0, str::len) + 40),
            ends: Vec::with_capacity(4),
        };
        annotation.add("topic", &quoted(topic));
        annotation.add("partition", partition.to_string().as_bytes());
        annotation.add("offset", offset.to_string().as_bytes());
        if let Some(key) = key {
            annotation.add("key", &quoted(key));
        }
        annotation
    }

    fn add(&mut self, name: &'static str, value: &[u8]) {
        self.text.extend_from_slice(value);
        self.ends.push((name, self.text.len()));
    }

    /// Returns the names with their values.
    fn pairs(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(name, end)| {
            let value = &self.text[start..*end];
            start = *end;
            (*name, value)
        })
    }

    /// Appends those of its members that are not among `present`. `needs_comma` tells whether a member comes before them.
    fn write_missing(&self, present: &[&str], mut needs_comma: bool, out: &mut Vec<u8>) {
        for (name, value) in self.pairs().filter(|(name, _)| !present.contains(name)) {
            out.extend_from_slice(if needs_comma { b",\"" } else { b"\"" });
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value);
            needs_comma = true;
        }
    }

    /// Returns it as an object of its own.
    fn object(&self) -> Vec<u8> {
        let mut object = b"{".to_vec();
        self.write_missing(&[], false, &mut object);
        object.push(b'}');
        object
    }
}

/// Appends a document to `out`, with the annotation in the member `meta` of the outermost object.
///
/// - An object that is `meta` already keeps its other members, and the places of those that are set. Any other value of
///   `meta` is replaced. If there are several members `meta`, each is treated so.
/// - Without one, it is added behind the last member. An array has no members, and stays as it is.
///
/// # Errors
/// [`NotADocument`] if the text turns out to be none. `out` then has a part of it.
pub(super) fn annotate(
    document: &[u8],
    annotation: &Annotation,
    out: &mut Vec<u8>,
) -> Result<(), NotADocument> {
    let mut cursor = Cursor::new(document);
    let mut edits = Edits::new(document, out);
    if cursor.peek()? == b'{' {
        let mut has_meta = false;
        let (end, is_empty) = members(&mut cursor, &mut edits, |name, cursor, edits| {
            let is_meta = is_named(name, META);
            has_meta |= is_meta;
            match is_meta {
                true => annotate_meta(cursor, annotation, edits),
                false => cursor.skip_value(),
            }
        })?;
        if !has_meta {
            let mut member = if is_empty { b"\"".to_vec() } else { b",\"".to_vec() };
            member.extend_from_slice(META.as_bytes());
            member.extend_from_slice(b"\":");
            member.extend_from_slice(&annotation.object());
            edits.replace(end..end, &member);
        }
    }
    edits.finish();
    Ok(())
}

/// Passes the value of `meta`, and sets its members.
fn annotate_meta<'t>(
    cursor: &mut Cursor<'t>,
    annotation: &Annotation,
    edits: &mut Edits<'t, '_>,
) -> Result<(), NotADocument> {
    let start = cursor.at();
    if cursor.peek()? != b'{' {
        cursor.skip_value()?;
        edits.replace(start..cursor.at(), &annotation.object());
        return Ok(());
    }
    let mut present = Vec::new();
    let (end, is_empty) = members(cursor, edits, |name, cursor, edits| {
        let start = cursor.at();
        cursor.skip_value()?;
        if let Some((name, value)) = annotation.pairs().find(|(own, _)| is_named(name, own)) {
            edits.replace(start..cursor.at(), value);
            present.push(name);
        }
        Ok(())
    })?;
    let mut missing = Vec::new();
    annotation.write_missing(&present, !is_empty, &mut missing);
    edits.replace(end..end, &missing);
    Ok(())
}

/// Passes an object. `member` gets each name, with the cursor at the value, and passes that. Returns the place behind the
/// last member, or behind the bracket, and whether there is none.
fn members<'t, 'o>(
    cursor: &mut Cursor<'t>,
    edits: &mut Edits<'t, 'o>,
    mut member: impl FnMut(&[u8], &mut Cursor<'t>, &mut Edits<'t, 'o>) -> Result<(), NotADocument>,
) -> Result<(usize, bool), NotADocument> {
    cursor.expect(b'{')?;
    let mut end = cursor.at();
    let is_empty = cursor.peek()? == b'}';
    let mut is_over = is_empty;
    while !is_over {
        let name = cursor.member_name()?;
        member(name, cursor, edits)?;
        end = cursor.at();
        is_over = cursor.comma_or_end(b'}')?.is_none();
    }
    cursor.expect(b'}')?;
    Ok((end, is_empty))
}

/// Returns a text as a JSON string.
fn quoted(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

/// The member that says where an event comes from.
const META: &str = "meta";
