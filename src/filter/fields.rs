//! The fields of events: those that a filter tests, and those that another setting names as a filter does.

use std::{borrow::Cow, cell::RefCell, collections::BTreeSet, fmt};

use super::{
    Filter, FilterError,
    claims::ClaimSource,
    display::quoted,
    expr::{EventField, Expr},
    parse::{self, is_reserved},
};

impl EventField {
    /// Parses the name of a field as filters write it: `meta.domain`, `"log entry".user`, `@key`, `@header.source`.
    ///
    /// # Errors
    /// [`FilterError`], with the kind of error and its place in the text.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::parse_field(text)
    }

    /// Whether this field is the other one, or has it inside: `meta` covers `meta.domain`.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(path), Self::Json(other)) => other.starts_with(path),
            _ => self == other,
        }
    }
}

impl fmt::Display for EventField {
    /// Writes the name of the field, which parses to the same field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("@key"),
            Self::Topic => f.write_str("@topic"),
            Self::Partition => f.write_str("@partition"),
            Self::Offset => f.write_str("@offset"),
            Self::Timestamp => f.write_str("@timestamp"),
            Self::Header(name) => write!(f, "@header.{}", plain_or_quoted(name)),
            Self::Json(path) => {
                let names: Vec<_> = path.iter().map(|name| plain_or_quoted(name)).collect();
                f.write_str(&names.join("."))
            }
        }
    }
}

/// Returns a name in quotes, unless it is a word that can be nothing but a name.
fn plain_or_quoted(name: &str) -> Cow<'_, str> {
    let is_of_name = |c: char| c.is_alphanumeric() || "_-$@:/".contains(c);
    let is_start = |c: char| is_of_name(c) && !"-$@".contains(c) && !c.is_ascii_digit();
    if name.starts_with(is_start) && name.chars().all(is_of_name) && !is_reserved(name) {
        return Cow::Borrowed(name);
    }
    let mut text = String::new();
    quoted(&mut text, name);
    Cow::Owned(text)
}

impl Filter {
    /// Returns the fields that it tests, each once.
    pub fn fields(&self) -> BTreeSet<EventField> {
        fields_of(&self.0.expr)
    }
}

/// Returns the fields that a template tests, each once; none if it is no template.
pub fn fields_of_template(text: &str) -> BTreeSet<EventField> {
    let parsed = parse::parse_template(text, ClaimSource::Any(&RefCell::default()));
    parsed.map(|expr| fields_of(&expr)).unwrap_or_default()
}

fn fields_of(expr: &Expr) -> BTreeSet<EventField> {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().flat_map(fields_of).collect(),
        Expr::Not(inner) => fields_of(inner),
        Expr::FieldTest(field, _) => BTreeSet::from([field.clone()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> EventField {
        EventField::parse(text).expect("a field")
    }

    #[test]
    fn a_field_reads_as_it_was_written_and_what_a_filter_would_misread_is_in_quotes() {
        for text in [
            "user",
            "meta.domain",
            r#"a."b.c"."""#,
            r#""in"."7"."@key"."$x"."a b""#,
            r#""a\"\\""#,
            "@key",
            "@header.source",
            r#"@header."a b""#,
            "naïve.$schema_",
        ] {
            let field = field(text);
            assert_eq!(
                field,
                EventField::parse(&field.to_string()).expect("a field"),
                "{text}"
            );
        }
        assert_eq!(field(" performer . name ").to_string(), "performer.name");
        assert_eq!(field(r#"@header."x""#).to_string(), "@header.x");
        assert_eq!(field(r#""in"."a""#).to_string(), r#""in".a"#);
    }

    #[test]
    fn what_is_no_field_says_where_it_is_wrong() {
        for (text, column) in [
            ("", 1),
            ("a.", 3),
            ("a b", 3),
            ("a, b", 2),
            ("@nothing", 1),
            ("a = 1", 3),
            ("\"a", 1),
        ] {
            assert_eq!(
                EventField::parse(text).map_err(|error| error.column),
                Err(column),
                "{text}"
            );
        }
    }

    #[test]
    fn an_object_covers_what_is_inside_and_no_neighbor() {
        assert!(field("meta").covers(&field("meta.domain")) && field("meta").covers(&field("meta")));
        assert!(!field("meta.domain").covers(&field("meta")) && !field("met").covers(&field("meta")));
        assert!(
            field("@header.a").covers(&field("@header.a")) && !field("@header.a").covers(&field("@header.b"))
        );
        assert!(!field("@key").covers(&field("\"@key\"")));
    }

    #[test]
    fn all_fields_of_a_filter_are_told() {
        let fields = |text| Filter::parse(text).expect("a filter").fields();
        let told: Vec<_> = fields("not (a.b = 1 and exists @key) or a.b > 2 or @header.x = y")
            .into_iter()
            .collect();
        let told: Vec<_> = told.iter().map(EventField::to_string).collect();
        assert_eq!(told, ["@key", "@header.x", "a.b"]);
        assert_eq!(
            fields_of_template("tenant = $tenant"),
            BTreeSet::from([field("tenant")])
        );
        assert_eq!(fields_of_template("tenant ="), BTreeSet::new());
    }
}
