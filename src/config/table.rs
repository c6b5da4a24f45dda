//! Tables of keys: the keys that a section knows, and the field that each sets. Any other key is a fault.

use super::{
    diagnostic::{Diagnostic, ParseResult, fail_if_any, quoted},
    node::{Node, TableEntry},
};

/// A key of a section.
pub(super) struct KeySpec<S: 'static> {
    pub(super) name: &'static str,
    /// The help text if the key is missing. `None` if the key has a default.
    missing: Option<&'static str>,
    set: fn(&mut S, &Node) -> ParseResult<()>,
}

/// Returns a key with a default.
pub(super) const fn optional<S>(name: &'static str, set: fn(&mut S, &Node) -> ParseResult<()>) -> KeySpec<S> {
    KeySpec {
        name,
        missing: None,
        set,
    }
}

/// Returns a key that must be set. `help` says what it is for.
pub(super) const fn required<S>(
    name: &'static str,
    help: &'static str,
    set: fn(&mut S, &Node) -> ParseResult<()>,
) -> KeySpec<S> {
    KeySpec {
        name,
        missing: Some(help),
        set,
    }
}

/// Returns a key that sets the field of the same name to what a function reads. With a help text, the key must be set. With
/// `[outer]` before it, the field is one of the settings `outer`, or `[outer.inner]`.
macro_rules! key {
    ($([$($outer:ident).+])? $field:ident: $read:expr) => {
        $crate::config::table::optional(stringify!($field), |settings, node| {
            $read(node).map(|value| settings.$($($outer.)+)?$field = value.into())
        })
    };
    ($([$($outer:ident).+])? $field:ident: $read:expr, $help:expr) => {
        $crate::config::table::required(stringify!($field), $help, |settings, node| {
            $read(node).map(|value| settings.$($($outer.)+)?$field = value.into())
        })
    };
}

pub(super) use key;

/// Sets the fields of `settings` from the table `node`. A field whose value has a fault stays as it is.
pub(super) fn fill<S>(keys: &[KeySpec<S>], node: &Node, settings: &mut S) -> ParseResult<()> {
    let mut faults = Vec::new();
    let entries = node.entries()?;
    for entry in entries {
        match keys.iter().find(|key| key.name == entry.name) {
            Some(key) => faults.extend((key.set)(settings, &entry.node).err().unwrap_or_default()),
            None => faults.push(unknown(keys, entry)),
        }
    }
    let named = |key: &KeySpec<S>| entries.iter().any(|entry| entry.name == key.name);
    let absent = keys.iter().filter(|key| !named(key));
    faults.extend(absent.filter_map(|key| missing(key, node)));
    fail_if_any(faults)
}

/// Returns the name among `known` that was most likely meant by `name`.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), known);
    if name.len() > MAX_SUGGESTION_LEN {
        return None;
    }
    let likenesses = known
        .into_iter()
        .map(|known| (likeness(&known.to_ascii_lowercase()), known));
    let (distance, known) = likenesses.min_by_key(|(distance, _)| *distance)?;
    // With more edits than half of the letters, any word becomes any other.
    (distance <= known.len() / 2).then_some(known)
}

/// Formats a suggestion.
pub(super) fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

fn unknown<S>(keys: &[KeySpec<S>], entry: &TableEntry) -> Diagnostic {
    let fault = Diagnostic::new(
        entry.location.clone(),
        format!("unknown key {}", quoted(&entry.node.path)),
    );
    match nearest(&entry.name, keys.iter().map(|key| key.name)) {
        Some(known) => fault.label(did_you_mean(known)),
        None => {
            let known: Vec<_> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
            fault.help(format!("expected one of {}", known.join(", ")))
        }
    }
}

fn missing<S>(key: &KeySpec<S>, node: &Node) -> Option<Diagnostic> {
    let help = key.missing?;
    let path = super::node::below(&node.path, key.name);
    Some(
        Diagnostic::new(node.location.clone(), format!("`{path}` is missing"))
            .help(help)
            .only_if_parsed(),
    )
}

/// In bytes. The cost of a comparison is the product of both lengths.
const MAX_SUGGESTION_LEN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key_and_rubbish_finds_none() {
        let keys = ["heartbeat", "listen", "drain"];
        assert_eq!(nearest("heartbeet", keys), Some("heartbeat"));
        assert_eq!(nearest("Listne", keys), Some("listen"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), keys), None);
    }
}
