//! The canonical text of an expression, which compiles to the same filter.

use super::expr::{EventField, Expr, FieldTest, Value};

impl Expr {
    /// Returns the canonical text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::All(parts) => join(out, parts, " and "),
            Self::Any(parts) => join(out, parts, " or "),
            Self::Not(inner) => {
                out.push_str("not (");
                inner.write(out);
                out.push(')');
            }
            Self::FieldTest(field, FieldTest::Exists) => {
                out.push_str("exists ");
                field.write(out);
            }
            Self::FieldTest(field, FieldTest::Prefix(text)) => {
                field.write(out);
                out.push_str(" prefix ");
                quoted(out, text);
            }
            Self::FieldTest(field, FieldTest::Compare(comparison, number)) => {
                field.write(out);
                out.push(' ');
                out.push_str(comparison.sign());
                out.push(' ');
                number.write(out);
            }
            Self::FieldTest(field, FieldTest::In(values)) => {
                field.write(out);
                out.push_str(" in (");
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                        out.push(' ');
                    }
                    value.write(out);
                }
                out.push(')');
            }
        }
    }
}

fn join(out: &mut String, parts: &[Expr], word: &str) {
    for (index, part) in parts.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { word });
        match part {
            Expr::All(_) | Expr::Any(_) => {
                out.push('(');
                part.write(out);
                out.push(')');
            }
            Expr::Not(_) | Expr::FieldTest(..) => part.write(out),
        }
    }
}

impl EventField {
    fn write(&self, out: &mut String) {
        match self {
            Self::Key => out.push_str("@key"),
            Self::Topic => out.push_str("@topic"),
            Self::Partition => out.push_str("@partition"),
            Self::Offset => out.push_str("@offset"),
            Self::Timestamp => out.push_str("@timestamp"),
            Self::Header(name) => {
                out.push_str("@header.");
                quoted(out, name);
            }
            Self::Json(path) => {
                for (index, name) in path.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "." });
                    quoted(out, name);
                }
            }
        }
    }
}

impl Value {
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => number.write(out),
            Self::Text(text) => quoted(out, text),
        }
    }
}

/// Writes a text in quotes, always, so that each text has one spelling.
pub(super) fn quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_escaped) {
        out.push_str(&rest[..at]);
        out.push('\\');
        out.push_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Returns whether this byte of a text in quotes is written with a backslash.
pub(super) fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}
