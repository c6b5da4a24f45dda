//! The layers of the crate: imports point down only, `http` never imports `kafka`, and the imports between the files of a module
//! form no circle.
//!
//! Reads the sources as tokens, so that comments, strings and code that is compiled for tests only do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use self::{circles::circles, source::Source, tree::Tree};

mod circles;
mod source;
mod tokens;
mod tree;

/// Every module at the top of the crate, by its layer. The documentation of `src/lib.rs` has the same table.
const LAYERS: &[(u8, &[&str])] = &[
    (7, &["cli"]),
    (6, &["app"]),
    (5, &["config"]),
    (4, &["http", "demo", "probe", "tail"]),
    (3, &["kafka", "subscription", "discovery", "redaction"]),
    (2, &["partition", "filter", "auth", "stream_client"]),
    (1, &["event", "projection", "catalog", "limits", "tls"]),
    (
        0,
        &[
            "position", "encoding", "sse", "client", "drain", "fetch", "metrics", "health", "log", "named",
            "storage",
        ],
    ),
];

/// Imports that the layers would allow, and why they are forbidden.
const FORBIDDEN: &[(&str, &str, &str)] = &[(
    "http",
    "kafka",
    "no request waits for Kafka: what http needs of it, it reads through partition and subscription",
)];

#[test]
fn imports_point_down_only() {
    let mut faults = Vec::new();
    for (module, file) in SOURCES.files() {
        // `lib.rs` is the table itself.
        if let Some(top) = module.first() {
            let imports = SOURCES.tops(module);
            let found = imports.iter().filter_map(|import| fault(top, import));
            faults.extend(found.map(|fault| format!("src/{file}: {fault}")));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn no_import_circles_between_files() {
    let circles = circles(&SOURCES);
    assert!(circles.is_empty(), "\n{}\n", circles.join("\n"));
}

#[test]
fn every_module_has_a_layer_and_every_layer_its_modules() {
    let existing: BTreeSet<_> = SOURCES
        .files()
        .keys()
        .filter_map(|module| module.first())
        .collect();
    let in_the_table: BTreeSet<_> = layers().into_keys().map(str::to_owned).collect();
    assert_eq!(
        existing,
        in_the_table.iter().collect(),
        "left: in src/, right: in the table of tests/hermetic/layers"
    );
}

#[test]
fn the_documentation_of_the_crate_shows_the_same_layers() {
    let lib = fs::read_to_string(src().join("lib.rs")).unwrap();
    let documented: BTreeMap<_, _> = lib.lines().filter_map(row).flatten().collect();
    assert_eq!(
        documented,
        layers(),
        "left: in src/lib.rs, right: in the table of tests/hermetic/layers"
    );
}

/// What is wrong with `module` importing `import`, if anything.
fn fault(module: &str, import: &str) -> Option<String> {
    if module == import {
        return None;
    }
    if let Some((.., why)) = FORBIDDEN
        .iter()
        .find(|(from, to, _)| (*from, *to) == (module, import))
    {
        return Some(format!("{module} imports {import}: {why}"));
    }
    let layers = layers();
    match (layers.get(module), layers.get(import)) {
        (Some(own), Some(other)) if other < own => None,
        (Some(own), Some(other)) => Some(format!(
            "{module} (layer {own}) imports {import} (layer {other}): arrows point down only"
        )),
        (None, _) => Some(format!("{module} has no layer")),
        (_, None) => Some(format!("{module} imports crate::{import}, which has no layer")),
    }
}

fn layers() -> BTreeMap<&'static str, u8> {
    LAYERS
        .iter()
        .flat_map(|(layer, modules)| modules.iter().map(move |module| (*module, *layer)))
        .collect()
}

/// A row of the table in the documentation, ``//! | 1 | [`event`], [`catalog`] | ... |``, as modules and layers.
fn row(line: &str) -> Option<impl Iterator<Item = (&str, u8)>> {
    let mut cells = line.strip_prefix("//! |")?.split('|');
    let layer: u8 = cells.next()?.trim().parse().ok()?;
    let modules = cells
        .next()?
        .split("[`")
        .skip(1)
        .filter_map(|rest| rest.split_once("`]"));
    Some(modules.map(move |(module, _)| (module, layer)))
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All modules of the crate. `main.rs` is above all layers.
static SOURCES: LazyLock<Tree> = LazyLock::new(|| {
    let mut found = Vec::new();
    collect(&src(), "", &mut found);
    found.retain(|(file, _)| file != "main.rs");
    assert!(!found.is_empty());
    Tree::new(found)
});

/// Reads the files of `folder`, whose path below `src` is `prefix`.
fn collect(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), found);
        } else if name.ends_with(".rs") {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Returns the modules at the top of the crate, other than its own, that `source` imports from as the module `of::a`.
fn imports_of(source: &str) -> Vec<String> {
    let tree = Tree::new([("of/a.rs".to_owned(), source.to_owned())]);
    let tops = tree.tops(&["of".to_owned(), "a".to_owned()]);
    tops.into_iter().filter(|top| top != "of").collect()
}

#[test]
fn an_import_is_found_in_every_way_it_can_be_written() {
    assert_eq!(imports_of("use crate::http::Router;"), ["http"]);
    assert_eq!(
        imports_of("use crate::{http::Router, kafka::{self, tail}, sse};"),
        ["http", "kafka", "sse"]
    );
    assert_eq!(imports_of("pub(crate) use crate :: { kafka } ;"), ["kafka"]);
    assert_eq!(
        imports_of("fn f() { let x = crate::config::load(); }"),
        ["config"]
    );
    assert_eq!(
        imports_of("fn f(x: Vec<crate::event::Event>) { g(vec![crate::sse::A]) }"),
        ["event", "sse"]
    );
    assert_eq!(
        imports_of("macro_rules! m { () => { $crate::kafka::reader() } }"),
        ["kafka"]
    );
    assert_eq!(imports_of("use super::super::http::Router;"), ["http"]);
    assert_eq!(
        imports_of("mod inner { use super::super::super::http; use super::super::log; }"),
        ["http"]
    );
}

#[test]
fn what_is_no_import_is_not_found() {
    assert!(imports_of("// use crate::http;\n/* crate::http */ //! crate::http").is_empty());
    assert!(imports_of("/// See [`crate::http::Router`].\nstruct A;").is_empty());
    assert!(imports_of(r##"const A: &str = "crate::http"; const B: &str = r#"crate::http"#;"##).is_empty());
    assert!(imports_of("pub(crate) struct A; use super::log::Log; use self::x::y;").is_empty());
}

#[test]
fn what_is_for_tests_only_may_import_anything() {
    assert!(imports_of("#[cfg(test)] mod tests { use crate::http::Router; }").is_empty());
    assert!(imports_of("#[cfg(test)] use crate::http::Router;").is_empty());
    assert!(imports_of("#[cfg(all(test, unix))] #[allow(dead_code)] fn f() { crate::http::g() }").is_empty());
    assert_eq!(
        imports_of("#[cfg(test)] mod tests { } use crate::http::Router;"),
        ["http"]
    );
    assert_eq!(imports_of("#[cfg(unix)] use crate::http::Router;"), ["http"]);
    let modules = Source::read("mod log; #[cfg(test)] mod simulation;", &[]).test_modules;
    assert_eq!(modules.into_iter().collect::<Vec<_>>(), [["simulation"]]);
}

#[test]
fn arrows_that_point_up_or_sideways_are_faults() {
    assert!(
        fault("partition", "http")
            .unwrap()
            .contains("arrows point down only")
    );
    assert!(
        fault("kafka", "subscription")
            .unwrap()
            .contains("arrows point down only")
    );
    assert!(
        fault("http", "kafka")
            .unwrap()
            .contains("no request waits for Kafka")
    );
    assert!(fault("sse", "surprise").unwrap().contains("no layer"));
    assert!(fault("surprise", "sse").unwrap().contains("no layer"));
    assert_eq!(fault("http", "subscription"), None);
    assert_eq!(fault("http", "http"), None);
}
