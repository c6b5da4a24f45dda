//! Where keys are, for faults and warnings about more than one.

use super::{
    diagnostic::{Diagnostic, Location},
    node::Node,
};

/// Returns a fault about two keys, located at those that are set.
pub(super) fn between(root: &Node, title: String, keys: [(&str, &str); 2]) -> Diagnostic {
    let locations =
        keys.map(|(section, key)| find(root, section)?.get(key).map(|node| node.location.clone()));
    match locations {
        [Some(one), Some(other)] => Diagnostic::new(one, title).related(other, "conflicts with this"),
        [one, other] => Diagnostic::new(one.or(other).unwrap_or(Location::Document), title),
    }
}

/// Returns a section by its name, in which a dot leads to a table inside another.
fn find<'a>(root: &'a Node, section: &str) -> Option<&'a Node> {
    section.split('.').try_fold(root, |table, part| table.get(part))
}

/// Returns the location of the key, or of its section, or of the document.
pub(super) fn location(root: &Node, section: &str, key: &str) -> Location {
    find(root, section).map_or(Location::Document, |section| section.location_of(key))
}
