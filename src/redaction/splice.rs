//! The splice: fields are cut out of the text of a document, or blanked in it.

use super::{
    edits::Edits,
    fields::{FieldTree, Treatment},
};
use crate::projection::{NotADocument, cursor::Cursor};

/// Appends to `out` what the fields of some rules leave of a document, which is known to be valid JSON no deeper than events are.
/// Returns whether anything was removed or blanked.
///
/// - A member that goes takes the comma before it along, or else the one behind it and the white space up to the next
///   member. All other bytes stay.
/// - Names are found however they are written, and every time that they occur. Paths lead through arrays.
///
/// # Errors
/// [`NotADocument`] if the text turns out to be none. `out` then has a part of it.
pub(super) fn splice(document: &[u8], rules: &[&FieldTree], out: &mut Vec<u8>) -> Result<bool, NotADocument> {
    let mut splicer = Splicer {
        cursor: Cursor::new(document),
        edits: Edits::new(document, out),
    };
    splicer.value(rules)?;
    match splicer.cursor.is_at_end() {
        true => Ok(splicer.edits.finish()),
        false => Err(NotADocument),
    }
}

struct Splicer<'t, 'o> {
    cursor: Cursor<'t>,
    edits: Edits<'t, 'o>,
}

impl Splicer<'_, '_> {
    /// Passes a value that stays, and edits what is in it.
    fn value(&mut self, rules: &[&FieldTree]) -> Result<(), NotADocument> {
        match self.cursor.peek()? {
            _ if rules.iter().all(|fields| fields.is_empty()) => self.cursor.skip_value(),
            b'{' => self.object(rules),
            b'[' => self.array(rules),
            _ => self.cursor.skip_value(),
        }
    }

    fn array(&mut self, rules: &[&FieldTree]) -> Result<(), NotADocument> {
        self.cursor.expect(b'[')?;
        let mut is_over = self.cursor.peek()? == b']';
        while !is_over {
            self.value(rules)?;
            is_over = self.cursor.comma_or_end(b']')?.is_none();
        }
        self.cursor.expect(b']')
    }

    fn object(&mut self, rules: &[&FieldTree]) -> Result<(), NotADocument> {
        self.cursor.expect(b'{')?;
        let mut is_over = self.cursor.peek()? == b'}';
        // The comma behind the last member that stays.
        let mut comma_before = None;
        let mut has_kept = false;
        while !is_over {
            let start = self.cursor.at();
            let is_kept = self.member(rules)?;
            let end = self.cursor.at();
            let comma = self.cursor.comma_or_end(b'}')?;
            match (is_kept, comma_before) {
                (true, _) => has_kept = true,
                (false, Some(before)) if has_kept => self.edits.replace(before..end, b""),
                // The first one: what is behind it moves up.
                (false, _) => {
                    let next = comma.map_or(end, |_| self.cursor.at());
                    self.edits.replace(start..next, b"");
                }
            }
            is_over = comma.is_none();
            comma_before = comma;
        }
        self.cursor.expect(b'}')
    }

    /// Passes a member, and edits what is in it. Returns whether it stays.
    fn member(&mut self, rules: &[&FieldTree]) -> Result<bool, NotADocument> {
        let name = self.cursor.member_name()?;
        let first = self.cursor.peek()?;
        // Mostly one rule applies, and the list of one needs no memory.
        match rules {
            [rule] => match rule.find(name) {
                Some(found) => self.found(&[found], first),
                None => self.found(&[], first),
            },
            rules => {
                let found = rules.iter().filter_map(|rule| rule.find(name));
                self.found(&found.collect::<Vec<_>>(), first)
            }
        }
    }

    /// Passes the value of a member, of which rules say this, and which begins with `first`. Returns whether the member stays.
    fn found(&mut self, rules: &[&FieldTree], first: u8) -> Result<bool, NotADocument> {
        match rules.iter().filter_map(|fields| fields.treatment).max() {
            Some(Treatment::Remove) => self.cursor.skip_value().map(|()| false),
            Some(Treatment::Blank) => {
                let start = self.cursor.at();
                self.cursor.skip_value()?;
                self.edits.replace(start..self.cursor.at(), blank(first));
                Ok(true)
            }
            None => self.value(rules).map(|()| true),
        }
    }
}

/// Returns the empty value of the type of the value that begins with this byte.
fn blank(first: u8) -> &'static [u8] {
    match first {
        b'"' => b"\"\"",
        b'{' => b"{}",
        b'[' => b"[]",
        b't' | b'f' => b"false",
        b'n' => b"null",
        _ => b"0",
    }
}
