//! The lexer: splits the text of a filter into tokens.

use std::borrow::Cow;

use super::{
    display::is_escaped,
    error::{FilterError, FilterErrorKind},
};

/// A token, and the byte at which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) kind: TokenKind<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind<'a> {
    /// A name, a number, or a keyword.
    Word(&'a str),
    /// A text in quotes, without them: see [`unescaped`].
    Text(&'a str),
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

/// The mean length of a token in filters of many short words, in bytes. Longer tokens leave some capacity unused, for a moment.
const MEAN_TOKEN_LEN: usize = 2;

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
    loop {
        let is_of_word = |byte: &&u8| IS_OF_WORD[usize::from(**byte)];
        end += bytes[end..].iter().take_while(is_of_word).count();
        end += match bytes.get(end) {
            Some(b'.' | b'+') if is_number => 1,
            // Most characters are ASCII, and need not be decoded.
            Some(0x80..) => match rest[end..].chars().next().filter(|c| c.is_alphanumeric()) {
                Some(c) => c.len_utf8(),
                None => break,
            },
            _ => break,
        };
    }
    &rest[..end]
}

/// Whether each byte is an ASCII character that may be part of a word. A table, because a filter may consist of words.
const IS_OF_WORD: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        let own = byte as u8;
        table[byte] = own.is_ascii_alphanumeric() || matches!(own, b'_' | b'-' | b'$' | b'@' | b':' | b'/');
        byte += 1;
    }
    table
};

/// Returns the text in quotes that begins at `at`, and its length with the quotes, in bytes.
fn quoted(text: &str, at: usize) -> Result<(TokenKind<'_>, usize), FilterError> {
    let start = at + 1;
    let mut next = start;
    while let Some(plain) = text.as_bytes()[next..].iter().position(|byte| is_escaped(*byte)) {
        next += plain;
        match text.as_bytes()[next..] {
            [b'"', ..] => return Ok((TokenKind::Text(&text[start..next]), next + 1 - at)),
            [_, escaped, ..] if is_escaped(escaped) => next += 2,
            _ => return Err(error_at(text, next, FilterErrorKind::BadEscape)),
        }
    }
    Err(error_at(text, at, FilterErrorKind::Unclosed))
}

/// Returns what a [`TokenKind::Text`] stands for: a backslash in it makes the next character literal.
pub(super) fn unescaped(quoted: &str) -> Cow<'_, str> {
    if !quoted.contains('\\') {
        return Cow::Borrowed(quoted);
    }
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(text)
}
