//! The page of the architecture names the existing modules and folders.

use std::{collections::BTreeSet, fs};

use crate::docs::markdown::{Page, root, spans_of};

const PAGE: &str = "docs/architecture.md";

/// The modules whose folders the page lists.
const WITH_FOLDERS: [&str; 2] = ["http", "kafka"];

/// Folders with the parts of one file.
const PARTS: [&str; 2] = ["http/error/", "kafka/settings/"];

#[test]
fn the_table_of_layers_has_every_module() {
    let rows = Page::read(PAGE).rows_below("## Layers");
    let named: BTreeSet<_> = rows.iter().flat_map(|row| spans_of(&row[1]).0).collect();
    let there: BTreeSet<_> = names("src")
        .into_iter()
        .filter(|name| name != "lib.rs")
        .map(|name| match name.as_str() {
            "main.rs" => name,
            _ => name.trim_end_matches(".rs").to_owned(),
        })
        .collect();
    assert_eq!(named, there, "left: {PAGE}, right: src/");
}

#[test]
fn the_tables_of_folders_have_every_folder() {
    for module in WITH_FOLDERS {
        let rows = Page::read(PAGE).rows_below(&format!("### {module}"));
        let named = rows.iter().flat_map(|row| spans_of(&row[0]).0);
        let named: BTreeSet<_> = named.filter(|name| name.ends_with('/')).collect();
        let folder = format!("src/{module}");
        let there: BTreeSet<_> = names(&folder)
            .into_iter()
            .filter(|name| root().join(&folder).join(name).is_dir())
            .map(|name| format!("{module}/{name}/"))
            .filter(|name| !PARTS.contains(&name.as_str()))
            .collect();
        assert_eq!(named, there, "left: {PAGE}, right: {folder}/");
    }
}

#[test]
fn the_places_to_go_to_exist() {
    let rows = Page::read(PAGE).rows_below("## Where to change what");
    let places: Vec<_> = rows.iter().flat_map(|row| spans_of(&row[1]).0).collect();
    assert!(places.len() > 40, "{places:?}");
    // Some are files outside of the sources, and some stand for output: `id:`.
    let modules = places
        .iter()
        .filter(|place| !place.contains(['.', ':']) && !place.ends_with('/'));
    for place in modules {
        let path = root().join("src").join(place);
        assert!(
            path.is_dir() || path.with_extension("rs").is_file(),
            "src/{place}"
        );
    }
}

/// Returns the names in a folder of the repository.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}
