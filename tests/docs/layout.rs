//! The page of the architecture has the modules that there are.

use std::{collections::BTreeSet, fs};

use crate::markdown::{Page, root, spans_of};

const PAGE: &str = "docs/architecture.md";

#[test]
fn the_table_of_layers_has_every_module() {
    let rows = Page::read(PAGE).rows_below("## Layers");
    let named: BTreeSet<_> = rows.iter().flat_map(|row| spans_of(&row[1]).0).collect();
    let there: BTreeSet<_> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lib.rs")
        .map(|name| match name.as_str() {
            "main.rs" => name,
            _ => name.trim_end_matches(".rs").to_owned(),
        })
        .collect();
    assert_eq!(named, there, "left: {PAGE}, right: src/");
}
