//! Looking for arrays on the way to a field. Filters do not look into these.

use super::fields::FieldTree;
use crate::projection::{NotADocument, cursor::Cursor};

/// Returns whether the path to one of these fields leads into an array.
///
/// # Errors
/// [`NotADocument`] if the text is none.
pub(super) fn leads_into_array(document: &[u8], fields: &FieldTree) -> Result<bool, NotADocument> {
    value(&mut Cursor::new(document), fields)
}

/// Passes a value, unless it is or has such an array.
fn value(cursor: &mut Cursor<'_>, fields: &FieldTree) -> Result<bool, NotADocument> {
    match cursor.peek()? {
        b'[' if !fields.is_empty() => Ok(true),
        b'{' if !fields.is_empty() => object(cursor, fields),
        _ => cursor.skip_value().map(|()| false),
    }
}

fn object(cursor: &mut Cursor<'_>, fields: &FieldTree) -> Result<bool, NotADocument> {
    cursor.expect(b'{')?;
    let mut is_over = cursor.peek()? == b'}';
    while !is_over {
        let name = cursor.member_name()?;
        let leads = match fields.find(name) {
            Some(found) => value(cursor, found)?,
            None => cursor.skip_value().map(|()| false)?,
        };
        if leads {
            return Ok(true);
        }
        is_over = cursor.comma_or_end(b'}')?.is_none();
    }
    cursor.expect(b'}').map(|()| false)
}
