//! Documents as trees that keep every byte of their text, and what rules leave of them, told without a text.

use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value};

/// A value, as it is written.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Scalar(&'static str),
    /// White space where there are no elements, and the elements with the white space before and behind each.
    Array(&'static str, Vec<(&'static str, Node, &'static str)>),
    /// White space where there are no members, and the members.
    Object(&'static str, Vec<Member>),
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    /// White space: before the name, behind it, before the value, behind it.
    spaces: [&'static str; 4],
    /// The name as it is written, with its quotes.
    name: &'static str,
    pub(super) value: Node,
}

/// What is done to one path.
#[derive(Clone, Debug)]
pub(super) struct PathRule {
    pub(super) path: Vec<&'static str>,
    pub(super) removes: bool,
}

/// The names of paths, and how members are written that have them. The last one is of no path.
const NAMES: &[(&str, &[&str])] = &[
    ("a", &["\"a\"", "\"\\u0061\""]),
    ("b", &["\"b\""]),
    ("x.y", &["\"x.y\"", "\"x\\u002ey\""]),
    ("\u{e9}\"", &["\"\u{e9}\\\"\"", "\"\\u00e9\\u0022\""]),
    ("meta", &["\"meta\"", "\"m\\u0065ta\""]),
    ("topic", &["\"topic\""]),
    ("", &["\"\""]),
    ("\u{fffd}", &["\"\\ud83d\""]),
];

const SCALARS: &[&str] = &[
    "0",
    "-1.50",
    "1e400",
    "12345678901234567890",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "\"\\\"}],{\"",
    "\"\\\\\"",
    "\"\u{2028}\\u2028\"",
    "\"\\ud800\"",
];

const SPACES: &[&str] = &["", "", " ", "\n\t", "\r "];

fn space() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(SPACES)
}

fn name() -> impl Strategy<Value = &'static str> {
    let all: Vec<_> = NAMES
        .iter()
        .flat_map(|(_, written)| written.iter().copied())
        .collect();
    proptest::sample::select(all)
}

/// Any object or array.
pub(super) fn document() -> impl Strategy<Value = Node> {
    let scalar = proptest::sample::select(SCALARS).prop_map(Node::Scalar);
    let any = scalar.prop_recursive(5, 40, 5, |inner| prop_oneof![array(inner.clone()), object(inner)]);
    prop_oneof![1 => array(any.clone()), 5 => object(any)]
}

fn array(inner: impl Strategy<Value = Node>) -> impl Strategy<Value = Node> {
    (space(), vec((space(), inner, space()), 0..4)).prop_map(|(empty, items)| Node::Array(empty, items))
}

fn object(inner: impl Strategy<Value = Node>) -> impl Strategy<Value = Node> {
    let spaces = [space(), space(), space(), space()];
    let member = (spaces, name(), inner);
    let member = member.prop_map(|(spaces, name, value)| Member { spaces, name, value });
    (space(), vec(member, 0..5)).prop_map(|(empty, members)| Node::Object(empty, members))
}

pub(super) fn path_rules() -> impl Strategy<Value = Vec<PathRule>> {
    // Not the name that no path has.
    let names: Vec<_> = NAMES[..NAMES.len() - 1].iter().map(|(name, _)| *name).collect();
    let path = vec(proptest::sample::select(names), 1..4);
    vec(
        (path, any::<bool>()).prop_map(|(path, removes)| PathRule { path, removes }),
        0..5,
    )
}

impl PathRule {
    /// Returns the path as rules write it, with every name in quotes.
    pub(super) fn text(&self) -> String {
        let names = self
            .path
            .iter()
            .map(|name| format!("\"{}\"", name.replace('"', "\\\"")));
        names.collect::<Vec<_>>().join(".")
    }
}

/// What is done to a member, and the rules for what is in it.
fn treatment(name: &str, rules: &[PathRule]) -> (Option<bool>, Vec<PathRule>) {
    let own = || rules.iter().filter(|rule| rule.path[0] == name);
    let whole = own().filter(|rule| rule.path.len() == 1);
    let below = own().filter(|rule| rule.path.len() > 1);
    let below = below.map(|rule| PathRule {
        path: rule.path[1..].to_vec(),
        removes: rule.removes,
    });
    (whole.map(|rule| rule.removes).max(), below.collect())
}

impl Node {
    /// Writes the document as it is.
    pub(super) fn text(&self) -> String {
        self.redacted(&[])
    }

