//! The rule that the imports between the files of a crate form no circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::layers::{
    source::ModulePath,
    tree::{Edges, Tree},
};

/// Returns a description of every import circle: its files, and the items that each of them imports from the others.
pub(crate) fn circles(tree: &Tree) -> Vec<String> {
    let edges = tree.edges();
    let reached: BTreeMap<_, _> = edges.keys().map(|file| (file, reachable(&edges, file))).collect();
    let mut groups = BTreeSet::new();
    for (file, others) in &reached {
        let comes_back = |other: &&ModulePath| reached.get(other).is_some_and(|it| it.contains(file));
        let members: BTreeSet<_> = others.iter().copied().filter(comes_back).collect();
        groups.extend((!members.is_empty()).then_some(members));
    }
    groups.iter().map(|group| describe(tree, &edges, group)).collect()
}

/// Returns the files that `file` imports from, directly or through others.
fn reachable<'a>(edges: &'a Edges, file: &ModulePath) -> BTreeSet<&'a ModulePath> {
    let mut found = BTreeSet::new();
    let mut open: Vec<_> = edges.get(file).into_iter().flatten().map(|(to, _)| to).collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(edges.get(next).into_iter().flatten().map(|(to, _)| to));
        }
    }
    found
}

fn describe(tree: &Tree, edges: &Edges, group: &BTreeSet<&ModulePath>) -> String {
    let name = |module: &ModulePath| format!("src/{}", tree.files()[module]);
    let mut text = format!("import circle of {} files:", group.len());
    for from in group {
        for (to, items) in edges[*from].iter().filter(|(to, _)| group.contains(to)) {
            let items: Vec<_> = items.iter().map(String::as_str).collect();
            text += &format!(
                "\n  {} imports {} from {}",
                name(from),
                items.join(", "),
                name(to)
            );
        }
    }
    text
}

/// Describes the circles of a made-up crate, given as files and their texts.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter();
    circles(&Tree::new(
        files.map(|(file, text)| ((*file).to_owned(), (*text).to_owned())),
    ))
}

/// Asserts that `b.rs`, which imports from `a.rs`, makes a circle with `a.rs` if that is `text`.
fn assert_circle(text: &str) {
    assert_eq!(circles_with(text).len(), 1, "{text}");
}

fn assert_no_circle(text: &str) {
    assert!(circles_with(text).is_empty(), "{text}");
}

fn circles_with(text: &str) -> Vec<String> {
    circles_of(&[
        (
            "m/mod.rs",
            "mod a; mod b; mod c; pub use b::B as Exported; pub use c::*;",
        ),
        ("m/a.rs", text),
        ("m/b.rs", "use super::a::A; pub struct B; pub fn f() {}"),
        ("m/c.rs", "use super::b::B; pub struct C; pub fn g() {}"),
    ])
}

#[test]
fn a_circle_is_told_with_its_files_and_the_items_of_each_edge() {
    let circles = circles_of(&[
        ("m/mod.rs", "mod x; mod y; mod z;"),
        ("m/x.rs", "use super::y::{Y, Z as Other}; pub struct X;"),
        ("m/y.rs", "pub struct Y; pub struct Z; fn f() { super::z::f() }"),
        ("m/z.rs", "use crate::m::x::X; pub fn f() {}"),
        ("m/user.rs", "use super::x::X;"),
    ]);
    assert_eq!(
        circles,
        [
            "import circle of 3 files:\n  src/m/x.rs imports Y, Z from src/m/y.rs\n  src/m/y.rs imports f from src/m/z.rs\n  \
          src/m/z.rs imports X from src/m/x.rs"
        ]
    );
}

