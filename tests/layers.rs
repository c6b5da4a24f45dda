//! The layers of the crate: imports point down only, and `http` never imports `kafka`.
//!
//! Reads the sources as tokens, so that comments, strings and what is compiled for tests only do not count.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its own sources has to fail"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Every module at the top of the crate, by its layer. The same table stands in the documentation of `src/lib.rs`.
const LAYERS: &[(u8, &[&str])] = &[
    (7, &["cli"]),
    (6, &["app"]),
    (5, &["config"]),
    (4, &["http", "demo", "probe"]),
    (3, &["kafka", "subscription"]),
    (2, &["partition", "filter"]),
    (1, &["event", "catalog", "limits"]),
    (
        0,
        &[
            "position", "encoding", "sse", "client", "drain", "metrics", "health", "log",
        ],
    ),
];

/// Pairs that the layers would allow, and why they must not be.
const FORBIDDEN: &[(&str, &str, &str)] = &[(
    "http",
    "kafka",
    "no request waits for Kafka: what http needs of it, it reads through partition and subscription",
)];

#[test]
fn imports_point_down_only() {
    let mut faults = Vec::new();
    for source in sources() {
        let text = fs::read_to_string(&source.file).unwrap();
        let tokens: TokenStream = text.parse().unwrap();
        let found = scan(tokens, source.path.len());
        faults.extend(
            found
                .imports
                .iter()
                .filter_map(|import| fault(&source.path[0], import))
                .map(|fault| format!("{}: {fault}", source.file.display())),
        );
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_module_has_a_layer_and_every_layer_its_modules() {
    let existing: BTreeSet<_> = sources()
        .into_iter()
        .map(|source| source.path[0].clone())
        .collect();
    let in_the_table: BTreeSet<_> = layers().into_keys().map(str::to_owned).collect();
    assert_eq!(
        existing, in_the_table,
        "left: in src/, right: in the table of tests/layers.rs"
    );
}

#[test]
fn the_documentation_of_the_crate_shows_the_same_layers() {
    let lib = fs::read_to_string(src().join("lib.rs")).unwrap();
    let documented: BTreeMap<_, _> = lib.lines().filter_map(row).flatten().collect();
    assert_eq!(
        documented,
        layers(),
        "left: in src/lib.rs, right: in the table of tests/layers.rs"
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

/// A source file, and the module it is: `src/http/error.rs` is `["http", "error"]`.
struct Source {
    file: PathBuf,
    path: Vec<String>,
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All modules but those that exist for tests only. `lib.rs` is the table itself, `main.rs` is above all layers.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for entry in fs::read_dir(src()).unwrap() {
        let file = entry.unwrap().path();
        if !file.ends_with("lib.rs") && !file.ends_with("main.rs") {
            collect(&file, &[], &mut found);
        }
    }
    assert!(!found.is_empty());
    found
}

fn collect(file: &Path, parents: &[String], found: &mut Vec<Source>) {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let mut path = parents.to_vec();
    if name != "mod" {
        path.push(name.to_owned());
    }
    if file.is_dir() {
        let for_tests = modules_for_tests(&file.join("mod.rs"));
        for entry in fs::read_dir(file).unwrap() {
            let child = entry.unwrap().path();
            let stem = child.file_stem().unwrap().to_str().unwrap();
            if !for_tests.contains(stem) {
                collect(&child, &path, found);
            }
        }
    } else if file.extension().is_some_and(|extension| extension == "rs") {
        found.push(Source {
            file: file.to_owned(),
            path,
        });
    }
}

fn modules_for_tests(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    scan(text.parse().unwrap(), 1).modules_for_tests
}

/// What one file imports.
#[derive(Debug, Default)]
struct Found {
    /// The modules at the top of the crate that are named.
    imports: BTreeSet<String>,
    /// The `#[cfg(test)] mod name;` of the file.
    modules_for_tests: BTreeSet<String>,
}

/// Reads `tokens` of a module that lies `depth` modules below the crate.
fn scan(tokens: TokenStream, depth: usize) -> Found {
    let mut found = Found::default();
    walk(&tokens.into_iter().collect::<Vec<_>>(), depth, &mut found);
    found
}

fn walk(tokens: &[TokenTree], depth: usize, found: &mut Found) {
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        if is_for_tests(rest) {
            at += item(rest, found);
        } else if let Some(length) = way_to_the_top(rest, depth) {
            name(rest.get(length), found);
            at += length;
        } else {
            if let TokenTree::Group(group) = &rest[0] {
                let below = depth + usize::from(is_body_of_a_module(&tokens[..at], group));
                walk(&inside(group), below, found);
            }
            at += 1;
        }
    }
}

/// Whether an attribute begins here that compiles what follows for tests only.
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = tokens else {
        return false;
    };
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    hash.as_char() == '#' && (text.starts_with("cfg(test") || text.starts_with("cfg(all(test"))
}

/// How many tokens the item at the front takes, its attributes included.
fn item(tokens: &[TokenTree], found: &mut Found) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    let end = tokens.iter().position(ends).unwrap_or(tokens.len() - 1);
    if let [
        ..,
        TokenTree::Ident(keyword),
        TokenTree::Ident(module),
        TokenTree::Punct(_),
    ] = &tokens[..=end]
        && keyword == "mod"
    {
        found.modules_for_tests.insert(module.to_string());
    }
    end + 1
}

/// The length of `crate::`, or of as many `super::` as lead to the top from `depth` modules below it.
fn way_to_the_top(tokens: &[TokenTree], depth: usize) -> Option<usize> {
    if is_step(tokens, "crate") {
        return Some(3);
    }
    let steps = tokens.chunks(3).take_while(|step| is_step(step, "super")).count();
    (steps > 0 && steps == depth).then_some(steps * 3)
}

/// Whether `word::` stands here.
fn is_step(tokens: &[TokenTree], word: &str) -> bool {
    matches!(tokens, [TokenTree::Ident(ident), TokenTree::Punct(first), TokenTree::Punct(second), ..]
        if ident == word && first.as_char() == ':' && second.as_char() == ':')
}

/// Notes the module that is named here, or those of `{a::b, c}`.
fn name(token: Option<&TokenTree>, found: &mut Found) {
    match token {
        Some(TokenTree::Ident(ident)) => {
            found.imports.insert(ident.to_string());
        }
        Some(TokenTree::Group(group)) => {
            let is_comma =
                |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
            for part in inside(group).split(is_comma) {
                name(part.first(), found);
            }
        }
        _ => {}
    }
}

fn is_body_of_a_module(before: &[TokenTree], group: &Group) -> bool {
    let module = matches!(before, [.., TokenTree::Ident(keyword), TokenTree::Ident(_)] if keyword == "mod");
    module && group.delimiter() == Delimiter::Brace
}

fn inside(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

fn imports_of(source: &str) -> Vec<String> {
    scan(source.parse().unwrap(), 2).imports.into_iter().collect()
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
    let found = scan("mod log; #[cfg(test)] mod simulation;".parse().unwrap(), 1);
    assert_eq!(
        found.modules_for_tests.into_iter().collect::<Vec<_>>(),
        ["simulation"]
    );
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
