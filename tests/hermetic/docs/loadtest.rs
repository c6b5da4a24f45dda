//! The command line of the load test, read from its sources: its binary is another package's, and may not be built.

use std::collections::{BTreeMap, BTreeSet};

use crate::docs::markdown::{root, text};

/// The scenarios of `riverhead-loadtest`, and the options of each.
#[derive(Debug, Default)]
pub(crate) struct Scenarios(BTreeMap<String, BTreeSet<String>>);

impl Scenarios {
    pub(crate) fn read() -> Self {
        let mut sources = String::new();
        for path in [
            "loadtest/src/cli.rs",
            "loadtest/src/cli/mod.rs",
            "loadtest/src/cli/crowds.rs",
        ] {
            if root().join(path).exists() {
                sources += &text(path);
            }
        }
        Self::of(&sources)
    }

    /// Reads clap's derived definitions: `enum Command` with a struct of options for each variant.
    fn of(sources: &str) -> Self {
        let options = options_by_struct(sources);
        let global = options.get("Cli").cloned().unwrap_or_default();
        let variants = sources.split("enum Command {").nth(1).unwrap_or_default();
        let variants = variants.split("\n}").next().unwrap_or_default();
        let variants = variants
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with(|c: char| c.is_uppercase()));
        let scenarios = variants.map(|line| {
            let (name, of) = line
                .trim_end_matches(',')
                .split_once('(')
                .unwrap_or((line.trim_end_matches(','), ""));
            let own = options.get(of.trim_end_matches(')')).cloned().unwrap_or_default();
            (kebab(name), own.union(&global).cloned().collect())
        });
        Self(scenarios.collect())
    }

    pub(crate) fn has(&self, scenario: &str) -> bool {
        self.0.contains_key(scenario)
    }

    /// Returns what is wrong with the arguments of a command, if anything.
    pub(crate) fn fault(&self, arguments: &[String]) -> Option<String> {
        let (scenario, rest) = arguments.split_first()?;
        if scenario == "help" || is_placeholder(scenario) {
            return None;
        }
        let Some(options) = self.0.get(scenario) else {
            return Some(format!("the load test has no scenario {scenario}"));
        };
        let flags = rest.iter().filter_map(|word| word.strip_prefix("--"));
        let mut flags = flags.map(|flag| flag.split('=').next().unwrap_or_default());
        let unknown = flags.find(|flag| !options.contains(*flag))?;
        Some(format!("{scenario} has no option --{unknown}"))
    }
}

/// Whether a word stands for something that the reader puts there: `SCENARIO`, `FILE`, `...`.
pub(crate) fn is_placeholder(word: &str) -> bool {
    word == "..." || word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn options_by_struct(sources: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut options: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut flattened: Vec<(String, String)> = Vec::new();
    for definition in sources.split("struct ").skip(1) {
        let Some((name, body)) = definition.split_once(" {") else {
            continue;
        };
        let body = body.split("\n}").next().unwrap_or_default();
        let own = options.entry(name.to_owned()).or_default();
        for field in body.split("#[").skip(1) {
            let Some((attribute, rest)) = field.split_once("]\n") else {
                continue;
            };
            let declaration = rest
                .lines()
                .map(str::trim)
                .find(|line| line.contains(": ") && !line.starts_with("//"));
            let Some((field, kind)) = declaration.and_then(|line| line.split_once(": ")) else {
                continue;
            };
            let field = field.rsplit(' ').next().unwrap_or_default();
            if attribute.starts_with("command(flatten)") {
                flattened.push((name.to_owned(), kind.trim_end_matches(',').to_owned()));
            } else if attribute.starts_with("arg(") && attribute.contains("long") {
                let named = attribute
                    .split("long = \"")
                    .nth(1)
                    .and_then(|rest| rest.split('"').next());
                own.insert(named.map_or_else(|| field.replace('_', "-"), str::to_owned));
            }
        }
    }
    for (name, kind) in flattened {
        let more = options.get(&kind).cloned().unwrap_or_default();
        options.entry(name).or_default().extend(more);
    }
    options
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(c.to_lowercase());
    }
    kebab
}

#[test]
fn the_scenarios_and_their_options_are_found() {
    let scenarios = Scenarios::read();
    assert!(scenarios.0.len() > 15, "{scenarios:?}");
    let words = |line: &str| -> Vec<_> { line.split(' ').map(str::to_owned).collect() };
    for good in [
        "storm --restart",
        "hot-loop --duration 1s",
        "fanout --set A=1 --json --server-cpus 0",
        "help storm",
        "SCENARIO",
    ] {
        assert_eq!(scenarios.fault(&words(good)), None, "{good}");
    }
    for bad in ["stormy", "storm --restrat", "hog --kafkasse-clients 1"] {
        assert!(scenarios.fault(&words(bad)).is_some(), "{bad}");
    }
}
