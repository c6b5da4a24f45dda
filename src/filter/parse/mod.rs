//! The parser: builds an expression from tokens, within bounds.

mod parsed;
mod values;

use std::{collections::BTreeSet, sync::Arc};

use super::{
    claims::{self, ClaimSource, Wanted},
    error::{FilterError, FilterErrorKind},
    expr::{Comparison, EventField, Expr, FieldTest, FieldType, Value, ValueSet},
    lex::{Token, TokenKind, error_at, tokens, unescaped},
};
use parsed::ParsedExpr;
use values::{meanings, wanted};

/// The longest filter, in bytes. It comes in a request's target, which common proxies limit to 8 KiB.
const MAX_BYTES: usize = 4096;

/// How deep parentheses and `not` may nest, because parsing and evaluating recurse.
const MAX_DEPTH: usize = 16;

/// The largest number of tests in one filter, which bounds the cost of evaluating it for each event.
const MAX_TESTS: usize = 64;

/// The largest number of values in one filter, in all of its lists together.
const MAX_VALUES: usize = 512;

/// The largest number of names in one path.
const MAX_PATH: usize = 16;

pub(super) fn parse(text: &str) -> Result<Expr, FilterError> {
    parse_template(text, ClaimSource::None)
}

/// Parses a filter in which `$name` stands for a claim.
pub(super) fn parse_template(text: &str, claims: ClaimSource<'_>) -> Result<Expr, FilterError> {
    let text = within_length(text)?;
    let mut parser = Parser::new(&text, claims)?;
    let expr = parser.any(0)?;
    parser.expect(&TokenKind::End, "`and`, `or` or the end")?;
    expr.into_possible()
}

/// Parses the name of one field.
pub(super) fn parse_field(text: &str) -> Result<EventField, FilterError> {
    let text = within_length(text)?;
    let mut parser = Parser::new(&text, ClaimSource::None)?;
    let field = parser.field()?;
    parser.expect(&TokenKind::End, "`.` or the end")?;
    Ok(field)
}

fn within_length(text: &str) -> Result<Arc<str>, FilterError> {
    if text.len() > MAX_BYTES {
        let end = text.floor_char_boundary(MAX_BYTES);
        return Err(error_at(text, end, FilterErrorKind::TooLong(MAX_BYTES)));
    }
    Ok(text.into())
}

pub(super) fn one_of<'v>(path: &str, values: impl Iterator<Item = &'v str>) -> Result<Expr, FilterError> {
    // Before they are sorted: a query has room for thousands.
    let values: Vec<_> = values.take(MAX_VALUES + 1).collect();
    if values.len() > MAX_VALUES {
        return Err(FilterError {
            column: 1,
            fault: FilterErrorKind::TooManyValues(MAX_VALUES),
        });
    }
    let names = path.split('.').map(Box::from).collect();
    let text: Arc<str> = values.concat().into();
    let mut end = 0;
    let values = values.iter().flat_map(|value| {
        let start = end;
        end += value.len();
        meanings(&text, &text[start..end])
    });
    let expr = Expr::FieldTest(EventField::Json(names), FieldTest::In(values.collect()));
    within_limits(&expr)?;
    Ok(expr)
}

/// Checks that a combined expression is within the same bounds as a parsed one.
pub(super) fn within_limits(expr: &Expr) -> Result<(), FilterError> {
    let (tests, values) = size(expr);
    let fault = if tests > MAX_TESTS {
        FilterErrorKind::TooManyTests(MAX_TESTS)
    } else if values > MAX_VALUES {
        FilterErrorKind::TooManyValues(MAX_VALUES)
    } else {
        return Ok(());
    };
    Err(FilterError { column: 1, fault })
}

/// Returns the number of tests and of values. The two tests that `!=` becomes count as one, as it is written.
fn size(expr: &Expr) -> (usize, usize) {
    match expr {
        Expr::Any(parts) => sum(parts.iter()),
        Expr::All(parts) => {
            let negated: BTreeSet<_> = parts.iter().filter_map(negated).collect();
            let is_counted = |part: &&Expr| !matches!(part, Expr::FieldTest(field, FieldTest::Exists) if negated.contains(field));
            sum(parts.iter().filter(is_counted))
        }
        Expr::Not(inner) => size(inner),
        Expr::FieldTest(_, FieldTest::In(values)) => (1, values.len()),
        Expr::FieldTest(..) => (1, 1),
    }
}

fn sum<'a>(parts: impl Iterator<Item = &'a Expr>) -> (usize, usize) {
    let sizes = parts.map(size);
    sizes.fold((0, 0), |(tests, values), part| (tests + part.0, values + part.1))
}

