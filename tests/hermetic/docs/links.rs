//! Every link of the documentation has a target, every page can be found, and the README stays short.

use std::collections::BTreeSet;

use crate::docs::markdown::{Page, page, pages, root, text};

/// The most bytes of README.md, which a new reader reads at once.
const LONGEST_README: usize = 8 * 1024;

#[test]
fn every_link_leads_to_a_file_or_a_heading_that_there_is() {
    let pages = pages();
    let faults: Vec<_> = pages.iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    let count: usize = pages.iter().map(|page| page.links().len()).sum();
    assert!(count > 100, "{count} links");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::from(["README.md".to_owned()]);
    let mut waiting = vec!["README.md".to_owned()];
    while let Some(path) = waiting.pop() {
        let page = Page::read(&path);
        let linked = page
            .links()
            .into_iter()
            .filter_map(|link| file(&page, &link).ok()?);
        let new: Vec<_> = linked
            .filter(|path| path.ends_with(".md") && reached.insert(path.clone()))
            .collect();
        waiting.extend(new);
    }
    let lost: Vec<_> = pages().into_iter().map(|page| page.path).collect();
    let lost: Vec<_> = lost.iter().filter(|path| !reached.contains(*path)).collect();
    assert_eq!(lost, [""; 0]);
}

#[test]
fn the_readme_is_short() {
    let length = text("README.md").len();
    assert!(length <= LONGEST_README, "README.md has {length} bytes");
}

/// Returns what is wrong with the links of a page.
fn faults(page: &Page) -> Vec<String> {
    let links = page.links().into_iter();
    let faults = links.filter_map(|link| {
        let why = follow(page, &link).err()?;
        Some(format!("{}: ({link}) {why}", page.path))
    });
    faults.collect()
}

fn follow(page: &Page, link: &str) -> Result<(), String> {
    let Some(file) = file(page, link)? else {
        return Ok(());
    };
    let is_here = file == page.path;
    if !is_here && !root().join(&file).exists() {
        return Err(format!("there is no {file}"));
    }
    let Some((_, anchor)) = link.split_once('#') else {
        return Ok(());
    };
    if !file.ends_with(".md") {
        return Err("only a page has anchors".to_owned());
    }
    let anchors = match is_here {
        true => page.anchors(),
        false => Page::read(&file).anchors(),
    };
    match anchors.contains(anchor) {
        true => Ok(()),
        false => Err(format!("{file} has no heading #{anchor}")),
    }
}

/// Returns the file that a link leads to, from the root of the repository; `None` if it leads to another site.
fn file(page: &Page, link: &str) -> Result<Option<String>, String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(None);
    }
    let path = link.split('#').next().unwrap_or_default();
    if path.is_empty() {
        return Ok(Some(page.path.clone()));
    }
    let mut parts: Vec<_> = page.path.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop().ok_or("it leads out of the repository")?,
            part => parts.push(part),
        }
    }
    Ok(Some(parts.join("/")))
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let good = "[a](../README.md) [b](#here) [c](runbook.md#alerts) [d](https://example.org/x#y) [e](../tests/)\n\n## Here\n";
    assert_eq!(faults(&page("docs/a.md", good)), [""; 0]);
    for bad in [
        "[a](README.md)",
        "[a](#there)",
        "[a](runbook.md#no-such-heading)",
        "[a](../../README.md)",
        "[a](../LICENSE#license)",
        "![a](picture.png)",
    ] {
        assert_eq!(faults(&page("docs/a.md", bad)).len(), 1, "{bad}");
    }
}