    /// Writes what the rules leave.
    pub(super) fn redacted(&self, rules: &[PathRule]) -> String {
        match self {
            Self::Scalar(text) => (*text).to_owned(),
            Self::Array(empty, items) if items.is_empty() => format!("[{empty}]"),
            Self::Array(_, items) => {
                let items = items.iter();
                let items =
                    items.map(|(before, item, behind)| format!("{before}{}{behind}", item.redacted(rules)));
                format!("[{}]", items.collect::<Vec<_>>().join(","))
            }
            Self::Object(empty, members) if members.is_empty() => format!("{{{empty}}}"),
            Self::Object(_, members) => {
                let mut text = format!("{{{}", members[0].spaces[0]);
                let mut has_any = false;
                for (index, member) in members.iter().enumerate() {
                    let [before, .., behind] = member.spaces;
                    match member.redacted(rules) {
                        Some(kept) => {
                            text += &if has_any {
                                format!(",{before}")
                            } else {
                                String::new()
                            };
                            text += &kept;
                            text += behind;
                            has_any = true;
                        }
                        // What was behind it moves up to what is left, and behind the first ones there is nothing left.
                        None if has_any || index + 1 == members.len() => text += behind,
                        None => {}
                    }
                }
                text + "}"
            }
        }
    }

    /// Writes the document with these members of `meta`: pairs of a name and of a value as it is written.
    pub(super) fn annotated(&self, pairs: &[(&str, String)]) -> String {
        let Self::Object(empty, members) = self else {
            return self.text();
        };
        let is_meta = |member: &Member| member.decoded_name() == "meta";
        let fresh = Self::Object("", Vec::new()).with_pairs(pairs);
        let added: Vec<_> = [("meta", fresh)]
            .into_iter()
            .filter(|_| !members.iter().any(is_meta))
            .collect();
        with_members(empty, members, &added, |member| match is_meta(member) {
            true => member.value.with_pairs(pairs),
            false => member.value.text(),
        })
    }

    /// Writes the value of `meta` with these members.
    fn with_pairs(&self, pairs: &[(&str, String)]) -> String {
        let (empty, members) = match self {
            Self::Object(empty, members) => (*empty, &members[..]),
            _ => ("", &[][..]),
        };
        let is_there = |name: &str| members.iter().any(|member| member.decoded_name() == name);
        let added: Vec<_> = pairs
            .iter()
            .filter(|(name, _)| !is_there(name))
            .cloned()
            .collect();
        with_members(empty, members, &added, |member| {
            let set = pairs.iter().find(|(name, _)| *name == member.decoded_name());
            set.map_or_else(|| member.value.text(), |(_, value)| value.clone())
        })
    }

    fn blank(&self) -> &'static str {
        match self {
            Self::Array(..) => "[]",
            Self::Object(..) => "{}",
            Self::Scalar(text) => match text.as_bytes()[0] {
                b'"' => "\"\"",
                b't' | b'f' => "false",
                b'n' => "null",
                _ => "0",
            },
        }
    }
}

/// Writes an object with these values, and with more members behind the last value.
fn with_members(
    empty: &str,
    members: &[Member],
    added: &[(&str, String)],
    value: impl Fn(&Member) -> String,
) -> String {
    let added: Vec<_> = added
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    let added = added.join(",");
    let Some((last, _)) = members.split_last() else {
        return format!("{{{added}{empty}}}");
    };
    let written: Vec<_> = members
        .iter()
        .map(|member| {
            let [before, behind_name, before_value, behind] = member.spaces;
            let (name, value) = (member.name, value(member));
            let is_last = std::ptr::eq(member, last);
            let comma = if is_last && !added.is_empty() { "," } else { "" };
            let added = if is_last { &added[..] } else { "" };
            format!("{before}{name}{behind_name}:{before_value}{value}{comma}{added}{behind}")
        })
        .collect();
    format!("{{{}}}", written.join(","))
}

impl Member {
    /// Returns the text from the name to the value; `None` if the member goes.
    fn redacted(&self, rules: &[PathRule]) -> Option<String> {
        let [_, behind_name, before_value, _] = self.spaces;
        let (whole, below) = treatment(self.decoded_name(), rules);
        let value = match whole {
            Some(true) => return None,
            Some(false) => self.value.blank().to_owned(),
            None => self.value.redacted(&below),
        };
        Some(format!("{}{behind_name}:{before_value}{value}", self.name))
    }

    fn decoded_name(&self) -> &'static str {
        let named = NAMES.iter().find(|(_, written)| written.contains(&self.name));
        named.expect("a name of the table").0
    }
}

/// Returns what the rules leave of a value of serde_json, which knows no texts.
pub(super) fn left_of(value: &Value, rules: &[PathRule]) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| left_of(item, rules)).collect(),
        Value::Object(members) => {
            let mut left = Map::new();
            for (name, value) in members {
                let (whole, below) = treatment(name, rules);
                match whole {
                    Some(true) => {}
                    Some(false) => _ = left.insert(name.clone(), empty(value)),
                    None => _ = left.insert(name.clone(), left_of(value, &below)),
                }
            }
            Value::Object(left)
        }
        other => other.clone(),
    }
}

fn empty(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => false.into(),
        Value::Number(_) => 0.into(),
        Value::String(_) => "".into(),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) => Value::Object(Map::new()),
    }
}
