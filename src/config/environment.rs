//! The environment's part of the configuration: `RIVERHEAD_HTTP__LISTEN` is `http.listen`.
//!
//! Only names with `__` behind the prefix are ours: Kubernetes puts `RIVERHEAD_SERVICE_HOST` and its like beside them.

use std::{ffi::OsString, sync::Arc};

use toml_span::Value;

use super::{
    fault::{Fault, Place, quoted},
    node::{Entry, Kind, Node, below},
    sections::{CLUSTERS_NAME, STREAMS_NAME, known},
    source,
    table::{did_you_mean, nearest},
};

/// One variable that is ours, and the key that it sets.
pub(super) struct Override {
    /// The section; none for the arrays at the top.
    section: Option<&'static str>,
    key: &'static str,
    name: Arc<str>,
    node: Node,
}

/// The variables that are ours, and what is wrong with those that would be.
pub(super) fn read(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Vec<Override>, Vec<Fault>) {
    let targets = targets();
    let (mut overrides, mut faults) = (Vec::new(), Vec::new());
    for (name, text) in environment {
        let name = name.to_string_lossy();
        if !is_ours(&name) {
            continue;
        }
        match of_variable(&targets, &name, text) {
            Ok(variable) => overrides.push(variable),
            Err(fault) => faults.push(fault),
        }
    }
    (overrides, faults)
}

impl Override {
    /// Whether it sets one of the arrays.
    pub(super) fn is_array(&self) -> bool {
        self.section.is_none()
    }

    /// Puts the value into the tree, over what the file says.
    pub(super) fn apply(self, root: &mut Node) {
        let place = Place::Variable(Arc::clone(&self.name));
        let table = match self.section {
            Some(section) => entry(root, section, Node::empty_table(section, place.clone())),
            None => Some(root),
        };
        let Some(table) = table else { return };
        if let Some(slot) = entry(table, self.key, self.node.clone()) {
            *slot = self.node;
        }
    }
}

/// The value under `name`, which is `default` if there was none. None when `table` is no table, which is a fault already.
fn entry<'a>(table: &'a mut Node, name: &str, default: Node) -> Option<&'a mut Node> {
    let Kind::Table(entries) = &mut table.kind else {
        return None;
    };
    let index = entries
        .iter()
        .position(|entry| entry.name == name)
        .unwrap_or_else(|| {
            entries.push(Entry {
                name: name.into(),
                place: default.place.clone(),
                node: default,
            });
            entries.len() - 1
        });
    Some(&mut entries[index].node)
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.starts_with('_') && rest.contains("__"))
}

struct Target {
    variable: String,
    section: Option<&'static str>,
    key: &'static str,
}

/// Every variable that there is.
fn targets() -> Vec<Target> {
    let single = known().into_iter().flat_map(|(section, keys)| match section {
        CLUSTERS_NAME | STREAMS_NAME => vec![target(None, section)],
        _ => keys.into_iter().map(|key| target(Some(section), key)).collect(),
    });
    single.collect()
}

fn target(section: Option<&'static str>, key: &'static str) -> Target {
    let variable = match section {
        Some(section) => format!("{PREFIX}_{section}__{key}"),
        None => format!("{PREFIX}__{key}"),
    };
    Target {
        variable: variable.to_ascii_uppercase(),
        section,
        key,
    }
}

fn of_variable(targets: &[Target], name: &str, text: OsString) -> Result<Override, Fault> {
    let place = Place::Variable(name.into());
    let Some(target) = targets.iter().find(|target| target.variable == name) else {
        return Err(unknown(targets, name, place));
    };
    let Ok(text) = text.into_string() else {
        return Err(Fault::new(place, format!("the value of {name} is not UTF-8")));
    };
    Ok(Override {
        section: target.section,
        key: target.key,
        name: name.into(),
        node: value(target, &place, &text)?,
    })
}

fn unknown(targets: &[Target], name: &str, place: Place) -> Fault {
    let fault = Fault::new(place, format!("no key belongs to the variable {}", quoted(name)));
    match nearest(name, targets.iter().map(|target| target.variable.as_str())) {
        Some(known) => fault.help(did_you_mean(known)),
        None => {
            fault.help("variables are named like RIVERHEAD_HTTP__LISTEN, for `listen` of the section `http`")
        }
    }
}

/// What the text says: a TOML value, or an array of tables as it stands in the file, or else a string.
fn value(target: &Target, place: &Place, text: &str) -> Result<Node, Fault> {
    let path = match target.section {
        Some(section) => below(section, target.key),
        None => target.key.into(),
    };
    let document = match text.trim_start() {
        headed if headed.starts_with("[[") && target.section.is_none() => text.to_owned(),
        _ => format!("{} = {text}", target.key),
    };
    let node = match toml_span::parse(&document) {
        Ok(document) => {
            sole(&document, target.key).map(|value| Node::of(value, path.clone(), &|_| place.clone()))
        }
        // Its text is not shown, as it may hold a password; where in it the error is would help nobody then.
        Err(error) if text.trim_start().starts_with(['[', '{']) => {
            let title = format!(
                "the value of {} is not TOML: {}",
                target.variable,
                source::message(&error)
            );
            return Err(Fault::new(place.clone(), title));
        }
        Err(_) => None,
    };
    let node = node.unwrap_or_else(|| Node {
        path,
        place: place.clone(),
        kind: Kind::Text(text.into()),
        raw: None,
    });
    let raw = Some(text.to_owned());
    Ok(Node { raw, ..node })
}

/// The value of `key`, when the document has no other.
fn sole<'a, 'text>(document: &'a Value<'text>, key: &str) -> Option<&'a Value<'text>> {
    document.as_table().filter(|table| table.len() == 1)?.get(key)
}

const PREFIX: &str = "RIVERHEAD";
