//! Topic names that share the text of the id they were read from.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// The name of a topic in an id.
///
/// An id may name a thousand topics. Their names share its text, because allocating each of them would cost as much as reading
/// them.
#[derive(Clone)]
pub struct Name {
    text: Arc<str>,
    start: u32,
    end: u32,
}

impl Name {
    /// Returns the name `part`, sharing `text`. Returns `None` if `part` does not lie within `text`.
    pub(super) fn within(text: &Arc<str>, part: &str) -> Option<Self> {
        let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let end = start.checked_add(part.len()).filter(|end| *end <= text.len())?;
        Some(Self {
            text: Arc::clone(text),
            start: u32::try_from(start).ok()?,
            end: u32::try_from(end).ok()?,
        })
    }

    /// Returns whether both are the same part of the same text. Equal names may be different parts.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text) && (self.start, self.end) == (other.start, other.end)
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text[self.start as usize..self.end as usize]
    }
}

impl From<Arc<str>> for Name {
    fn from(text: Arc<str>) -> Self {
        Self {
            start: 0,
            end: text.len() as u32,
            text,
        }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Arc::<str>::from(text).into()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Name {
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
        let name = |part: &str| Name::within(&text, part);
        assert_eq!(name(&text[6..]), Some("pages".into()));
        assert_eq!(name(&text), Some("edits,pages".into()));
        assert_eq!(name("pages"), None);
        assert!(name(&text[..5]) < name(&text[6..]));
        let same = |a: Option<Name>, b: Option<Name>| a.unwrap().is_same(&b.unwrap());
        assert!(same(name(&text[..5]), name(&text[..5])));
        assert!(!same(name(&text[..5]), Some("edits".into())));
    }
}
