//! Reads one Rust source as tokens: its paths, its `use` items and the names it defines.
//!
//! Comments, strings and code that is compiled for tests only do not count. Not here: what a path leads to (`tree`).

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use crate::layers::tokens::{
    follows_colons, inside, is_for_tests, is_punct, is_visibility, item_length, path, until,
};

/// The path of a module from the crate's root: `["http", "error"]` for `src/http/error.rs`.
pub(crate) type ModulePath = Vec<String>;

/// The tokens of one file, sorted by what they say about other files.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Every path that is written in the file, those of its `use` items included.
    pub(crate) paths: Vec<Path>,
    /// The `use` items, one for each name that they bind.
    pub(crate) uses: Vec<Use>,
    /// The modules that are defined in the file: its own, and those with a body in braces.
    pub(crate) modules: BTreeSet<ModulePath>,
    /// The items at the top of these modules, each with its module.
    pub(crate) items: BTreeSet<(ModulePath, String)>,
    /// The `#[cfg(test)] mod name;` of the file.
    pub(crate) test_modules: BTreeSet<ModulePath>,
    /// Every identifier, by which the names that a `use a::*` brings in are found.
    pub(crate) idents: BTreeSet<String>,
}

/// A path as it is written, and the module where it stands.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Path {
    pub(crate) scope: ModulePath,
    pub(crate) segments: Vec<String>,
}

/// One name that a `use` item binds.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub(crate) path: Path,
    /// The name in the scope, or `None` for `as _` and `*`.
    pub(crate) name: Option<String>,
    /// Whether all names of `path` are bound, as by `use a::*`.
    pub(crate) glob: bool,
}

impl Source {
    /// Reads `text`, the file of `module`.
    pub(crate) fn read(text: &str, module: &[String]) -> Self {
        let tokens: TokenStream = text.parse().unwrap();
        let mut source = Self::default();
        source.modules.insert(module.to_vec());
        source.walk(&tokens.into_iter().collect::<Vec<_>>(), module, true);
        source
    }

    /// Reads `tokens`, which stand in `module`: at its top if `top`, and in the body of an item otherwise.
    fn walk(&mut self, tokens: &[TokenTree], module: &[String], top: bool) {
        let mut at = 0;
        while at < tokens.len() {
            at += self.step(tokens, at, module, top);
        }
    }

    /// Reads what begins at `at`. Returns the number of tokens that it takes, at least 1.
    fn step(&mut self, tokens: &[TokenTree], at: usize, module: &[String], top: bool) -> usize {
        let rest = &tokens[at..];
        if is_for_tests(rest) {
            let length = item_length(rest);
            self.test_module(&rest[..length], module);
            return length;
        }
        match rest {
            [TokenTree::Ident(word), TokenTree::Group(group), ..]
                if word == "pub" && is_visibility(group) =>
            {
                2
            }
            [TokenTree::Ident(word), next, ..] if word == "use" && !is_punct(next, '<') => {
                let length = until(rest, ';');
                self.use_tree(&rest[1..length], &[], module);
                length
            }
            [
                TokenTree::Ident(word),
                TokenTree::Ident(name),
                TokenTree::Group(body),
                ..,
            ] if word == "mod" => {
                let inner = below(module, name);
                self.modules.insert(inner.clone());
                self.walk(&inside(body), &inner, true);
                3
            }
            [TokenTree::Ident(_), ..] => self.word(tokens, at, module, top),
            [TokenTree::Group(group), ..] => {
                self.walk(&inside(group), module, false);
                1
            }
            _ => 1,
        }
    }

    /// Reads the identifier at `at`, and the path that begins with it.
    fn word(&mut self, tokens: &[TokenTree], at: usize, module: &[String], top: bool) -> usize {
        let rest = &tokens[at..];
        if top
            && let [TokenTree::Ident(keyword), TokenTree::Ident(name), ..] = rest
            && DEFINES.contains(&keyword.to_string().as_str())
        {
            self.items.insert((module.to_vec(), name.to_string()));
        }
        let (segments, length) = path(rest);
        self.idents.insert(segments[0].clone());
        if segments.len() > 1 && !follows_colons(&tokens[..at]) {
            self.paths.push(Path {
                scope: module.to_vec(),
                segments,
            });
        }
        length
    }

    /// Reads a part of a `use` item whose path begins with `prefix`: `a::{b, c as d}` or `*`.
    fn use_tree(&mut self, tokens: &[TokenTree], prefix: &[String], module: &[String]) {
        for part in tokens.split(|token| is_punct(token, ',')) {
            match part {
                [] => {}
                // `::name` is another crate's.
                [first, ..] if prefix.is_empty() && is_punct(first, ':') => {}
                part => self.use_branch(part, prefix, module),
            }
        }
    }

    fn use_branch(&mut self, tokens: &[TokenTree], prefix: &[String], module: &[String]) {
        let mut segments = prefix.to_vec();
        let (mut alias, mut glob) = (None, false);
        let mut tokens = tokens.iter();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) => return self.use_tree(&inside(group), &segments, module),
                TokenTree::Ident(word) if word == "as" => alias = tokens.next().map(ToString::to_string),
                TokenTree::Ident(word) if word == "self" && !segments.is_empty() => {}
                TokenTree::Ident(word) => segments.push(word.to_string()),
                token => glob |= is_punct(token, '*'),
            }
        }
        let name = alias.or_else(|| segments.last().cloned());
        let path = Path {
            scope: module.to_vec(),
            segments,
        };
        self.paths.push(path.clone());
        self.uses.push(Use {
            path,
            name: name.filter(|name| !glob && name != "_"),
            glob,
        });
    }

    /// Notes the module if `item` is `#[cfg(test)] mod name;`.
    fn test_module(&mut self, item: &[TokenTree], module: &[String]) {
        if let [.., TokenTree::Ident(keyword), TokenTree::Ident(name), end] = item
            && keyword == "mod"
            && is_punct(end, ';')
        {
            self.test_modules.insert(below(module, name));
        }
    }
}

/// The keywords in front of the name of an item.
const DEFINES: &[&str] = &[
    "fn", "struct", "enum", "trait", "type", "const", "static", "union",
];

fn below(module: &[String], name: &proc_macro2::Ident) -> ModulePath {
    let mut path = module.to_vec();
    path.push(name.to_string());
    path
}
