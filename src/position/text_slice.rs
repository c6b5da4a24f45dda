//! Parts of a text that share it: the topic names of an id, and the texts of a filter.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// A part of a text. It keeps all of the text.
///
/// An id may name a thousand topics, and a filter hundreds of texts. They share the text that they were read from, because
/// allocating each of them would cost as much as reading them.
#[derive(Clone)]
pub struct TextSlice {
    text: Arc<str>,
    start: u32,
    end: u32,
}

impl TextSlice {
    /// Returns `part`, sharing `text`. Returns `None` if `part` does not lie within `text`.
    #[inline]
    pub(crate) fn within(text: &Arc<str>, part: &str) -> Option<Self> {
        let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let end = start.checked_add(part.len()).filter(|end| *end <= text.len())?;
        Some(Self {
            text: Arc::clone(text),
            start: u32::try_from(start).ok()?,
            end: u32::try_from(end).ok()?,
        })
    }

    /// Returns whether both are the same part of the same text. Equal slices may be different parts.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text) && (self.start, self.end) == (other.start, other.end)
    }

    /// Returns its bytes, without a check that they begin and end at characters.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text.as_bytes()[self.start as usize..self.end as usize]
    }

    /// Returns the text that it keeps and may share. Returns `None` if it is all of that text.
    #[inline]
    pub(crate) fn shared(&self) -> Option<&Arc<str>> {
        let length = (self.end - self.start) as usize;
        (length < self.text.len()).then_some(&self.text)
    }
}

impl Deref for TextSlice {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        &self.text[self.start as usize..self.end as usize]
    }
}

impl From<Arc<str>> for TextSlice {
    fn from(text: Arc<str>) -> Self {
        Self {
            start: 0,
            end: text.len() as u32,
            text,
        }
    }
}

impl From<&str> for TextSlice {
    fn from(text: &str) -> Self {
        Arc::<str>::from(text).into()
    }
}

impl PartialEq for TextSlice {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for TextSlice {}

impl PartialOrd for TextSlice {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TextSlice {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for TextSlice {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for TextSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_text_is_found_in_it_and_nothing_else_is() {
        let text: Arc<str> = "edits,pages".into();
        let slice = |part: &str| TextSlice::within(&text, part);
        assert_eq!(slice(&text[6..]), Some("pages".into()));
        assert_eq!(slice(&text), Some("edits,pages".into()));
        assert_eq!(slice("pages"), None);
        assert!(slice(&text[..5]) < slice(&text[6..]));
        let same = |a: Option<TextSlice>, b: Option<TextSlice>| a.unwrap().is_same(&b.unwrap());
        assert!(same(slice(&text[..5]), slice(&text[..5])));
        assert!(!same(slice(&text[..5]), Some("edits".into())));
    }
}