/// Returns the field of `not (a in (...))`.
fn negated(expr: &Expr) -> Option<&EventField> {
    match expr {
        Expr::Not(inner) => match &**inner {
            Expr::FieldTest(field, FieldTest::In(_)) => Some(field),
            _ => None,
        },
        _ => None,
    }
}

struct Parser<'a> {
    text: &'a Arc<str>,
    claims: ClaimSource<'a>,
    tokens: Vec<Token<'a>>,
    next: usize,
    tests: usize,
    values: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a Arc<str>, claims: ClaimSource<'a>) -> Result<Self, FilterError> {
        Ok(Self {
            text,
            claims,
            tokens: tokens(text)?,
            next: 0,
            tests: 0,
            values: 0,
        })
    }

    fn any(&mut self, depth: usize) -> Result<ParsedExpr, FilterError> {
        let mut parts = vec![self.all(depth)?];
        while self.takes_word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(ParsedExpr::any(parts))
    }

    fn all(&mut self, depth: usize) -> Result<ParsedExpr, FilterError> {
        let mut parts = vec![self.not(depth)?];
        while self.takes_word("and") {
            parts.push(self.not(depth)?);
        }
        Ok(ParsedExpr::all(parts))
    }

    fn not(&mut self, depth: usize) -> Result<ParsedExpr, FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.error(FilterErrorKind::TooDeep(MAX_DEPTH)));
        }
        if self.takes_word("not") {
            return Ok(ParsedExpr::not(self.not(depth + 1)?));
        }
        if self.takes(&TokenKind::Open) {
            let inner = self.any(depth + 1)?;
            self.expect(&TokenKind::Close, "`and`, `or` or `)`")?;
            return Ok(inner);
        }
        self.test()
    }

    fn test(&mut self) -> Result<ParsedExpr, FilterError> {
        self.tests += 1;
        if self.tests > MAX_TESTS {
            return Err(self.error(FilterErrorKind::TooManyTests(MAX_TESTS)));
        }
        if self.takes_word("exists") {
            return Ok(Expr::FieldTest(self.field()?, FieldTest::Exists).into());
        }
        let field = self.field()?;
        let operator = self.next;
        if self.takes_word("in") {
            let values = match self.claim(wanted(field.field_type()), claims::list)? {
                Some(values) => values,
                None => self.list(field.field_type())?,
            };
            // Between them stands the parenthesis.
            return Ok(self.checked(operator, operator + 2, field, FieldTest::In(values)));
        }
        if self.takes_word("prefix") {
            let text = match self.claim(Wanted::Text, claims::single)? {
                Some(Value::Text(text)) => Box::from(&*text),
                _ => self.some_text()?,
            };
            return Ok(self.checked(operator, operator + 1, field, FieldTest::Prefix(text)));
        }
        self.sign(field)
    }

    fn sign(&mut self, field: EventField) -> Result<ParsedExpr, FilterError> {
        let TokenKind::Operator(sign) = self.peek().kind else {
            return Err(self.error(FilterErrorKind::Expected(
                "`=`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `prefix`",
            )));
        };
        let operator = self.next;
        self.next += 1;
        let comparison = match sign {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return self.equality(field, sign == "!="),
        };
        let at = self.next;
        // Whatever the field: texts have no order.
        let value = match self.claim(Wanted::Number, claims::single)? {
            Some(value) => value,
            None => self.any_value(FieldType::Any)?,
        };
        match value {
            Value::Number(number) => {
                Ok(self.checked(operator, at, field, FieldTest::Compare(comparison, number)))
            }
            _ => Err(self.error_before(at, FilterErrorKind::Expected("a number"))),
        }
    }

    /// Parses `=` or `!=`. `a != 1` also requires that `a` exists: a test of a missing field is false, whichever way it is
    /// written.
    fn equality(&mut self, field: EventField, negated: bool) -> Result<ParsedExpr, FilterError> {
        let at = self.next;
        let values = ValueSet::from_iter([self.value(field.field_type())?]);
        if !negated {
            return Ok(self.checked(at - 1, at, field, FieldTest::In(values)));
        }
        let exists = Expr::FieldTest(field.clone(), FieldTest::Exists);
        let equal = Expr::FieldTest(field, FieldTest::In(values));
        Ok(Expr::All(vec![exists, Expr::Not(Box::new(equal))]).into())
    }

    /// Returns the test, marked with an error if no value of the field can pass it. `operator` and `value` are the indexes of
    /// tokens.
    fn checked(&self, operator: usize, value: usize, field: EventField, test: FieldTest) -> ParsedExpr {
        let never = impossibility(&field, &test).map(|impossible| match impossible {
            Impossibility::Operator(fault) => self.error_before(operator, fault),
            Impossibility::Value(fault) => self.error_before(value, fault),
        });
        ParsedExpr::test(Expr::FieldTest(field, test), never)
    }

    fn field(&mut self) -> Result<EventField, FilterError> {
        if let TokenKind::Word(word) = self.peek().kind
            && word.starts_with('@')
        {
            return self.metadata(word);
        }
        let mut path = vec![self.name()?];
        while self.takes(&TokenKind::Dot) {
            if path.len() == MAX_PATH {
                return Err(self.error(FilterErrorKind::PathTooLong(MAX_PATH)));
            }
            path.push(self.name()?);
        }
        Ok(EventField::Json(path))
    }

    fn metadata(&mut self, word: &str) -> Result<EventField, FilterError> {
        let field = match word {
            "@key" => EventField::Key,
            "@topic" => EventField::Topic,
            "@partition" => EventField::Partition,
            "@offset" => EventField::Offset,
            "@timestamp" => EventField::Timestamp,
            "@header" => return self.header(),
            _ => return Err(self.error(FilterErrorKind::UnknownMetadata)),
        };
        self.next += 1;
        Ok(field)
    }

    fn header(&mut self) -> Result<EventField, FilterError> {
        self.next += 1;
        self.expect(&TokenKind::Dot, "`.` and the name of a header")?;
        self.name().map(EventField::Header)
    }

    fn name(&mut self) -> Result<Box<str>, FilterError> {
        let name = match self.peek().kind {
            TokenKind::Text(text) => unescaped(text).into(),
            // Otherwise the operator would take `$tenant = acme` for a test of the claim.
            TokenKind::Word(word) if self.is_claim(word) => {
                return Err(self.error(FilterErrorKind::Expected("a field, not a claim")));
            }
            TokenKind::Word(word) if !is_reserved(word) && !looks_like_a_number(word) => Box::from(word),
            _ => return Err(self.error(FilterErrorKind::Expected("a field"))),
        };
        self.next += 1;
        Ok(name)
    }

    fn peek(&self) -> &Token<'a> {
        // The last token is the end, which is never consumed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn takes(&mut self, kind: &TokenKind<'_>) -> bool {
        let takes = self.peek().kind == *kind;
        self.next += usize::from(takes);
        takes
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.takes(&TokenKind::Word(word))
    }

    fn expect(&mut self, kind: &TokenKind<'_>, what: &'static str) -> Result<(), FilterError> {
        match self.takes(kind) {
            true => Ok(()),
            false => Err(self.error(FilterErrorKind::Expected(what))),
        }
    }

    fn error(&self, fault: FilterErrorKind) -> FilterError {
        error_at(self.text, self.peek().at, fault)
    }

    /// Returns an error at the token with this index.
    fn error_before(&self, index: usize, fault: FilterErrorKind) -> FilterError {
        error_at(self.text, self.tokens[index].at, fault)
    }
}

