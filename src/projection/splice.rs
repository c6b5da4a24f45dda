//! The splice: what a projection keeps is copied from one text to another.

use super::{
    FieldTree, Projection,
    cursor::{Cursor, NotADocument, member_named},
};
use crate::encoding::MAX_DEPTH;

impl Projection {
    /// Appends to `out` what is left of a document: an object or an array, as events have them.
    ///
    /// - A member that is asked for is copied with its name as they stand, also if the name occurs twice or is written with
    ///   escapes.
    /// - An object or an array on the way to one is kept with what is asked for in it. It is left out if that is nothing,
    ///   except the outermost one. So a document without any of the fields becomes `{}`.
    /// - Paths lead through arrays: `tags.name` is the name of every tag.
    /// - White space between what is left out goes too.
    ///
    /// # Errors
    /// [`NotADocument`] for any other text, and for one that is nested deeper than [`MAX_DEPTH`]; `out` is then as before. Not every
    /// text that is no JSON is found out: what is kept of one is a part of it.
    pub fn splice(&self, document: &[u8], out: &mut Vec<u8>) -> Result<(), NotADocument> {
        let before = out.len();
        let spliced = self.splice_whole(document, out);
        if spliced.is_err() {
            out.truncate(before);
        }
        spliced
    }

    fn splice_whole(&self, document: &[u8], out: &mut Vec<u8>) -> Result<(), NotADocument> {
        let mut cursor = Cursor::new(document);
        if !matches!(cursor.peek()?, b'{' | b'[') {
            return Err(NotADocument);
        }
        keep(&mut cursor, &self.0, 0, out)?;
        match cursor.is_at_end() {
            true => Ok(()),
            false => Err(NotADocument),
        }
    }
}

/// Passes a value, and appends what is kept of it. Returns whether anything that was asked for is in it.
fn keep(
    cursor: &mut Cursor<'_>,
    fields: &FieldTree,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<bool, NotADocument> {
    let kind = cursor.peek()?;
    let members = match fields {
        FieldTree::Members(members) => members,
        FieldTree::Whole => {
            let start = cursor.at();
            cursor.skip_value()?;
            out.extend_from_slice(cursor.since(start));
            return Ok(true);
        }
    };
    match kind {
        b'{' | b'[' if depth == MAX_DEPTH => Err(NotADocument),
        b'{' => keep_nested(cursor, b'}', out, |cursor, out| {
            keep_member(cursor, members, depth, out)
        }),
        b'[' => keep_nested(cursor, b']', out, |cursor, out| {
            keep(cursor, fields, depth + 1, out)
        }),
        _ => cursor.skip_value().map(|()| false),
    }
}

/// Passes an object or an array that ends with `end`. `keep_item` passes an item and appends what is kept of it.
fn keep_nested(
    cursor: &mut Cursor<'_>,
    end: u8,
    out: &mut Vec<u8>,
    mut keep_item: impl FnMut(&mut Cursor<'_>, &mut Vec<u8>) -> Result<bool, NotADocument>,
) -> Result<bool, NotADocument> {
    out.push(cursor.next()?);
    let mut has_any = false;
    let mut is_over = cursor.peek()? == end;
    while !is_over {
        let before = out.len();
        if has_any {
            out.push(b',');
        }
        match keep_item(cursor, out)? {
            true => has_any = true,
            false => out.truncate(before),
        }
        is_over = cursor.comma_or_end(end)?.is_none();
    }
    out.push(cursor.next()?);
    Ok(has_any)
}

/// Passes a member of an object, and appends it if it is asked for.
fn keep_member(
    cursor: &mut Cursor<'_>,
    members: &[(Box<str>, FieldTree)],
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<bool, NotADocument> {
    cursor.peek()?;
    let start = cursor.at();
    let name = cursor.member_name()?;
    match member_named(members, name) {
        Some(below) => {
            out.extend_from_slice(cursor.since(start));
            keep(cursor, below, depth + 1, out)
        }
        None => cursor.skip_value().map(|()| false),
    }
}
