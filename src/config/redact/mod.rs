//! Redaction of secrets in fault reports, which end up in the logs of containers.
//!
//! A value is shown only if its key is known to be harmless: a misspelt `password` is not one of our keys, and a text that
//! cannot be parsed may hold anything. Redaction works on the text, because a file that does not parse has passwords too. It
//! reads line by line as TOML does, but never takes anything for harmless that occurs only in a broken file.

use std::{collections::BTreeSet, sync::LazyLock};

use super::{record_rules, sections};
use crate::kafka::settings::properties;

/// Returns `text` with everything blanked that may be a secret. The length in bytes stays, so locations in it stay valid.
pub(super) fn redact(text: &str) -> String {
    let mut redactor = Redactor {
        rest: text,
        shown: String::with_capacity(text.len()),
        depth: 0,
    };
    while !redactor.rest.is_empty() {
        redactor.statement();
    }
    redactor.shown
}

/// Whether the value of this key may be shown. A key inside a table is given without the names of the tables around it.
pub(super) fn is_harmless(key: &str) -> bool {
    visibility_of(key) == Visibility::Shown
}

/// Whether a value of a harmless key may be shown: an address may have a user and a password before it.
pub(super) fn is_harmless_text(text: &str) -> bool {
    !text.contains('@')
}

struct Redactor<'a> {
    rest: &'a str,
    shown: String,
    /// The number of lists and tables around the current value.
    depth: usize,
}

/// How much of a value may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visibility {
    /// All of it: its key is harmless.
    Shown,
    /// Nothing.
    Hidden,
    /// For a table, or tables in an array: what the keys inside allow.
    ByKey,
}

/// Whether a value was valid TOML. After an invalid one, reading continues at the next line.
type WellFormed = bool;

