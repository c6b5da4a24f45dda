//! A place in the text of a JSON document, and the steps from value to value. Values are passed, not read.

use memchr::memchr2;

/// A text that is no JSON object or array, or nested too deeply. Events have none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is no JSON object or array")]
pub struct NotADocument;

/// A place in a text.
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the number of bytes before this place.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Returns the text from `start` to this place.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.text[start..self.at]
    }

    /// Passes white space, and returns the byte behind it.
    pub(crate) fn peek(&mut self) -> Result<u8, NotADocument> {
        let rest = &self.text[self.at..];
        let spaces = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += spaces.count();
        self.text.get(self.at).copied().ok_or(NotADocument)
    }

    /// Passes white space and one byte, and returns that.
    pub(crate) fn next(&mut self) -> Result<u8, NotADocument> {
        let next = self.peek()?;
        self.at += 1;
        Ok(next)
    }

    /// Passes white space and this byte.
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), NotADocument> {
        if self.next()? == byte {
            Ok(())
        } else {
            Err(NotADocument)
        }
    }

    /// Whether only white space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek().is_err()
    }

    /// Passes a string, and returns it with its quotes.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], NotADocument> {
        self.expect(b'"')?;
        let start = self.at - 1;
        loop {
            let rest = &self.text[self.at..];
            let special = memchr2(b'"', b'\\', rest).ok_or(NotADocument)?;
            self.at += special + 1;
            if rest[special] == b'"' {
                return Ok(self.since(start));
            }
            // The escaped byte, which may be a quote.
            if self.at == self.text.len() {
                return Err(NotADocument);
            }
            self.at += 1;
        }
    }

    /// Passes the name of a member with its colon, and the white space behind it. Returns the name with its quotes.
    pub(crate) fn member_name(&mut self) -> Result<&'a [u8], NotADocument> {
        let name = self.string()?;
        self.expect(b':')?;
        self.peek().map(|_| name)
    }

    /// Passes white space, and a comma with the white space behind it, unless `end` comes, which ends an object or an array.
    /// Returns the place of the comma.
    pub(crate) fn comma_or_end(&mut self, end: u8) -> Result<Option<usize>, NotADocument> {
        match self.peek()? {
            b',' => {
                let comma = self.at;
                self.at += 1;
                self.peek()?;
                Ok(Some(comma))
            }
            byte if byte == end => Ok(None),
            _ => Err(NotADocument),
        }
    }

    /// Passes a value of any kind. Of a nested one only the number of brackets is looked at.
    pub(crate) fn skip_value(&mut self) -> Result<(), NotADocument> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.skip_nested(),
            _ => self.skip_scalar(),
        }
    }

    fn skip_nested(&mut self) -> Result<(), NotADocument> {
        let mut depth = 0_usize;
        loop {
            match self.text.get(self.at).ok_or(NotADocument)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn skip_scalar(&mut self) -> Result<(), NotADocument> {
        let rest = &self.text[self.at..];
        let is_end = |byte: &u8| {
            matches!(
                byte,
                b',' | b':' | b'{' | b'[' | b']' | b'}' | b'"' | b' ' | b'\t'..=b'\r'
            )
        };
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        if length == 0 {
            return Err(NotADocument);
        }
        self.at += length;
        Ok(())
    }
}

/// Returns the member with a name that is quoted, as it stands in a document. The members are sorted by their names.
pub(crate) fn member_named<'a, T>(members: &'a [(Box<str>, T)], name: &[u8]) -> Option<&'a T> {
    let plain = name.get(1..name.len() - 1)?;
    let index = if plain.contains(&b'\\') {
        let name = unescaped(name)?;
        members.binary_search_by(|(own, _)| (**own).cmp(&*name))
    } else {
        members.binary_search_by(|(own, _)| own.as_bytes().cmp(plain))
    };
    Some(&members[index.ok()?].1)
}

/// Returns the text of a string. A string with half of a surrogate pair has none, and no path names it.
pub(crate) fn unescaped(string: &[u8]) -> Option<String> {
    serde_json::from_slice(string).ok()
}
