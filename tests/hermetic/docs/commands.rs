//! The commands of the documentation exist, with their options; so do the files that they name.

use clap::{CommandFactory, Parser};
use riverhead::cli::Cli;

use crate::docs::{
    loadtest::{Scenarios, is_placeholder},
    markdown::{Page, pages, root, text},
    shell::{commands, commands_of},
};

#[test]
fn every_command_of_a_block_is_one_that_there_is() {
    let known = Known::read();
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages() {
        for words in commands_of(&page) {
            let Some(command) = Command::of(&words) else {
                continue;
            };
            count += 1;
            faults.extend(
                known
                    .fault(&command)
                    .map(|why| format!("{}: {}: {why}", page.path, words.join(" "))),
            );
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert!(count > 10, "{count} commands");
}

#[test]
fn every_command_that_the_text_names_is_one_that_there_is() {
    let known = Known::read();
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages() {
        for span in page.spans() {
            let words = commands(&span).into_iter().next().unwrap_or_default();
            let Some(command) = Command::of(&words).or_else(|| known.scenario(&page, &words)) else {
                continue;
            };
            count += 1;
            faults.extend(
                known
                    .misnamed(&command)
                    .map(|why| format!("{}: {span}: {why}", page.path)),
            );
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert!(count > 40, "{count} commands");
}

#[test]
fn every_file_that_the_pages_name_is_there() {
    let mut faults = Vec::new();
    // The changelog is about the past.
    for page in pages().iter().filter(|page| page.path != "CHANGELOG.md") {
        let words = commands_of(page).into_iter().flatten();
        for path in words.chain(page.spans()).filter(|word| is_path(word)) {
            if !root().join(&path).exists() {
                faults.push(format!("{}: there is no {path}", page.path));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Returns whether a word is the path of a file of the repository, and not of one that a run creates.
fn is_path(word: &str) -> bool {
    let begins = [
        "src/",
        "tests/",
        "config/",
        "docker/",
        "docs/",
        "loadtest/",
        ".ci/",
    ];
    let is_made = ["tests/fuzz/corpus", "tests/fuzz/artifacts", "loadtest/clients"];
    begins.iter().any(|folder| word.starts_with(folder))
        && !is_made.iter().any(|made| word.starts_with(made))
        && !word.contains([' ', '*', '<', ':', '#', '$'])
}

/// A command of this project.
struct Command {
    program: Program,
    arguments: Vec<String>,
}

enum Program {
    Riverhead,
    LoadTest,
    /// `tests/run`.
    Run,
}

impl Command {
    /// Reads a command; `None` if it is not one of this project.
    fn of(words: &[String]) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        let (program, arguments) = match (program.rsplit('/').next()?, arguments) {
            ("riverhead", arguments) => (Program::Riverhead, arguments),
            ("riverhead-loadtest", arguments) => (Program::LoadTest, arguments),
            ("run", arguments) if program.ends_with("tests/run") => (Program::Run, arguments),
            ("cargo", [run, dashes, arguments @ ..]) if run == "run" && dashes == "--" => {
                (Program::Riverhead, arguments)
            }
            _ => return None,
        };
        Some(Self {
            program,
            arguments: arguments.to_vec(),
        })
    }
}

/// The existing commands.
struct Known {
    scenarios: Scenarios,
    /// The parts of `tests/run`.
    parts: Vec<String>,
}

impl Known {
    fn read() -> Self {
        Self {
            scenarios: Scenarios::read(),
            parts: parts(&text("tests/run")),
        }
    }

    /// Returns the command that `words` are in the page of the load test, which leaves its name out.
    fn scenario(&self, page: &Page, words: &[String]) -> Option<Command> {
        let is_one = page.path == "loadtest/README.md" && words.len() > 1 && self.scenarios.has(&words[0]);
        is_one.then(|| Command {
            program: Program::LoadTest,
            arguments: words.to_vec(),
        })
    }

    /// Returns what is wrong with a whole command, if anything.
    fn fault(&self, command: &Command) -> Option<String> {
        match command.program {
            Program::Riverhead => {
                let arguments = [&["riverhead".to_owned()][..], &command.arguments[..]].concat();
                let error = Cli::try_parse_from(arguments)
                    .err()
                    .filter(clap::Error::use_stderr)?;
                Some(error.to_string())
            }
            _ => self.misnamed(command),
        }
    }

    /// Returns which of the command's names do not exist. Arguments may be missing or stand for others.
    fn misnamed(&self, command: &Command) -> Option<String> {
        let first = command.arguments.first()?;
        match command.program {
            Program::Riverhead => misnamed(&command.arguments),
            Program::LoadTest => self.scenarios.fault(&command.arguments),
            Program::Run if is_placeholder(first) || self.parts.contains(first) => None,
            Program::Run => Some(format!("tests/run has no part {first}")),
        }
    }
}

fn misnamed(arguments: &[String]) -> Option<String> {
    let (name, rest) = arguments.split_first()?;
    if is_placeholder(name) || name.starts_with('-') {
        return None;
    }
    let cli = Cli::command();
    let Some(command) = cli.find_subcommand(name) else {
        return Some(format!("riverhead has no command {name}"));
    };
    let flags = rest.iter().filter_map(|word| word.strip_prefix("--"));
    let mut flags = flags.map(|flag| flag.split('=').next().unwrap_or_default());
    let is_unknown =
        |flag: &&str| *flag != "help" && command.get_arguments().all(|own| own.get_long() != Some(*flag));
    let unknown = flags.find(is_unknown)?;
    Some(format!("riverhead {name} has no option --{unknown}"))
}

/// Returns the patterns of the `case` that chooses the part.
fn parts(script: &str) -> Vec<String> {
    let choice = script.split("case \"${1:-all}\" in\n").nth(1).unwrap_or_default();
    let choice = choice.split("esac").next().unwrap_or_default();
    let patterns = choice.lines().filter_map(|line| line.trim().strip_suffix(')'));
    let patterns = patterns.filter(|pattern| pattern.bytes().all(|byte| byte.is_ascii_lowercase()));
    patterns.map(str::to_owned).collect()
}

#[test]
fn a_command_that_there_is_not_is_found() {
    let known = Known::read();
    let fault = |line: &str| {
        let words = commands(line).remove(0);
        known.fault(&Command::of(&words).expect("a command of ours"))
    };
    for good in [
        "cargo run -- demo",
        "./tests/run",
        "./tests/run real NAME",
        "riverhead serve --config riverhead.toml",
        "/usr/bin/riverhead probe https://stream.example --stream a --resume",
        "target/release/riverhead-loadtest storm --restart",
    ] {
        assert_eq!(fault(good), None, "{good}");
    }
    for bad in [
        "cargo run -- demmo",
        "riverhead serve",
        "riverhead serve --conf riverhead.toml",
        "riverhead probe https://stream.example --stream a --resumes",
        "./tests/run reel",
        "riverhead-loadtest storm --restrat",
    ] {
        assert!(fault(bad).is_some(), "{bad}");
    }
    assert!(known.parts.len() > 5, "{:?}", known.parts);
}
