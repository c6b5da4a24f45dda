//! The values of a filter: written, or those of claims.

use std::{borrow::Cow, sync::Arc};

use super::{MAX_VALUES, Parser, is_reserved, looks_like_a_number};
use crate::{
    filter::{
        claims::{self, ClaimSource, Wanted},
        error::{FilterError, FilterErrorKind},
        expr::{FieldType, Value, ValueSet},
        lex::{TokenKind, unescaped},
        number::Number,
    },
    position::TextSlice,
};

impl Parser<'_> {
    pub(super) fn list(&mut self, field_type: FieldType) -> Result<ValueSet, FilterError> {
        self.expect(&TokenKind::Open, "`(`")?;
        // Each value but the last is followed by a comma.
        let mut values = Vec::with_capacity((self.tokens.len() - self.next) / 2);
        values.push(self.value(field_type)?);
        while self.takes(&TokenKind::Comma) {
            values.push(self.value(field_type)?);
        }
        self.expect(&TokenKind::Close, "`,` or `)`")?;
        // Collected at once, so that they are sorted once.
        Ok(values.into_iter().collect())
    }

    /// Parses `$name`, if it stands here and there are claims. `read` returns what it stands for.
    pub(super) fn claim<T>(
        &mut self,
        wanted: Wanted,
        read: fn(ClaimSource<'_>, &[String], Wanted) -> Option<T>,
    ) -> Result<Option<T>, FilterError> {
        let name = match self.peek().kind {
            TokenKind::Word(word) if self.is_claim(word) => &word[1..],
            _ => return Ok(None),
        };
        let at = self.next;
        self.next += 1;
        let mut path = vec![match name {
            "" => self.quoted_behind(at)?,
            name => name.to_owned(),
        }];
        while self.takes(&TokenKind::Dot) {
            path.push(self.name()?.into_string());
        }
        let value = read(self.claims, &path, wanted);
        value
            .map(Some)
            .ok_or_else(|| self.error_before(at, FilterErrorKind::MissingClaim))
    }

    /// Whether a word stands for a claim. In a filter of a client none does.
    pub(super) fn is_claim(&self, word: &str) -> bool {
        !matches!(self.claims, ClaimSource::None) && word.starts_with('$')
    }

    /// Parses the name of a claim in quotes: a token of its own, directly behind the one with this index, which is a `$`.
    fn quoted_behind(&mut self, dollar: usize) -> Result<String, FilterError> {
        let next = *self.peek();
        match next.kind {
            TokenKind::Text(text) if next.at == self.tokens[dollar].at + 1 => {
                self.next += 1;
                Ok(unescaped(text).into_owned())
            }
            _ => Err(self.error(FilterErrorKind::Expected("the name of a claim"))),
        }
    }

    /// Parses a value. For a field that can only be a text, any word is that text.
    pub(super) fn value(&mut self, field_type: FieldType) -> Result<Value, FilterError> {
        if let Some(value) = self.claim(wanted(field_type), claims::single)? {
            return Ok(value);
        }
        let (FieldType::Text | FieldType::TextOrNull) = field_type else {
            return self.any_value(field_type);
        };
        let token = self.peek().kind;
        match (self.any_value(field_type)?, token) {
            (Value::Null, _) if field_type == FieldType::TextOrNull => Ok(Value::Null),
            (_, TokenKind::Word(word)) => Ok(Value::Text(slice(self.text, word))),
            (value, _) => Ok(value),
        }
    }

    /// Parses a value, whatever the field.
    pub(super) fn any_value(&mut self, field_type: FieldType) -> Result<Value, FilterError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(FilterErrorKind::TooManyValues(MAX_VALUES)));
        }
        let at = self.next;
        let value = match self.peek().kind {
            TokenKind::Text(text) => Value::Text(match unescaped(text) {
                Cow::Borrowed(text) => slice(self.text, text),
                Cow::Owned(text) => text.as_str().into(),
            }),
            TokenKind::Word(word)
                if looks_like_a_number(word) && matches!(field_type, FieldType::Integer | FieldType::Any) =>
            {
                let number = Number::parse(word).map(Value::Number);
                number.ok_or_else(|| self.error_before(at, FilterErrorKind::BadNumber))?
            }
            TokenKind::Word(word) if is_reserved(word) => {
                return Err(self.error(FilterErrorKind::Expected("a value")));
            }
            TokenKind::Word(word) => meaning(word).unwrap_or_else(|| Value::Text(slice(self.text, word))),
            _ => return Err(self.error(FilterErrorKind::Expected("a value"))),
        };
        self.next += 1;
        Ok(value)
    }

    pub(super) fn some_text(&mut self) -> Result<Box<str>, FilterError> {
        let text = match self.peek().kind {
            TokenKind::Text(text) => unescaped(text).into(),
            TokenKind::Word(word) => Box::from(word),
            _ => return Err(self.error(FilterErrorKind::Expected("a text"))),
        };
        self.next += 1;
        Ok(text)
    }
}

/// Returns the values that a word without quotes may mean, including the word itself, which is a part of `text`.
pub(super) fn meanings(text: &Arc<str>, word: &str) -> impl Iterator<Item = Value> {
    let other = meaning(word);
    other.into_iter().chain([Value::Text(slice(text, word))])
}

/// Returns `part`, sharing the text of which it is a part: a filter has hundreds of words, and each would be an allocation.
fn slice(text: &Arc<str>, part: &str) -> TextSlice {
    TextSlice::within(text, part).unwrap_or_else(|| part.into())
}

/// Returns the value other than a text that such a word may mean.
fn meaning(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ if looks_like_a_number(text) => Number::parse(text).map(Value::Number),
        _ => None,
    }
}

/// Returns the values with which such a field can be compared.
pub(super) fn wanted(field_type: FieldType) -> Wanted {
    match field_type {
        FieldType::Text | FieldType::TextOrNull => Wanted::Text,
        FieldType::Integer => Wanted::Number,
        FieldType::Any => Wanted::Any,
    }
}
