//! The environment's part of the configuration: `RIVERHEAD_HTTP__LISTEN` is `http.listen`.
//!
//! Only names with `__` behind the prefix are ours: Kubernetes puts `RIVERHEAD_SERVICE_HOST` and its like beside them.

use std::{ffi::OsString, sync::Arc};

use toml_span::{Span, Value};

use super::{
    diagnostic::{Diagnostic, Location, ParseResult, quoted},
    node::{Node, NodeKind, TableEntry, below},
    section_names::{CLUSTERS_NAME, STREAMS_NAME},
    sections::known,
    source,
    table::{did_you_mean, nearest},
};

/// One variable that is ours, and the key that it sets.
pub(super) struct EnvOverride {
    /// The section; none for the arrays at the top.
    section: Option<&'static str>,
    key: &'static str,
    name: Arc<str>,
    node: Node,
}

/// The variables that are ours, and what is wrong with those that would be.
pub(super) fn read(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Vec<EnvOverride>, Vec<Diagnostic>) {
    let targets = targets();
    let (mut overrides, mut faults) = (Vec::new(), Vec::new());
    for (name, text) in environment {
        let name = name.to_string_lossy();
        if !is_ours(&name) {
            continue;
        }
        match of_variable(&targets, &name, text) {
            Ok(variable) => overrides.push(variable),
            Err(more) => faults.extend(more),
        }
    }
    (overrides, faults)
}

impl EnvOverride {
    /// Whether it sets one of the arrays.
    pub(super) fn is_array(&self) -> bool {
        self.section.is_none()
    }

    /// Puts the value into the tree, over what the file says.
    pub(super) fn apply(self, root: &mut Node) {
        let location = Location::EnvVar(self.name, 0);
        let table = match self.section {
            Some(section) => entry(root, section, &location),
            None => Some(root),
        };
        if let Some(slot) = table.and_then(|table| entry(table, self.key, &location)) {
            *slot = self.node;
        }
    }
}

/// The value under `name`, an empty table if there was none. None when `table` is no table, which is a fault already.
fn entry<'a>(table: &'a mut Node, name: &str, location: &Location) -> Option<&'a mut Node> {
    let NodeKind::Table(entries) = &mut table.kind else {
        return None;
    };
    let known = entries.iter().position(|entry| entry.name == name);
    let index = known.unwrap_or_else(|| {
        entries.push(TableEntry {
            name: name.into(),
            location: location.clone(),
            node: Node::empty_table(name, location.clone()),
        });
        entries.len() - 1
    });
    Some(&mut entries[index].node)
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.starts_with('_') && rest.contains("__"))
}

struct EnvKey {
    variable: String,
    section: Option<&'static str>,
    key: &'static str,
}

/// Every variable that there is.
fn targets() -> Vec<EnvKey> {
    let single = known().into_iter().flat_map(|(section, keys)| match section {
        CLUSTERS_NAME | STREAMS_NAME => vec![target(None, section)],
        _ => keys.into_iter().map(|key| target(Some(section), key)).collect(),
    });
    single.collect()
}

fn target(section: Option<&'static str>, key: &'static str) -> EnvKey {
    let variable = match section {
        Some(section) => format!("{PREFIX}_{section}__{key}"),
        None => format!("{PREFIX}__{key}"),
    };
    EnvKey {
        variable: variable.to_ascii_uppercase(),
        section,
        key,
    }
}

fn of_variable(targets: &[EnvKey], name: &str, text: OsString) -> ParseResult<EnvOverride> {
    let location = Location::EnvVar(name.into(), 0);
    let Some(target) = targets.iter().find(|target| target.variable == name) else {
        return Err(vec![unknown(targets, name, location)]);
    };
    let Ok(text) = text.into_string() else {
        let title = format!("the value of {name} is not UTF-8");
        return Err(vec![Diagnostic::new(location, title)]);
    };
    Ok(EnvOverride {
        section: target.section,
        key: target.key,
        name: name.into(),
        node: value(target, name, &text)?,
    })
}

fn unknown(targets: &[EnvKey], name: &str, location: Location) -> Diagnostic {
    let fault = Diagnostic::new(
        location,
        format!("no key belongs to the variable {}", quoted(name)),
    );
    match nearest(name, targets.iter().map(|target| target.variable.as_str())) {
        Some(known) => fault.help(did_you_mean(known)),
        None => {
            fault.help("variables are named like RIVERHEAD_HTTP__LISTEN, for `listen` of the section `http`")
        }
    }
}

/// What the text says: a TOML value, or an array of tables as it stands in the file, or else a string.
fn value(target: &EnvKey, name: &str, text: &str) -> ParseResult<Node> {
    let path = target
        .section
        .map_or_else(|| target.key.into(), |section| below(section, target.key));
    let name: Arc<str> = name.into();
    let location = |span: Span| Location::EnvVar(Arc::clone(&name), span.start);
    let document = document(target, text);
    let structured = match toml_span::parse(&document) {
        Ok(document) => sole(&document, target.key).map(|value| Node::of(value, path.clone(), &location)),
        // Its text is not shown, as it may hold a password; where in it the error is would help nobody then.
        Err(error) if text.trim_start().starts_with(['[', '{']) => {
            let title = format!("the value of {name} is not TOML: {}", source::message(&error));
            return Err(vec![Diagnostic::new(location(error.span), title)]);
        }
        Err(_) => None,
    };
    let plain = || Node {
        path,
        location: location(Span::default()),
        kind: NodeKind::Text(text.into()),
        raw: None,
    };
    let raw = Some(text.to_owned());
    Ok(Node {
        raw,
        ..structured.unwrap_or_else(plain)
    })
}

/// The text as a TOML document with one key.
fn document(target: &EnvKey, text: &str) -> String {
    let headed = target.section.is_none() && text.trim_start().starts_with("[[");
    if headed {
        text.to_owned()
    } else {
        format!("{} = {text}", target.key)
    }
}

/// The value of `key`, when the document has no other.
fn sole<'a, 'text>(document: &'a Value<'text>, key: &str) -> Option<&'a Value<'text>> {
    document.as_table().filter(|table| table.len() == 1)?.get(key)
}

const PREFIX: &str = "RIVERHEAD";