impl Redactor<'_> {
    /// Reads one statement: one line, or as many lines as its value has.
    fn statement(&mut self) {
        self.depth = 0;
        self.copy_while(char::is_whitespace);
        match self.rest.chars().next() {
            None => return,
            Some('[') => self.copy_while(|c| is_bare(c) || "[]. \t".contains(c)),
            Some('#') => {}
            Some(_) => _ = self.key_value(Visibility::ByKey),
        }
        self.blank_line();
    }

    /// Reads `key = value`, as far as there is one.
    fn key_value(&mut self, outer: Visibility) -> WellFormed {
        let Some((key, length)) = key(self.rest) else {
            return false;
        };
        self.copy(length);
        let visibility = match outer {
            Visibility::Hidden => Visibility::Hidden,
            _ => visibility_of(&key),
        };
        self.value(visibility)
    }

    fn value(&mut self, visibility: Visibility) -> WellFormed {
        self.copy_while(is_space);
        let rest = self.rest;
        match rest.chars().next() {
            _ if rest.starts_with(r#"""""#) || rest.starts_with("'''") => self.long_string(),
            Some(quote @ ('"' | '\'')) => self.string(quote, visibility),
            Some('[' | '{') if self.depth == MAX_DEPTH => false,
            Some('[') => self.nested(|redactor| redactor.list(visibility)),
            Some('{') => self.nested(|redactor| redactor.table(visibility)),
            _ => self.scalar(visibility),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> WellFormed) -> WellFormed {
        self.depth += 1;
        let well_formed = read(self);
        self.depth -= 1;
        well_formed
    }

    /// Blanks a multi-line string. No key needs one, and in a broken file its end is a guess.
    fn long_string(&mut self) -> WellFormed {
        let quotes = &self.rest[..3];
        let end = self.rest[3..].find(quotes);
        let end = end.map_or(self.rest.len(), |end| end + 2 * quotes.len());
        self.blank(end);
        true
    }

    fn string(&mut self, quote: char, visibility: Visibility) -> WellFormed {
        let Some(length) = string_length(self.rest, quote) else {
            return false;
        };
        if visibility == Visibility::Shown && is_harmless_text(&self.rest[..length]) {
            self.copy(length);
        } else {
            self.copy(1);
            self.blank(length - 2);
            self.copy(1);
        }
        true
    }

    fn list(&mut self, visibility: Visibility) -> WellFormed {
        self.copy(1);
        loop {
            self.copy_while(|c| c.is_whitespace() || c == ',');
            match self.rest.chars().next() {
                Some(']') => {
                    self.copy(1);
                    return true;
                }
                Some('#') => self.blank_line(),
                None => return false,
                // The closing bracket was forgotten: this is the key of the next line.
                Some(_) if key(self.rest).is_some() => return false,
                Some(_) => {
                    if !self.value(visibility) || !self.ends_value() {
                        return false;
                    }
                }
            }
        }
    }

    fn table(&mut self, visibility: Visibility) -> WellFormed {
        let inner = if visibility == Visibility::Hidden {
            Visibility::Hidden
        } else {
            Visibility::ByKey
        };
        self.copy(1);
        loop {
            self.copy_while(|c| c.is_whitespace() || c == ',');
            if self.rest.starts_with('}') {
                self.copy(1);
                return true;
            }
            if self.rest.starts_with('#') {
                self.blank_line();
            } else if !self.key_value(inner) || !self.ends_value() {
                return false;
            }
        }
    }

    /// Reads a number, a keyword, or a string that lacks its quotes.
    fn scalar(&mut self, visibility: Visibility) -> WellFormed {
        let length = self.rest.find(|c| !is_scalar(c)).unwrap_or(self.rest.len());
        if visibility == Visibility::Shown && !self.rest[length..].starts_with('@') {
            self.copy(length);
        } else {
            self.blank(length);
        }
        length > 0
    }

    /// Returns whether the value before has ended.
    fn ends_value(&mut self) -> bool {
        self.copy_while(is_space);
        self.rest.starts_with([',', ']', '}', '#', '\n', '\r'])
    }

    fn copy_while(&mut self, fits: impl Fn(char) -> bool) {
        let length = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        self.copy(length);
    }

    fn blank_line(&mut self) {
        let line = self.rest.find('\n').unwrap_or(self.rest.len());
        self.blank(line);
    }

    fn copy(&mut self, length: usize) {
        let (own, rest) = self.rest.split_at(length);
        self.shown.push_str(own);
        self.rest = rest;
    }

    fn blank(&mut self, length: usize) {
        let (own, rest) = self.rest.split_at(length);
        for c in own.chars() {
            match c {
                '\n' | '\r' => self.shown.push(c),
                _ => self.shown.extend(std::iter::repeat_n('*', c.len_utf8())),
            }
        }
        self.rest = rest;
    }
}

/// Returns the key at the beginning of `text`, and its length with the `=`. Returns `None` if no value follows: the text may be
/// the end of some base64.
fn key(text: &str) -> Option<(String, usize)> {
    let is_of_key = |c: char| is_bare(c) || ". \t\"'\\".contains(c);
    let end = text
        .char_indices()
        .take(MAX_KEY_LEN)
        .find(|(_, c)| !is_of_key(*c));
    let (equals, '=') = end? else { return None };
    let (key, rest) = text.split_at(equals);
    let value = rest[1..].trim_start_matches(is_space);
    let has_value = !value.is_empty() && !value.starts_with(['=', '\n', '\r']);
    (!key.trim().is_empty() && has_value).then(|| {
        // A key with escapes stays as it is written, so it is none that we know.
        let plain = key.chars().filter(|c| !" \t\"'".contains(*c)).collect();
        (plain, equals + 1)
    })
}

/// Returns the length of the string at the beginning of `text`, quotes included. Returns `None` if it does not end in its line.
fn string_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn visibility_of(key: &str) -> Visibility {
    let mut key = key;
    while let Some((_, rest)) = key.split_once('.').filter(|(first, _)| is_table(first)) {
        key = rest;
    }
    match key {
        _ if HARMLESS.contains(key) => Visibility::Shown,
        _ if is_table(key) => Visibility::ByKey,
        _ => Visibility::Hidden,
    }
}

/// Whether the value of this key is a table, or an array of tables.
pub(super) fn is_table(name: &str) -> bool {
    TABLES.contains(name)
}

/// The keys for which [`is_table`] holds.
static TABLES: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let sections = sections::known().into_iter().map(|(section, _)| section);
    sections
        .chain([
            "networks",
            "librdkafka",
            "certificates",
            "issuers",
            "redact",
            "defaults",
            sections::CORS_KEY,
            sections::TLS_KEY,
        ])
        .collect()
});

/// Every key that we know, except those whose values are secrets.
static HARMLESS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let own = sections::known().into_iter().flat_map(|(_, keys)| keys);
    let of_networks = ["cidr"];
    let of_rules = record_rules::REDACT_KEYS.iter().map(|key| key.name);
    // Not `key`: somebody may write the key itself in place of the name of its file.
    let of_certificates = ["certificate"];
    let passed = properties::ALLOWED.iter().copied();
    own.chain(of_networks)
        .chain(of_rules)
        .chain(of_certificates)
        .chain(passed)
        .filter(|key| {
            ![
                "networks",
                "librdkafka",
                "certificates",
                "issuers",
                "redact",
                "defaults",
            ]
            .contains(key)
        })
        .filter(|key| !SECRETS.iter().any(|secret| key.contains(secret)))
        // Not a part of a name: `ticket_keys_file` is harmless. The query of a URL may have a token in it.
        .filter(|key| !["ticket_keys", "url"].contains(key))
        .collect()
});

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn is_scalar(c: char) -> bool {
    is_bare(c) || ".:+".contains(c)
}

fn is_space(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// How many nested lists and tables are read; our own nest two. (The parser allows 128.)
const MAX_DEPTH: usize = 16;

/// How many characters are searched for the end of a key.
const MAX_KEY_LEN: usize = 200;

/// Parts of key names, ours and librdkafka's, whose values are secrets or may be.
const SECRETS: &[&str] = &["password", "secret", "passphrase", ".pem", "token", "engine"];

#[cfg(test)]
mod tests;