/// Why no event can pass a test, by the token that is wrong.
enum Impossibility {
    Operator(FilterErrorKind),
    Value(FilterErrorKind),
}

/// Returns why no value of the field can pass the test, or `None` if some may.
fn impossibility(field: &EventField, test: &FieldTest) -> Option<Impossibility> {
    let is_number = |value: &Value| matches!(value, Value::Number(_));
    match (field.field_type(), test) {
        (FieldType::Text | FieldType::TextOrNull, FieldTest::Compare(..)) => Some(Impossibility::Operator(
            FilterErrorKind::Expected("`=`, `!=`, `in` or `prefix` (the field is a text)"),
        )),
        (FieldType::Integer, FieldTest::Prefix(_)) => Some(Impossibility::Operator(
            FilterErrorKind::Expected("`=`, `!=`, `<`, `<=`, `>`, `>=` or `in` (the field is a number)"),
        )),
        (FieldType::Integer, FieldTest::In(values)) if !values.iter().any(is_number) => {
            Some(Impossibility::Value(FilterErrorKind::Expected("a number")))
        }
        (_, test) => field
            .largest()
            .filter(|largest| !test.may_hold_up_to(*largest))
            .map(|largest| Impossibility::Value(FilterErrorKind::NoSuchNumber(largest))),
    }
}

fn looks_like_a_number(word: &str) -> bool {
    matches!(word.as_bytes(), [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..])
}

/// Returns whether this is a keyword. A field of such a name is written in quotes.
pub(super) fn is_reserved(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "in" | "prefix" | "exists")
}

#[cfg(test)]
mod tests;
