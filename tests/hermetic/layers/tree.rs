//! The sources of a crate as a tree of modules, and the file that each path leads to.
//!
//! A path is followed through `use` items, public and private, with and without `*`: a re-export in a `mod.rs` does not hide the
//! file that defines the item. A module that is only named, as by `use super::tail;`, leads nowhere by itself: the paths
//! through it do. Known limits: the items that a macro defines count as items of the file where the path ends; names that a
//! function binds count in its whole module; methods are not followed.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use crate::layers::source::{ModulePath, Path, Source, Use};

/// All sources of a crate but those that are compiled for tests only.
pub(crate) struct Tree {
    /// Each file's path below `src`, by the module that it holds.
    files: BTreeMap<ModulePath, String>,
    sources: BTreeMap<ModulePath, Source>,
    /// The module of the file, by each module that is defined in it.
    file_of: BTreeMap<ModulePath, ModulePath>,
    items: BTreeSet<(ModulePath, String)>,
    uses: BTreeMap<ModulePath, Vec<Use>>,
}

/// Where a path leads: to a module, or to an item in one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Target {
    module: ModulePath,
    item: Option<String>,
}

/// The files that each file imports from, as modules, with the names of the items.
pub(crate) type Edges = BTreeMap<ModulePath, BTreeMap<ModulePath, BTreeSet<String>>>;

