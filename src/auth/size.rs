//! How much memory a principal takes.

use serde_json::{Map, Value};

use super::principal::Principal;

/// Returns about how much memory a principal takes, in bytes.
pub(super) fn size(principal: &Principal) -> usize {
    let scopes = principal.scopes.iter();
    let scopes: usize = scopes.map(|scope| scope.len() + TEXT_BYTES).sum();
    ENTRY_BYTES + scopes + size_of_map(&principal.claims)
}

fn size_of_map(map: &Map<String, Value>) -> usize {
    let entries = map.iter();
    let entries = entries.map(|(name, value)| name.len() + TEXT_BYTES + size_of_value(value));
    entries.sum::<usize>() + NODE_BYTES
}

fn size_of_value(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len() + TEXT_BYTES,
            Value::Array(items) => items.iter().map(size_of_value).sum(),
            Value::Object(map) => size_of_map(map),
            _ => 0,
        }
}

/// What an entry takes without its claims and scopes, in bytes: itself, its principal, and the share of the table.
const ENTRY_BYTES: usize = 512;

/// What a text takes besides its characters: its pointer and lengths, and what the allocator adds.
const TEXT_BYTES: usize = 40;

/// What the first node of a map takes: it has room for eleven entries.
const NODE_BYTES: usize = 11 * (size_of::<String>() + size_of::<Value>());
