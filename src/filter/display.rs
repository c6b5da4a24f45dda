//! The canonical text of an expression, which compiles to the same filter.

use std::fmt::{self, Display, Write};

use super::expr::{EventField, Expr, FieldTest, Value};

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => join(f, parts, " and "),
            Self::Any(parts) => join(f, parts, " or "),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::FieldTest(field, FieldTest::Exists) => write!(f, "exists {field}"),
            Self::FieldTest(field, FieldTest::Prefix(text)) => {
                write!(f, "{field} prefix ")?;
                quoted(f, text)
            }
            Self::FieldTest(field, FieldTest::Compare(comparison, number)) => {
                write!(f, "{field} {} {number}", comparison.sign())
            }
            Self::FieldTest(field, FieldTest::In(values)) => {
                write!(f, "{field} in (")?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    value.fmt(f)?;
                }
                f.write_char(')')
            }
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Expr], word: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { word })?;
        match part {
            Expr::All(_) | Expr::Any(_) => write!(f, "({part})")?,
            Expr::Not(_) | Expr::FieldTest(..) => write!(f, "{part}")?,
        }
    }
    Ok(())
}

impl Display for EventField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("@key"),
            Self::Topic => f.write_str("@topic"),
            Self::Partition => f.write_str("@partition"),
            Self::Offset => f.write_str("@offset"),
            Self::Timestamp => f.write_str("@timestamp"),
            Self::Header(name) => {
                f.write_str("@header.")?;
                quoted(f, name)
            }
            Self::Json(path) => {
                for (index, name) in path.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "." })?;
                    quoted(f, name)?;
                }
                Ok(())
            }
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => quoted(f, text),
        }
    }
}

/// Writes a text in quotes, always, so that each text has one spelling.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_escaped) {
        f.write_str(&rest[..at])?;
        f.write_char('\\')?;
        f.write_str(&rest[at..=at])?;
        rest = &rest[at + 1..];
    }
    f.write_str(rest)?;
    f.write_char('"')
}

/// Returns whether this byte of a text in quotes is written with a backslash.
pub(super) fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}
