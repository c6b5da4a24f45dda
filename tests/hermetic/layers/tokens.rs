//! The grammar of Rust as far as imports need it: how long an item is, where a path ends, what is for tests only.

use proc_macro2::{Delimiter, Group, TokenTree};

/// Returns whether an attribute begins here that compiles the next item for tests only.
pub(crate) fn is_for_tests(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(attribute), ..] = tokens else {
        return false;
    };
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    is_punct(hash, '#')
        && (text == "test" || text.starts_with("cfg(test") || text.starts_with("cfg(all(test"))
}

/// Returns the number of tokens of the item, field, variant or statement at the front, its attributes included.
pub(crate) fn item_length(tokens: &[TokenTree]) -> usize {
    let mut start = 0;
    while let [hash, TokenTree::Group(_), ..] = &tokens[start..]
        && is_punct(hash, '#')
    {
        start += 2;
    }
    if let [TokenTree::Ident(word), next, ..] = &tokens[start..]
        && word == "pub"
    {
        start += 1 + usize::from(matches!(next, TokenTree::Group(_)));
    }
    let words = tokens[start..].iter().map_while(|token| match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    });
    let words: Vec<_> = words.collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    start
        + match words[..] {
            ["const", "fn" | "unsafe" | "async" | "extern", ..] => body(&tokens[start..]),
            ["use" | "type" | "const" | "static" | "let", ..] | ["extern", "crate", ..] => {
                until(&tokens[start..], ';')
            }
            [word, ..] if WITH_BODY.contains(&word) => body(&tokens[start..]),
            _ => field(&tokens[start..]),
        }
}

/// The first words of items and statements that end with a body in braces, or with a semicolon.
const WITH_BODY: &[&str] = &[
    "fn",
    "struct",
    "enum",
    "union",
    "trait",
    "impl",
    "mod",
    "unsafe",
    "async",
    "extern",
    "macro_rules",
    "if",
    "for",
    "while",
    "loop",
    "match",
];

/// Returns the length of an item up to its body in braces, or to a semicolon.
fn body(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(token, ';'),
    };
    tokens.iter().position(ends).map_or(tokens.len(), |end| end + 1)
}

/// Returns the length of a field, a variant, an arm or an expression: up to a comma that is not between angle brackets.
fn field(tokens: &[TokenTree]) -> usize {
    let (mut depth, mut arrow) = (0, false);
    for (at, token) in tokens.iter().enumerate() {
        if is_punct(token, '<') {
            depth += 1;
        } else if is_punct(token, '>') && !arrow {
            depth -= 1;
        } else if is_punct(token, ';') || (is_punct(token, ',') && depth == 0) {
            return at + 1;
        }
        arrow = is_punct(token, '-') || is_punct(token, '=');
    }
    tokens.len()
}

/// Returns the number of tokens up to the next `end`, which is included.
pub(crate) fn until(tokens: &[TokenTree], end: char) -> usize {
    let end = tokens.iter().position(|token| is_punct(token, end));
    end.map_or(tokens.len(), |end| end + 1)
}

/// Returns the segments of the path at the front, which begins with an identifier, and the number of its tokens.
pub(crate) fn path(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        segments.push(word.to_string());
        at += 1;
        match &tokens[at..] {
            [first, second, TokenTree::Ident(_), ..] if is_punct(first, ':') && is_punct(second, ':') => {
                at += 2
            }
            _ => break,
        }
    }
    (segments, at)
}

/// Returns whether `group`, behind `pub`, is a visibility such as `(in crate::http)`, and not the type of a field.
pub(crate) fn is_visibility(group: &Group) -> bool {
    let tokens = inside(group);
    group.delimiter() == Delimiter::Parenthesis
        && matches!(&tokens[..], [TokenTree::Ident(word), rest @ ..] if word == "in" || rest.is_empty())
}

/// Returns whether `::` stands at the end of `tokens`: the next word is another crate's, or an item of a type.
pub(crate) fn follows_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [.., first, second] if is_punct(first, ':') && is_punct(second, ':'))
}

/// Returns whether `token` is this punctuation character.
pub(crate) fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// Returns the tokens of a group.
pub(crate) fn inside(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}