#[test]
fn an_import_counts_in_every_way_it_can_be_written() {
    assert_circle("use super::b::B;");
    assert_circle("use super::{b::{B}};");
    assert_circle("use crate::m::b::B as Other;");
    assert_circle("use super::b::*; fn h() { f() }");
    assert_circle("pub(super) use super::b::B as _;");
    assert_circle("use super::b; fn h() { b::f() }");
    assert_circle("use super::b as other; fn h() { other::f() }");
    assert_circle("fn h() { super::b::f() }");
    assert_circle("fn h() { use super::b::f; f() }");
    assert_circle("fn h(b: Vec<crate::m::b::B>) {}");
    assert_circle("fn h() { println!(\"{}\", super::b::f()) }");
    assert_circle("struct Field(pub (super::b::B, u8));");
    assert_circle("mod inner { use super::super::b::B; }");
    assert_circle("macro_rules! m { () => { $crate::m::b::f() } }");
    assert_circle("use super::b::made_by_a_macro;");
}

#[test]
fn a_re_export_does_not_hide_the_file_behind_it() {
    assert_circle("use super::Exported;");
    assert_circle("use crate::m::{Exported as B};");
    assert_circle("fn h() { super::Exported::new() }");
    assert_circle("use super::*; fn h(b: Exported) {}");
    assert_circle("use super::C;");
    assert_circle("fn h() { super::g() }");
    assert_circle("use crate::m; fn h() { m::g() }");
}

#[test]
fn what_is_no_import_from_another_file_is_no_edge() {
    assert_no_circle("// use super::b::B;\n/// See [`super::b::B`].\nconst A: &str = \"super::b::B\";");
    assert_no_circle("use super::b;");
    assert_no_circle("use super::*; fn h() {}");
    assert_no_circle("use b::B; fn h() { b::f(); ::m::b::f() }");
    assert_no_circle("use field::field; fn h() { field::b() }");
    assert_no_circle("pub(in crate::m) struct A; mod b { pub fn f() {} } fn h() { b::f() }");
}

#[test]
fn a_parent_and_its_descendants_may_use_each_other() {
    let parent = "mod x; mod deep; pub use deep::y::Y; pub struct P; fn f(x: x::X) {}";
    let tree = [
        ("m/mod.rs", parent),
        ("m/x.rs", "use super::P; pub struct X;"),
        ("m/deep/mod.rs", "pub mod y;"),
        ("m/deep/y.rs", "use crate::m::{P, x::X}; pub struct Y;"),
    ];
    assert!(circles_of(&tree).is_empty());
    let mut beside = tree;
    beside[0].0 = "m.rs";
    assert!(circles_of(&beside).is_empty());
    // Through the parent, one child uses the other.
    let mut through = tree;
    through[1].1 = "use super::Y; pub struct X;";
    assert_eq!(circles_of(&through).len(), 1);
}

#[test]
fn code_for_tests_may_import_anything() {
    assert_no_circle("#[cfg(test)] mod tests { use super::super::b::B; }");
    assert_no_circle("#[cfg(test)] use super::b::{B, f};");
    assert_no_circle("#[cfg(all(test, unix))] #[allow(dead_code)] fn h() -> Result<A, B> { super::b::f() }");
    assert_no_circle("#[test] fn h() { super::b::f() }");
    assert_no_circle("struct A { #[cfg(test)] b: Map<super::b::B, super::b::B>, c: u8 }");
    assert_circle("struct A { #[cfg(test)] a: Map<u8, u8>, b: super::b::B }");
    assert_circle("#[cfg(test)] mod tests {} use super::b::B;");
    assert_circle("#[cfg(any(test, unix))] use super::b::B;");
    let tree = |parent: &'static str| {
        [
            ("m/mod.rs", parent),
            ("m/t/mod.rs", "mod x;"),
            ("m/t/x.rs", "use super::super::y::Y; pub struct X;"),
            ("m/y.rs", "use super::t::x::X; pub struct Y;"),
        ]
    };
    assert_eq!(circles_of(&tree("mod t; mod y;")).len(), 1);
    assert!(circles_of(&tree("#[cfg(test)] mod t; mod y;")).is_empty());
}
