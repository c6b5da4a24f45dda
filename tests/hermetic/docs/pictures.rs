//! The pictures of the documentation: each is small, is shown on a page, and asks nobody else.

use std::{collections::BTreeMap, fs};

use crate::docs::markdown::{pages, root, text};

const FOLDER: &str = "docs/pictures";

/// The most bytes of a picture, as in `docs/pictures/make.mjs`, and of all together: who clones the repository loads all of them.
const MOST_BYTES: usize = 150_000;
const MOST_TOGETHER: usize = 1_000_000;

/// Returns the length of each picture, by its path.
fn pictures() -> BTreeMap<String, usize> {
    let entries = fs::read_dir(root().join(FOLDER)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let pictures = files.filter(|path| path.extension().is_none_or(|kind| kind != "mjs"));
    let named = pictures.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let length = fs::metadata(&path).unwrap().len();
        (format!("{FOLDER}/{name}"), length as usize)
    });
    named.collect()
}

/// Returns what is wrong with pictures of these lengths, shown by pages with these links.
fn faults(pictures: &BTreeMap<String, usize>, links: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, length) in pictures {
        if *length > MOST_BYTES {
            faults.push(format!("{path} has {length} bytes"));
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let shown = |link: &String| link.ends_with(&format!("pictures/{name}"));
        if !links.iter().any(shown) {
            faults.push(format!("no page shows {path}"));
        }
    }
    let together: usize = pictures.values().sum();
    if together > MOST_TOGETHER {
        faults.push(format!("together they have {together} bytes"));
    }
    faults
}

#[test]
fn each_picture_is_small_and_shown() {
    let links: Vec<_> = pages().iter().flat_map(|page| page.links()).collect();
    let pictures = pictures();
    assert!(pictures.len() >= 3, "{pictures:?}");
    assert_eq!(faults(&pictures, &links), [""; 0]);
}

#[test]
fn a_drawing_can_be_read_in_the_dark_and_loads_nothing() {
    let all = pictures();
    let drawings: Vec<_> = all.keys().filter(|path| path.ends_with(".svg")).collect();
    assert!(drawings.len() >= 3, "{all:?}");
    for path in drawings {
        let drawing = text(path);
        for needed in [
            "<title>",
            "<desc>",
            "prefers-color-scheme:dark",
            "class=\"paper\"",
        ] {
            assert!(drawing.contains(needed), "{path} has no {needed}");
        }
        let elsewhere = ["href", "url(", "@import", "<script", "<image"];
        let found = elsewhere.iter().find(|word| drawing.contains(**word));
        assert_eq!(found, None, "{path}");
    }
}

#[test]
fn a_picture_that_is_large_or_shown_nowhere_is_found() {
    let links = ["docs/pictures/a.svg".to_owned(), "pictures/b.webp".to_owned()];
    let all = |pairs: &[(&str, usize)]| {
        let named = pairs
            .iter()
            .map(|(name, length)| (format!("{FOLDER}/{name}"), *length));
        named.collect()
    };
    assert_eq!(faults(&all(&[("a.svg", 9), ("b.webp", 9)]), &links), [""; 0]);
    for bad in [vec![("c.svg", 9)], vec![("a.svg", MOST_BYTES + 1)]] {
        assert_eq!(faults(&all(&bad), &links).len(), 1, "{bad:?}");
    }
    let many: BTreeMap<_, _> = (0..7).map(|n| (format!("{FOLDER}/{n}"), MOST_BYTES)).collect();
    assert!(
        faults(&many, &links)
            .iter()
            .any(|fault| fault.starts_with("together"))
    );
}
