//! The page for operators, at `/` of the admin listener.

use std::sync::LazyLock;

use super::assets::{AssetFile, Assets, MediaType, OWN_FILES_ONLY, PAGE};

/// The files of the page.
pub(in crate::http) static OPERATOR_PAGE: LazyLock<Assets> =
    LazyLock::new(|| Assets::new(FILES, OWN_FILES_ONLY));

const fn module(name: &'static str, bytes: &'static [u8]) -> AssetFile {
    AssetFile::new(name, MediaType::JavaScript, bytes)
}

const FILES: &[AssetFile] = &[
    AssetFile::new(PAGE, MediaType::Html, include_bytes!("operator/index.html")),
    AssetFile::new("page.css", MediaType::Css, include_bytes!("operator/page.css")),
    AssetFile::new("icon.svg", MediaType::Svg, include_bytes!("operator/icon.svg")),
    module("dom.js", include_bytes!("operator/dom.js")),
    module("faults.js", include_bytes!("operator/faults.js")),
    module("format.js", include_bytes!("operator/format.js")),
    module("guarded.js", include_bytes!("operator/guarded.js")),
    module("lists.js", include_bytes!("operator/lists.js")),
    module("main.js", include_bytes!("operator/main.js")),
    module("metrics.js", include_bytes!("operator/metrics.js")),
    module("pieces.js", include_bytes!("operator/pieces.js")),
    module("runbook.js", include_bytes!("operator/runbook.js")),
    module("sections.js", include_bytes!("operator/sections.js")),
    module("state.js", include_bytes!("operator/state.js")),
    // The page shows the sections of the runbook beside what is wrong, and asks nobody else for them.
    AssetFile::new(
        "runbook.md",
        MediaType::Text,
        include_bytes!("../../../docs/runbook.md"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_and_its_modules_name_is_there() {
        let texts = FILES
            .iter()
            .filter_map(|file| std::str::from_utf8(file.bytes).ok());
        let mut named = 0;
        for text in texts {
            for (before, after) in [
                ("from './", '\''),
                ("=\"operator/", '"'),
                ("ask('operator/", '\''),
            ] {
                for rest in text.split(before).skip(1) {
                    let name = rest.split(after).next().unwrap_or_default();
                    assert!(OPERATOR_PAGE.file(name).is_some(), "{name}");
                    named += 1;
                }
            }
        }
        assert!(named > 20, "{named}");
        assert!(OPERATOR_PAGE.page().is_some());
    }

    /// The names of the sections stand in `faults.js` as text.
    #[test]
    fn every_section_of_the_runbook_that_a_fault_names_is_there() {
        let text = |name: &str| {
            let file = FILES.iter().find(|file| file.name == name).expect("a file");
            std::str::from_utf8(file.bytes).expect("UTF-8")
        };
        let runbook = text("runbook.md");
        let mut named = 0;
        for quoted in text("faults.js")
            .split('\'')
            .filter(|it| it.starts_with("Riverhead"))
        {
            assert!(runbook.contains(&format!("\n### {quoted}\n")), "{quoted}");
            named += 1;
        }
        assert!(named > 20, "{named}");
    }
}
