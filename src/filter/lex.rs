//! The lexer: splits the text of a filter into tokens.

use super::{
    display::is_escaped,
    error::{FilterError, FilterErrorKind},
};

/// A token, and the byte at which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) kind: TokenKind<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind<'a> {
    /// A name, a number, or a keyword.
    Word(&'a str),
    /// A text in quotes, without them.
    Text(String),
    Open,
    Close,
    Comma,
    Dot,
    /// `=`, `!=`, `<`, `<=`, `>` or `>=`.
    Operator(&'static str),
    End,
}

/// Returns all tokens, the last of which is [`TokenKind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, FilterError> {
    let mut tokens = Vec::with_capacity(text.len() / MEAN_TOKEN_LEN);
    let mut at = 0;
    loop {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        at += text.as_bytes()[at..]
            .iter()
            .take_while(|byte| is_space(byte))
            .count();
        let (kind, length) = token(text, at)?;
        let is_end = kind == TokenKind::End;
        tokens.push(Token { at, kind });
        if is_end {
            return Ok(tokens);
        }
        at += length;
    }
}

/// The mean length of a token in long filters, with the space after it, in bytes.
const MEAN_TOKEN_LEN: usize = 3;

/// Returns an error at a byte of the text.
pub(super) fn error_at(text: &str, at: usize, fault: FilterErrorKind) -> FilterError {
    FilterError {
        column: text[..at].chars().count() + 1,
        fault,
    }
}

/// Returns the token that begins at `at`, and its length in bytes.
fn token(text: &str, at: usize) -> Result<(TokenKind<'_>, usize), FilterError> {
    let rest = &text[at..];
    Ok(match rest.as_bytes() {
        [] => (TokenKind::End, 0),
        [b'(', ..] => (TokenKind::Open, 1),
        [b')', ..] => (TokenKind::Close, 1),
        [b',', ..] => (TokenKind::Comma, 1),
        [b'.', ..] => (TokenKind::Dot, 1),
        [b'"', ..] => quoted(text, at)?,
        [b'=', b'=', ..] => (TokenKind::Operator("="), 2),
        [b'!', b'=', ..] => (TokenKind::Operator("!="), 2),
        [b'<', b'=', ..] => (TokenKind::Operator("<="), 2),
        [b'>', b'=', ..] => (TokenKind::Operator(">="), 2),
        [b'=', ..] => (TokenKind::Operator("="), 1),
        [b'<', ..] => (TokenKind::Operator("<"), 1),
        [b'>', ..] => (TokenKind::Operator(">"), 1),
        _ => match word(rest) {
            "" => {
                return Err(error_at(
                    text,
                    at,
                    FilterErrorKind::Expected("a field, a value, `and`, `or`, `not` or a parenthesis"),
                ));
            }
            word => (TokenKind::Word(word), word.len()),
        },
    })
}

/// Returns a name, or a number with its dot. Only after a digit is a dot part of a number, since elsewhere it separates the names
/// of a path. Returns an empty text if neither begins here.
fn word(rest: &str) -> &str {
    let bytes = rest.as_bytes();
    let dashes = bytes.iter().take_while(|byte| **byte == b'-').count();
    let is_number = bytes.get(dashes).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        // Most characters are ASCII, and need not be decoded.
        let c = match byte {
            0..=0x7f => char::from(*byte),
            _ => rest[end..].chars().next().unwrap_or_default(),
        };
        let goes_on = is_of_word(c) || (is_number && matches!(c, '.' | '+'));
        if !goes_on {
            break;
        }
        end += c.len_utf8();
    }
    &rest[..end]
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | ':' | '/')
}

fn quoted(text: &str, at: usize) -> Result<(TokenKind<'_>, usize), FilterError> {
    let mut value = String::new();
    let mut next = at + 1;
    while let Some(plain) = text.as_bytes()[next..].iter().position(|byte| is_escaped(*byte)) {
        value.push_str(&text[next..next + plain]);
        next += plain;
        match text.as_bytes()[next..] {
            [b'"', ..] => return Ok((TokenKind::Text(value), next + 1 - at)),
            [_, escaped, ..] if is_escaped(escaped) => value.push(char::from(escaped)),
            _ => return Err(error_at(text, next, FilterErrorKind::BadEscape)),
        }
        next += 2;
    }
    Err(error_at(text, at, FilterErrorKind::Unclosed))
}
