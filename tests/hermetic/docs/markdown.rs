//! The pages of the documentation, and those parts of Markdown that the checks look at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The pages outside of `docs/`.
const OTHERS: [&str; 4] = [
    "README.md",
    "CHANGELOG.md",
    "loadtest/README.md",
    "tests/fuzz/README.md",
];

/// A page of the documentation.
#[derive(Debug)]
pub(crate) struct Page {
    /// The path from the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A fenced block of code.
#[derive(Debug, PartialEq)]
pub(crate) struct Block {
    /// The word behind the opening fence; empty if there is none.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// Returns all pages: those of `docs/` at any depth, and `OTHERS`.
pub(crate) fn pages() -> Vec<Page> {
    let mut paths: Vec<_> = OTHERS.map(str::to_owned).into();
    collect("docs", &mut paths);
    paths.into_iter().map(|path| Page::read(&path)).collect()
}

fn collect(folder: &str, paths: &mut Vec<String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => collect(&path, paths),
            false if path.ends_with(".md") => paths.push(path),
            false => {}
        }
    }
}

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Returns the text of a file.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Page {
    pub(crate) fn read(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text(path),
        }
    }

    /// Returns the fenced blocks of code.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        self.split().0
    }

    /// Returns the text outside of blocks: each paragraph, heading and row of a table as one line.
    pub(crate) fn paragraphs(&self) -> Vec<String> {
        self.split().1
    }

    fn split(&self) -> (Vec<Block>, Vec<String>) {
        let (mut blocks, mut paragraphs) = (Vec::new(), Vec::new());
        let mut open: Option<Block> = None;
        let mut goes_on = false;
        for line in self.text.lines() {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => block.text += &format!("{line}\n"),
                (None, Some(language)) => {
                    let language = language.trim().to_owned();
                    let text = String::new();
                    open = Some(Block { language, text });
                    goes_on = false;
                }
                (None, None) => {
                    let is_alone = line.trim().is_empty() || line.starts_with(['#', '|']);
                    match paragraphs.last_mut() {
                        Some(paragraph) if goes_on && !is_alone => {
                            *paragraph = format!("{paragraph} {}", line.trim())
                        }
                        _ => paragraphs.push(line.to_owned()),
                    }
                    goes_on = !is_alone;
                }
            }
        }
        assert!(open.is_none(), "{}: a block of code has no end", self.path);
        (blocks, paragraphs)
    }

    /// Returns the texts between backticks, outside of blocks.
    pub(crate) fn spans(&self) -> Vec<String> {
        let paragraphs = self.paragraphs();
        paragraphs.iter().flat_map(|it| spans_of(it).0).collect()
    }

    /// Returns the targets of links and images, outside of blocks and code spans.
    pub(crate) fn links(&self) -> Vec<String> {
        let paragraphs = self.paragraphs();
        paragraphs
            .iter()
            .flat_map(|it| links_of(&spans_of(it).1))
            .collect()
    }

    /// Returns the anchors of the headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> BTreeSet<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let paragraphs = self.paragraphs();
        let headings = paragraphs.iter().filter_map(|line| {
            let text = line.trim_start_matches('#');
            let is_heading = (1..=6).contains(&(line.len() - text.len())) && text.starts_with(' ');
            is_heading.then(|| slug(text.trim()))
        });
        let anchors = headings.map(|slug| {
            let before = seen.entry(slug.clone()).or_default();
            *before += 1;
            match *before - 1 {
                0 => slug,
                again => format!("{slug}-{again}"),
            }
        });
        anchors.collect()
    }

    /// Returns the cells of the rows of all tables behind the heading `heading` and before the next one.
    pub(crate) fn rows_below(&self, heading: &str) -> Vec<Vec<String>> {
        let paragraphs = self.paragraphs();
        let lines = paragraphs.iter().skip_while(|line| *line != heading).skip(1);
        let section = lines.take_while(|line| !line.starts_with('#'));
        let rows = section.filter(|line| line.starts_with("| "));
        // The first row is the head of the table, if there is one.
        rows.skip(1).map(|row| cells(row)).collect()
    }
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|');
    row.split(" | ").map(|cell| cell.trim().to_owned()).collect()
}

/// Returns the code spans of a line, and the line with blanks in their place.
pub(crate) fn spans_of(line: &str) -> (Vec<String>, String) {
    let (mut spans, mut rest) = (Vec::new(), String::new());
    let mut at = 0;
    while let Some(found) = line[at..].find('`') {
        let start = at + found;
        let ticks = line[start..].bytes().take_while(|byte| *byte == b'`').count();
        let fence = "`".repeat(ticks);
        let inside = start + ticks;
        let Some(length) = line[inside..].find(&fence) else {
            break;
        };
        rest += &line[at..start];
        rest += &" ".repeat(length);
        spans.push(line[inside..inside + length].trim().to_owned());
        at = inside + length + ticks;
    }
    rest += &line[at..];
    (spans, rest)
}

fn links_of(line: &str) -> Vec<String> {
    let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    if let Some((_, target)) = definition {
        return vec![target.trim().to_owned()];
    }
    let behind = line.split("](").skip(1);
    let targets = behind.filter_map(|rest| {
        let mut depth = 0;
        let end = rest.find(|c: char| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth < 0
        })?;
        // A title may follow the target.
        rest[..end].split_whitespace().next().map(str::to_owned)
    });
    targets.collect()
}

/// Returns the anchor of a heading: lower case, without punctuation except `-` and `_`, blanks as `-`.
fn slug(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    // Of a link, only the text counts.
    while let Some((before, behind)) = rest.split_once("](") {
        text += before;
        rest = behind.split_once(')').map_or("", |(_, rest)| rest);
    }
    text += rest;
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Returns a page that is in no file.
pub(crate) fn page(path: &str, text: &str) -> Page {
    Page {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn anchors_are_those_of_github() {
    let text = "# HTTP API\n## 0001: No groups, and the `legacy` API\n### on_gap\n#no heading\n## Two\n## Two\n\
        ```sh\n# a comment\n```\n## [A link](b.md) here\n## What's `/healthz`?\n";
    let expected = [
        "http-api",
        "0001-no-groups-and-the-legacy-api",
        "on_gap",
        "two",
        "two-1",
        "a-link-here",
        "whats-healthz",
    ];
    assert_eq!(
        page("a.md", text).anchors(),
        expected.map(str::to_owned).into_iter().collect()
    );
}

#[test]
fn links_spans_and_blocks_are_told_apart() {
    let text = "A [link\nover lines](a.md#b), `[none](x.md)`, [`code`](c.md) and ![image](d.png \"title\").\n\
        [e]: f.md\n\n```sh\n[none](y.md)\n```\n| [g](h_(i).md) | `j \\| k` |\n";
    let page = page("a.md", text);
    assert_eq!(page.links(), ["a.md#b", "c.md", "d.png", "h_(i).md"]);
    assert_eq!(page.spans(), ["[none](x.md)", "code", "j \\| k"]);
    let block = Block {
        language: "sh".into(),
        text: "[none](y.md)\n".into(),
    };
    assert_eq!(page.blocks(), [block]);
}
