//! From text to tokens.

use super::error::{Fault, FilterError};

/// A piece of a filter, and the byte at which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) kind: Kind<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A name, a number, or one of the language's own words.
    Word(&'a str),
    /// A text in quotes, without them.
    Text(String),
    Open,
    Close,
    Comma,
    Dot,
    /// `=`, `!=`, `<`, `<=`, `>` or `>=`.
    Sign(&'static str),
    End,
}

/// All tokens, the last of which is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, FilterError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches([' ', '\t', '\r', '\n']).len();
        let (kind, length) = token(text, at)?;
        let is_end = kind == Kind::End;
        tokens.push(Token { at, kind });
        if is_end {
            return Ok(tokens);
        }
        at += length;
    }
}

/// An error at a byte of the text.
pub(super) fn error_at(text: &str, at: usize, fault: Fault) -> FilterError {
    FilterError {
        column: text[..at].chars().count() + 1,
        fault,
    }
}

/// The token that begins at `at`, and its length in bytes.
fn token(text: &str, at: usize) -> Result<(Kind<'_>, usize), FilterError> {
    let rest = &text[at..];
    if let Some((sign, length)) = sign(rest) {
        return Ok((Kind::Sign(sign), length));
    }
    Ok(match rest.chars().next() {
        None => (Kind::End, 0),
        Some('(') => (Kind::Open, 1),
        Some(')') => (Kind::Close, 1),
        Some(',') => (Kind::Comma, 1),
        Some('.') => (Kind::Dot, 1),
        Some('"') => quoted(text, at)?,
        Some(c) if is_of_word(c) => {
            let word = word(rest);
            (Kind::Word(word), word.len())
        }
        Some(_) => {
            return Err(error_at(
                text,
                at,
                Fault::Expected("a field, a value, `and`, `or`, `not` or a parenthesis"),
            ));
        }
    })
}

fn sign(rest: &str) -> Option<(&'static str, usize)> {
    let signs = ["==", "!=", "<=", ">=", "=", "<", ">"];
    let sign = signs.into_iter().find(|sign| rest.starts_with(sign))?;
    Some((if sign == "==" { "=" } else { sign }, sign.len()))
}

/// A name, or a number with its dot: only behind a digit, for elsewhere it parts a path.
fn word(rest: &str) -> &str {
    let is_number = rest
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_digit());
    let goes_on = |c: char| is_of_word(c) || (is_number && matches!(c, '.' | '+'));
    let end = rest.find(|c| !goes_on(c)).unwrap_or(rest.len());
    &rest[..end]
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | ':' | '/')
}

fn quoted(text: &str, at: usize) -> Result<(Kind<'_>, usize), FilterError> {
    let mut value = String::new();
    let mut chars = text[at + 1..].char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok((Kind::Text(value), index + 2)),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                _ => return Err(error_at(text, at + 1 + index, Fault::BadEscape)),
            },
            c => value.push(c),
        }
    }
    Err(error_at(text, at, Fault::Unclosed))
}
