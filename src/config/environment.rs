//! Configuration by environment variables: `RIVERHEAD_HTTP__LISTEN` sets `http.listen`.
//!
//! Only names with `__` behind the prefix are ours, because Kubernetes sets `RIVERHEAD_SERVICE_HOST` and similar ones.

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

/// The value of one of our variables, and the key that it sets.
pub(super) struct EnvOverride {
    /// The section. `None` for the arrays at the top level.
    section: Option<&'static str>,
    key: &'static str,
    name: Arc<str>,
    node: Node,
}

/// Reads the variables that are ours. Returns their values, and the faults of those with our prefix that are wrong.
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
    /// Returns whether the variable sets one of the arrays.
    pub(super) fn is_array(&self) -> bool {
        self.section.is_none()
    }

    /// Sets the value in the tree, in place of the one from the file.
    pub(super) fn apply(self, root: &mut Node) {
        let location = Location::EnvVar(self.name, 0);
        let mut parts = self.section.into_iter().flat_map(|section| section.split('.'));
        let table = parts.try_fold(root, |table, part| entry(table, part, &location));
        if let Some(slot) = table.and_then(|table| entry(table, self.key, &location)) {
            *slot = self.node;
        }
    }
}

/// Returns the value under `name`, which is an empty table if there was none. Returns `None` if `table` is not a table, which
/// is reported elsewhere.
fn entry<'a>(table: &'a mut Node, name: &str, location: &Location) -> Option<&'a mut Node> {
    let path = below(&table.path, name);
    let NodeKind::Table(entries) = &mut table.kind else {
        return None;
    };
    let known = entries.iter().position(|entry| entry.name == name);
    let index = known.unwrap_or_else(|| {
        entries.push(TableEntry {
            name: name.into(),
            location: location.clone(),
            node: Node::empty_table(&path, location.clone()),
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

/// Returns every variable that we read.
fn targets() -> Vec<EnvKey> {
    let single = known().into_iter().flat_map(|(section, keys)| match section {
        CLUSTERS_NAME | STREAMS_NAME => vec![target(None, section)],
        _ => keys.into_iter().map(|key| target(Some(section), key)).collect(),
    });
    single.collect()
}

fn target(section: Option<&'static str>, key: &'static str) -> EnvKey {
    let variable = match section {
        Some(section) => format!("{PREFIX}_{}__{key}", section.replace('.', "__")),
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
        format!("unknown variable {}: it belongs to no key", quoted(name)),
    );
    match nearest(name, targets.iter().map(|target| target.variable.as_str())) {
        Some(known) => fault.help(did_you_mean(known)),
        None => {
            fault.help("expected a name such as RIVERHEAD_HTTP__LISTEN, for `listen` of the section `http`")
        }
    }
}

/// Parses the text as a TOML value, as an array of tables in the notation of the file, or else takes it as a string.
fn value(target: &EnvKey, name: &str, text: &str) -> ParseResult<Node> {
    let path = target
        .section
        .map_or_else(|| target.key.into(), |section| below(section, target.key));
    let name: Arc<str> = name.into();
    let location = |span: Span| Location::EnvVar(Arc::clone(&name), span.start);
    let document = document(target, text);
    let structured = match toml_span::parse(&document) {
        Ok(document) => {
            only_value(&document, target.key).map(|value| Node::of(value, path.clone(), &location))
        }
        // The text is not shown, because it may hold a password. Without it, the location of the error would be of no help.
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

/// Returns the text as a TOML document with one key.
fn document(target: &EnvKey, text: &str) -> String {
    let headed = target.section.is_none() && text.trim_start().starts_with("[[");
    if headed {
        text.to_owned()
    } else {
        format!("{} = {text}", target.key)
    }
}

/// Returns the value of `key` if it is the only one in the document.
fn only_value<'a, 'text>(document: &'a Value<'text>, key: &str) -> Option<&'a Value<'text>> {
    document.as_table().filter(|table| table.len() == 1)?.get(key)
}

const PREFIX: &str = "RIVERHEAD";