impl Tree {
    /// Reads files, each as its path below `src` and its text.
    pub(crate) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut tree = Self {
            files: BTreeMap::new(),
            sources: BTreeMap::new(),
            file_of: BTreeMap::new(),
            items: BTreeSet::new(),
            uses: BTreeMap::new(),
        };
        for (file, text) in files {
            let module = module_of(&file);
            tree.sources.insert(module.clone(), Source::read(&text, &module));
            tree.files.insert(module, file);
        }
        let tests: BTreeSet<_> = tree
            .sources
            .values()
            .flat_map(|it| it.test_modules.clone())
            .collect();
        let is_test = |module: &ModulePath| tests.iter().any(|test| module.starts_with(test));
        tree.sources.retain(|module, _| !is_test(module));
        tree.files.retain(|module, _| !is_test(module));
        for (module, source) in &tree.sources {
            let modules = source.modules.iter();
            tree.file_of
                .extend(modules.map(|inner| (inner.clone(), module.clone())));
            tree.items.extend(source.items.iter().cloned());
            for each in &source.uses {
                let scope = each.path.scope.clone();
                tree.uses.entry(scope).or_default().push(each.clone());
            }
        }
        tree
    }

    /// Returns every file below `src`, by the module that it holds.
    pub(crate) fn files(&self) -> &BTreeMap<ModulePath, String> {
        &self.files
    }

    /// Returns the modules at the top of the crate that the file of `module` names.
    pub(crate) fn tops(&self, module: &[String]) -> BTreeSet<String> {
        let paths = self.sources[module].paths.iter();
        let tops = paths.filter_map(|path| {
            let (start, rest) = rooted(path)?;
            start.first().or(rest.first()).cloned()
        });
        tops.collect()
    }

    /// Returns the imports of every file from other files. A module and those below it are aside: a child may use what its parent
    /// defines, and a parent is made of its children.
    pub(crate) fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (module, source) in &self.sources {
            for target in self.imports(source) {
                let file = &self.file_of[&target.module];
                if let Some(item) = target.item
                    && !file.starts_with(module)
                    && !module.starts_with(file)
                {
                    let imports = edges.entry(module.clone()).or_default();
                    imports.entry(file.clone()).or_default().insert(item);
                }
            }
        }
        edges
    }

    fn imports(&self, source: &Source) -> BTreeSet<Target> {
        let paths = source
            .paths
            .iter()
            .flat_map(|path| self.resolve(path, &mut BTreeSet::new()));
        let mut found: BTreeSet<_> = paths.collect();
        for glob in source.uses.iter().filter(|it| it.glob) {
            for target in self.resolve(&glob.path, &mut BTreeSet::new()) {
                if target.item.is_none() {
                    let names = source.idents.iter();
                    found.extend(names.flat_map(|name| {
                        self.find(&target.module, slice::from_ref(name), &mut BTreeSet::new())
                    }));
                }
            }
        }
        found
    }

    /// Returns where `path` leads, or nothing if it leads to another crate. It can lead to two places if a module and a function
    /// have the same name. `seen` holds the names that are being followed: they can go round, as in `use field::field;`.
    fn resolve(&self, path: &Path, seen: &mut BTreeSet<(ModulePath, String)>) -> Vec<Target> {
        let Some((mut module, mut rest)) = rooted(path) else {
            return self.find(&path.scope, &path.segments, seen);
        };
        let found = self.find(&module, rest, seen);
        if !found.is_empty() {
            return found;
        }
        while let [name, deeper @ ..] = rest
            && let Some(child) = self.child(&module, name)
        {
            (module, rest) = (child, deeper);
        }
        // What is not found in an existing module is defined by a macro there.
        let item = rest.first().cloned();
        let known = self.file_of.contains_key(&module);
        known.then_some(Target { module, item }).into_iter().collect()
    }

    /// Returns where `segments` lead from `module`, by its children, its `use` items and its own items.
    fn find(
        &self,
        module: &ModulePath,
        segments: &[String],
        seen: &mut BTreeSet<(ModulePath, String)>,
    ) -> Vec<Target> {
        let [name, rest @ ..] = segments else {
            return Vec::new();
        };
        let mut found = Vec::new();
        match self.child(module, name) {
            Some(child) if !rest.is_empty() => return self.find(&child, rest, seen),
            child => found.extend(child.map(|module| Target { module, item: None })),
        }
        if !seen.insert((module.clone(), name.clone())) {
            return found;
        }
        for each in self.uses_of(module).filter(|it| it.name.as_ref() == Some(name)) {
            let mut path = each.path.clone();
            path.segments.extend_from_slice(rest);
            found.extend(self.resolve(&path, seen));
        }
        if self.items.contains(&(module.clone(), name.clone())) {
            let item = Some(name.clone());
            found.push(Target {
                module: module.clone(),
                item,
            });
        }
        if found.is_empty() {
            for glob in self.uses_of(module).filter(|it| it.glob) {
                let from = self
                    .resolve(&glob.path, seen)
                    .into_iter()
                    .filter(|it| it.item.is_none());
                for target in from.collect::<Vec<_>>() {
                    found.extend(self.find(&target.module, segments, seen));
                }
            }
        }
        seen.remove(&(module.clone(), name.clone()));
        found
    }

    fn child(&self, module: &[String], name: &str) -> Option<ModulePath> {
        let child = [module, &[name.to_owned()]].concat();
        self.file_of.contains_key(&child).then_some(child)
    }

    fn uses_of(&self, module: &[String]) -> impl Iterator<Item = &Use> {
        self.uses.get(module).into_iter().flatten()
    }
}

/// Splits a path that begins with `crate`, `self` or `super` into the module that these mean, and the rest.
fn rooted(path: &Path) -> Option<(ModulePath, &[String])> {
    let mut module = path.scope.clone();
    match &path.segments[..] {
        [first, rest @ ..] if first == "crate" => Some((Vec::new(), rest)),
        [first, rest @ ..] if first == "self" && !rest.is_empty() => Some((module, rest)),
        [first, ..] if first == "super" => {
            let steps = path.segments.iter().take_while(|it| *it == "super").count();
            module.truncate(module.len().saturating_sub(steps));
            Some((module, &path.segments[steps..]))
        }
        _ => None,
    }
}

/// Returns the module of a file below `src`: `["http", "error"]` for `http/error.rs`, and nothing for `lib.rs`.
fn module_of(file: &str) -> ModulePath {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let segments = path.split('/').filter(|segment| *segment != "lib");
    segments.map(str::to_owned).collect()
}
